import { record, recording } from '../autograd.js';
import { expectFinite, expectInteger } from '../check.js';
import { ArgumentError, expected, ShapeError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { dimension, expectShape, expectTensors, output } from './check.js';

export interface LrnOptions {
  /** Neighbouring channels that a sum runs over, an odd number. Default 5. */
  size?: number;
  /** Divided by `size`, as in PyTorch and cuDNN. Default 1e-4. */
  alpha?: number;
  /** Default 0.75. */
  beta?: number;
  /** Default 1. */
  k?: number;
  /** Channels are normalised within so many groups, as within the columns of the paper. Default 1. */
  groups?: number;
}

/**
 * Local response normalisation over channels (paper, section 3.3):
 * y = x / (k + alpha / size · Σ x²)^beta.
 * @param x `[N, H, W, C]`
 * @returns the same shape
 */
export function lrn(x: Tensor, options: LrnOptions = {}): Tensor {
  expectTensors({}, { x });
  expectShape('x', x, [null, null, null, null]);
  const size = expectInteger('size', options.size ?? 5, 1);
  // PyTorch and cuDNN disagree on which side of an even window is longer.
  if (size % 2 === 0) throw new ArgumentError(expected('odd integer', 'size', size));
  const params = {
    size,
    alpha: expectFinite('alpha', options.alpha ?? 1e-4),
    beta: expectFinite('beta', options.beta ?? 0.75),
    k: expectFinite('k', options.k ?? 1),
    groups: expectInteger('groups', options.groups ?? 1, 1),
  };
  if (dimension(x, 3) % params.groups !== 0) {
    throw new ShapeError(expected(`multiple of ${params.groups} groups`, 'channels of x', dimension(x, 3)));
  }
  const y = output(x);
  const { backend } = x.device;
  const saved = recording([x]) ? backend.lrnSave(params, x.handle, y.handle) : null;
  backend.lrn(params, x.handle, y.handle, saved);
  if (saved === null) return y;

  return record('lrn', y, [x], (tape) => {
    const state = tape.own(saved, x, y);
    return (dy) => {
      const dx = output(dy);
      backend.lrnBackward(params, state, dy.handle, dx.handle);
      return [dx];
    };
  });
}
