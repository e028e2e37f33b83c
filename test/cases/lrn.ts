import { type LrnOptions, lrn } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { uniform } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape, fill: uniform(-2, 2) });
/** With alpha = 1e-4 only large numbers are normalised noticeably. */
const large = (...shape: number[]): InputSpec => ({ shape, fill: uniform(-128, 128) });

export default defineOp<{ x: Tensor }, LrnOptions>({
  op: 'lrn',
  torch: 'lrn(x, **params)',
  run: ({ x }, params) => lrn(x, params),
  gradients: ['x'],
  real: ['alpha', 'beta', 'k'],
  cases: [
    { name: 'defaults', inputs: { x: large(2, 3, 2, 8) }, params: {} },
    { name: 'the paper', inputs: { x: large(1, 2, 3, 96) }, params: { alpha: 5e-4, k: 2, groups: 2 } },
    { name: '1 channel', inputs: { x: of(1, 2, 3, 1) }, params: { alpha: 0.5 } },
    { name: '13 channels', inputs: { x: of(2, 3, 3, 13) }, params: { alpha: 0.5 } },
    { name: '4 channels, size 5', inputs: { x: of(2, 2, 2, 4) }, params: { alpha: 0.5 } },
    { name: '2 channels, size 11', inputs: { x: of(2, 2, 3, 2) }, params: { size: 11, alpha: 2 } },
    { name: 'size 1', inputs: { x: of(1, 3, 2, 7) }, params: { size: 1, alpha: 0.3 } },
    { name: 'size 3', inputs: { x: of(1, 3, 2, 7) }, params: { size: 3, alpha: 0.3, k: 2 } },
    { name: 'size 9', inputs: { x: of(1, 2, 2, 20) }, params: { size: 9, alpha: 0.9 } },
    { name: 'groups 2', inputs: { x: of(2, 3, 2, 16) }, params: { alpha: 0.5, groups: 2 } },
    {
      name: 'groups 4 of 3 channels, size 5',
      inputs: { x: of(1, 2, 2, 12) },
      params: { alpha: 1, groups: 4 },
    },
    { name: 'groups of 1 channel', inputs: { x: of(1, 2, 2, 5) }, params: { alpha: 1, groups: 5 } },
    { name: 'beta 0.5', inputs: { x: of(1, 2, 3, 9) }, params: { alpha: 0.5, beta: 0.5 } },
    { name: 'beta 1', inputs: { x: of(1, 2, 3, 9) }, params: { alpha: 0.5, beta: 1 } },
    { name: 'beta 0.6, k 1.5', inputs: { x: of(2, 2, 3, 6) }, params: { alpha: 0.5, beta: 0.6, k: 1.5 } },
    { name: 'beta 0', inputs: { x: of(1, 1, 2, 6) }, params: { alpha: 0.5, beta: 0 } },
    { name: 'alpha 0', inputs: { x: of(1, 1, 2, 6) }, params: { alpha: 0, k: 3 } },
    // cuDNN has no such sizes, exponents and constants.
    { name: 'size 17', inputs: { x: of(2, 2, 3, 40) }, params: { size: 17, alpha: 1, groups: 2 } },
    { name: 'beta 0.005', inputs: { x: of(1, 2, 3, 9) }, params: { alpha: 0.5, beta: 0.005 } },
    { name: 'k 5e-6', inputs: { x: of(1, 2, 3, 9) }, params: { alpha: 50, k: 5e-6 } },
    { name: 'many rows', inputs: { x: of(5, 7, 9, 3) }, params: { alpha: 0.5, size: 3 } },
  ],
  refused: [
    { name: 'size 0', inputs: { x: of(1, 2, 2, 4) }, params: { size: 0 }, error: 'ArgumentError' },
    { name: 'even size', inputs: { x: of(1, 2, 2, 4) }, params: { size: 4 }, error: 'ArgumentError' },
    { name: 'groups 0', inputs: { x: of(1, 2, 2, 4) }, params: { groups: 0 }, error: 'ArgumentError' },
    {
      name: 'channels no multiple of groups',
      inputs: { x: of(1, 2, 2, 4) },
      params: { groups: 3 },
      error: 'ShapeError',
    },
  ],
});
