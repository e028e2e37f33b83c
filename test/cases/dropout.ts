import { type DropoutOptions, dropout } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });

export default defineOp<{ x: Tensor }, DropoutOptions>({
  op: 'dropout',
  torch: 'dropout(x, **params)',
  run: ({ x }, params) => dropout(x, params),
  gradients: ['x'],
  anyShape: true,
  real: ['p', 'scale'],
  cases: [
    { name: 'half', inputs: { x: of(9, 31) }, params: { p: 0.5, scale: 2, seed: 1, stream: 2, offset: 3 } },
    {
      name: 'a third, no scaling',
      inputs: { x: of(2, 3, 5, 7) },
      params: { p: 1 / 3, scale: 1, seed: 7, stream: 0, offset: 0 },
    },
    { name: 'scalar', inputs: { x: of() }, params: { p: 0.5, scale: 2, seed: 3, stream: 0, offset: 0 } },
    { name: 'none', inputs: { x: of(13) }, params: { p: 0, scale: 1, seed: 1, stream: 0, offset: 0 } },
    { name: 'all', inputs: { x: of(13) }, params: { p: 1, scale: 2, seed: 1, stream: 0, offset: 0 } },
    {
      name: 'columns of a larger tensor',
      inputs: { x: of(5, 12) },
      params: { p: 0.5, scale: 2, seed: 5, stream: 2, offset: 7, width: 12, stride: 20 },
    },
    {
      name: 'counters past 32 bits',
      inputs: { x: of(50) },
      params: { p: 0.5, scale: 2, seed: 2 ** 40 + 5, stream: 2 ** 33 + 9, offset: 2 ** 32 - 4 },
    },
    {
      name: 'the largest counters',
      inputs: { x: of(22) },
      params: { p: 0.5, scale: 2, seed: 2 ** 53 - 1, stream: 2 ** 53 - 1, offset: 2 ** 53 - 1 },
    },
  ],
  refused: [
    {
      name: 'p > 1',
      inputs: { x: of(3) },
      params: { p: 1.1, scale: 1, seed: 1, stream: 0, offset: 0 },
      error: 'ArgumentError',
    },
    {
      name: 'p < 0',
      inputs: { x: of(3) },
      params: { p: -0.1, scale: 1, seed: 1, stream: 0, offset: 0 },
      error: 'ArgumentError',
    },
    {
      name: 'negative seed',
      inputs: { x: of(3) },
      params: { p: 0.5, scale: 1, seed: -1, stream: 0, offset: 0 },
      error: 'ArgumentError',
    },
    {
      name: 'rows that are no blocks of four',
      inputs: { x: of(3, 6) },
      params: { p: 0.5, scale: 1, seed: 1, stream: 0, offset: 0, width: 6, stride: 12 },
      error: 'ArgumentError',
    },
    {
      name: 'a part of a row',
      inputs: { x: of(3, 8) },
      params: { p: 0.5, scale: 1, seed: 1, stream: 0, offset: 0, width: 16, stride: 16 },
      error: 'ArgumentError',
    },
  ],
});
