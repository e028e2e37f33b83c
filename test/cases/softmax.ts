import { softmax } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { these, uniform } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape, fill: uniform(-4, 4) });

export default defineOp<{ x: Tensor }, object>({
  op: 'softmax',
  torch: 'torch.softmax(x, 1)',
  run: ({ x }) => softmax(x),
  gradients: ['x'],
  cases: [
    { name: 'batch 1', inputs: { x: of(1, 10) }, params: {} },
    { name: 'odd sizes', inputs: { x: of(5, 7) }, params: {} },
    { name: '1 class', inputs: { x: of(3, 1) }, params: {} },
    { name: '1000 classes', inputs: { x: of(1, 1000) }, params: {} },
    { name: 'around 1000', inputs: { x: { shape: [2, 5], fill: uniform(1000, 1004) } }, params: {} },
    {
      name: 'far apart',
      inputs: { x: { shape: [2, 3], fill: these(Float32Array.of(0, 1e4, -1e4, -1e30, -1e30, -3e30)) } },
      params: {},
    },
  ],
});
