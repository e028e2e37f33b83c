import { add } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });

export default defineOp<{ a: Tensor; b: Tensor }, object>({
  op: 'add',
  torch: 'a + b',
  run: ({ a, b }) => add(a, b),
  gradients: ['a', 'b'],
  cases: [
    { name: 'scalar', inputs: { a: of(), b: of() }, params: {} },
    { name: 'vector', inputs: { a: of(11), b: of(11) }, params: {} },
    { name: 'image', inputs: { a: of(2, 3, 5, 7), b: of(2, 3, 5, 7) }, params: {} },
  ],
});
