import { relu } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { spaced, these } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape, fill: spaced });

export default defineOp<{ x: Tensor }, object>({
  op: 'relu',
  torch: 'torch.relu(x)',
  run: ({ x }) => relu(x),
  gradients: ['x'],
  anyShape: true,
  cases: [
    { name: 'scalar', inputs: { x: of() }, params: {} },
    { name: 'vector', inputs: { x: of(7) }, params: {} },
    { name: 'image', inputs: { x: of(2, 3, 5, 7) }, params: {} },
    {
      name: 'at 0',
      inputs: { x: { shape: [4], fill: these(Float32Array.of(0, -0, 1e-30, -1e-30)) } },
      params: {},
      kinks: 'at the kink itself, where the gradient is 0 as in PyTorch',
    },
  ],
});
