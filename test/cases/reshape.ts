import { reshape } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });

export default defineOp<{ x: Tensor }, { shape: readonly number[] }>({
  op: 'reshape',
  torch: 'x.reshape(shape)',
  run: ({ x }, { shape }) => reshape(x, shape),
  gradients: ['x'],
  anyShape: true,
  anyDtype: true,
  cases: [
    { name: 'flatten', inputs: { x: of(2, 3, 4, 5) }, params: { shape: [2, 60] } },
    { name: 'to a vector', inputs: { x: of(3, 7) }, params: { shape: [21] } },
    { name: 'to a scalar', inputs: { x: of(1, 1) }, params: { shape: [] } },
    { name: 'from a scalar', inputs: { x: of() }, params: { shape: [1, 1, 1] } },
  ],
  refused: [
    { name: 'another size', inputs: { x: of(2, 3) }, params: { shape: [7] }, error: 'ShapeError' },
    {
      name: 'a dimension of −1',
      inputs: { x: of(2, 3) },
      params: { shape: [2, -3] },
      error: 'ArgumentError',
    },
    {
      name: '9 dimensions',
      inputs: { x: of(1) },
      params: { shape: [1, 1, 1, 1, 1, 1, 1, 1, 1] },
      error: 'ShapeError',
    },
  ],
});
