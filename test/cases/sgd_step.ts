import type { SgdParams } from '../../lib/native.js';
import { sgdStep } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });

export default defineOp<{ w: Tensor; v: Tensor; g: Tensor }, SgdParams>({
  op: 'sgdStep',
  torch: 'sgd_steps(w, v, g, 3, **params)',
  run: ({ w, v, g }, params) => {
    for (let step = 1; step <= 3; step++) sgdStep(w, v, g, params);
    return { w, v };
  },
  real: ['lr', 'momentum', 'weightDecay'],
  cases: [
    {
      name: 'the paper',
      inputs: { w: of(5, 7), v: of(5, 7), g: of(5, 7) },
      params: { lr: 0.01, momentum: 0.9, weightDecay: 5e-4 },
    },
    {
      name: 'large decay',
      inputs: { w: of(33), v: of(33), g: of(33) },
      params: { lr: 0.1, momentum: 0.5, weightDecay: 0.3 },
    },
    {
      name: 'plain',
      inputs: { w: of(1), v: of(1), g: of(1) },
      params: { lr: 1, momentum: 0, weightDecay: 0 },
    },
  ],
});
