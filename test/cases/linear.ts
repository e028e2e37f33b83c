import { linear } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { multiplesOf, oddMultiplesOf, spaced } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });
/** Before the ReLU there are odd multiples of 1/8: none near its kink. */
const halves = (...shape: number[]): InputSpec => ({ shape, fill: multiplesOf(1 / 2) });
const eighths = (...shape: number[]): InputSpec => ({ shape, fill: oddMultiplesOf(1 / 8) });
const distant = (...shape: number[]): InputSpec => ({ shape, fill: spaced });

export default defineOp<{ x: Tensor; weight: Tensor; bias?: Tensor }, { relu?: boolean }>({
  op: 'linear',
  torch: 'linear(x, weight, bias, **params)',
  run: ({ x, weight, bias }, params) => linear(x, weight, { ...params, bias: bias ?? null }),
  gradients: ['x', 'weight', 'bias'],
  cases: [
    { name: 'batch 1', inputs: { x: of(1, 7), weight: of(5, 7), bias: of(5) }, params: {} },
    { name: 'batch 3', inputs: { x: of(3, 8), weight: of(4, 8), bias: of(4) }, params: {} },
    { name: 'odd sizes', inputs: { x: of(5, 17), weight: of(13, 17), bias: of(13) }, params: {} },
    { name: 'no bias', inputs: { x: of(4, 9), weight: of(6, 9) }, params: {} },
    { name: '1 input', inputs: { x: of(3, 1), weight: of(5, 1), bias: of(5) }, params: {} },
    { name: '1 output', inputs: { x: of(3, 6), weight: of(1, 6), bias: of(1) }, params: {} },
    { name: 'all 1', inputs: { x: of(1, 1), weight: of(1, 1), bias: of(1) }, params: {} },
    { name: 'batch 1, wide', inputs: { x: of(1, 100), weight: of(33, 100), bias: of(33) }, params: {} },
    { name: 'batch 37', inputs: { x: of(37, 20), weight: of(19, 20), bias: of(19) }, params: {} },
    {
      name: 'relu',
      inputs: { x: halves(4, 9), weight: halves(7, 9), bias: eighths(7) },
      params: { relu: true },
    },
    {
      name: 'relu, batch 1',
      inputs: { x: halves(1, 11), weight: halves(10, 11), bias: eighths(10) },
      params: { relu: true },
    },
    { name: 'relu, no bias', inputs: { x: distant(4, 1), weight: distant(6, 1) }, params: { relu: true } },
  ],
  refused: [],
});
