import { type MatmulOptions, matmul } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });

export default defineOp<{ a: Tensor; b: Tensor }, MatmulOptions>({
  op: 'matmul',
  torch: '(a.T if transposeA else a) @ (b.T if transposeB else b)',
  run: ({ a, b }, params) => matmul(a, b, params),
  gradients: ['a', 'b'],
  cases: [
    { name: 'a b', inputs: { a: of(3, 5), b: of(5, 7) }, params: {} },
    { name: 'aᵀ b', inputs: { a: of(5, 3), b: of(5, 7) }, params: { transposeA: true } },
    { name: 'a bᵀ', inputs: { a: of(3, 5), b: of(7, 5) }, params: { transposeB: true } },
    { name: 'aᵀ bᵀ', inputs: { a: of(5, 3), b: of(7, 5) }, params: { transposeA: true, transposeB: true } },
    { name: '1 × 1', inputs: { a: of(1, 1), b: of(1, 1) }, params: {} },
    { name: 'row · column', inputs: { a: of(1, 9), b: of(9, 1) }, params: {} },
    { name: 'column · row', inputs: { a: of(6, 1), b: of(1, 4) }, params: {} },
    { name: 'row · matrixᵀ', inputs: { a: of(1, 33), b: of(17, 33) }, params: { transposeB: true } },
    { name: 'columnᵀ · matrix', inputs: { a: of(33, 1), b: of(33, 17) }, params: { transposeA: true } },
    { name: '16 × 24 × 32', inputs: { a: of(16, 24), b: of(24, 32) }, params: {} },
    {
      name: 'aᵀ bᵀ, 19 × 23 × 21',
      inputs: { a: of(23, 19), b: of(21, 23) },
      params: { transposeA: true, transposeB: true },
    },
  ],
});
