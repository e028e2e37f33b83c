import { cat } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });

export default defineOp<{ a: Tensor; b: Tensor }, object>({
  op: 'cat',
  torch: 'torch.cat([a, b], -1)',
  run: ({ a, b }) => cat(a, b),
  gradients: ['a', 'b'],
  cases: [
    { name: 'vectors', inputs: { a: of(3), b: of(4) }, params: {} },
    { name: 'rows', inputs: { a: of(5, 2), b: of(5, 7) }, params: {} },
    { name: 'channels of maps', inputs: { a: of(2, 3, 5, 4), b: of(2, 3, 5, 4) }, params: {} },
  ],
  refused: [
    { name: 'scalars', inputs: { a: of(), b: of() }, params: {}, error: 'ShapeError' },
    { name: 'other rows', inputs: { a: of(2, 3), b: of(3, 3) }, params: {}, error: 'ShapeError' },
  ],
});
