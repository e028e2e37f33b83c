import { tanh } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { these, uniform } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape, fill: uniform(-3, 3) });

export default defineOp<{ x: Tensor }, object>({
  op: 'tanh',
  torch: 'torch.tanh(x)',
  run: ({ x }) => tanh(x),
  gradients: ['x'],
  anyShape: true,
  cases: [
    { name: 'scalar', inputs: { x: of() }, params: {} },
    { name: 'vector', inputs: { x: of(13) }, params: {} },
    { name: 'image', inputs: { x: of(2, 3, 5, 7) }, params: {} },
    { name: 'small', inputs: { x: { shape: [9], fill: uniform(-1e-3, 1e-3) } }, params: {} },
    {
      name: 'large',
      inputs: { x: { shape: [8], fill: these(Float32Array.of(-1000, -20, -9, -1, 1, 9, 20, 1000)) } },
      params: {},
    },
  ],
});
