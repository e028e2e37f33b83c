import { scale } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });

export default defineOp<{ x: Tensor }, { factor: number }>({
  op: 'scale',
  torch: 'x * factor',
  run: ({ x }, { factor }) => scale(x, factor),
  gradients: ['x'],
  anyShape: true,
  real: ['factor'],
  cases: [
    { name: 'scalar', inputs: { x: of() }, params: { factor: -1.5 } },
    { name: 'vector', inputs: { x: of(19) }, params: { factor: 1 / 3 } },
    { name: 'image', inputs: { x: of(2, 3, 5, 7) }, params: { factor: 100 } },
    { name: 'by 0', inputs: { x: of(5) }, params: { factor: 0 } },
  ],
});
