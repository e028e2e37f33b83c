import type { AdamParams } from '../../lib/native.js';
import { adamStep } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { these, uniform } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });
const squares = (...shape: number[]): InputSpec => ({ shape, fill: uniform(0.01, 1) });
const zeros = (size: number): InputSpec => ({ shape: [size], fill: these(new Float32Array(size)) });
const usual = { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, step: 1 };

export default defineOp<{ w: Tensor; m: Tensor; v: Tensor; g: Tensor }, AdamParams>({
  op: 'adamStep',
  torch: 'adam_steps(w, m, v, g, 3, **params)',
  run: ({ w, m, v, g }, params) => {
    for (let i = 0; i < 3; i++) adamStep(w, m, v, g, { ...params, step: params.step + i });
    return { w, m, v };
  },
  real: ['lr', 'beta1', 'beta2', 'eps', 'weightDecay'],
  cases: [
    { name: 'the first steps', inputs: { w: of(21), m: zeros(21), v: zeros(21), g: of(21) }, params: usual },
    {
      name: 'later steps',
      inputs: { w: of(3, 5), m: of(3, 5), v: squares(3, 5), g: of(3, 5) },
      params: { ...usual, lr: 0.1, step: 4 },
    },
    {
      name: 'decay, other betas',
      inputs: { w: of(33), m: of(33), v: squares(33), g: of(33) },
      params: { lr: 0.05, beta1: 0.8, beta2: 0.95, eps: 1e-3, weightDecay: 0.1, step: 10 },
    },
    {
      name: 'step 100000',
      inputs: { w: of(5), m: of(5), v: squares(5), g: of(5) },
      params: { ...usual, lr: 0.1, step: 1e5 },
    },
  ],
  refused: [
    {
      name: 'step 0',
      inputs: { w: of(5), m: of(5), v: squares(5), g: of(5) },
      params: { ...usual, step: 0 },
      error: 'ArgumentError',
    },
  ],
});
