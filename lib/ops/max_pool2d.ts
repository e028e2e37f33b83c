import { record, recording } from '../autograd.js';
import { expectPair, type Pair } from '../check.js';
import { expected, ShapeError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { dimension, expectShape, expectTensors, output, windows } from './check.js';

export interface MaxPool2dOptions {
  kernelSize: Pair;
  /** Default: kernelSize. Smaller ones overlap (paper, section 3.4). */
  stride?: Pair;
  /** At most half of kernelSize; padded positions are never the maximum. Default 0. */
  padding?: Pair;
}

/**
 * The maximum of each window; its gradient goes to the first maximum in row-major order.
 * @param x `[N, H, W, C]`
 * @returns `[N, OH, OW, C]` with OH = floor((H + 2·padding − kernel) / stride) + 1
 */
export function maxPool2d(x: Tensor, options: MaxPool2dOptions): Tensor {
  expectTensors({}, { x });
  expectShape('x', x, [null, null, null, null]);
  const [kernelH, kernelW] = expectPair('kernelSize', options.kernelSize, 1);
  const [strideH, strideW] = expectPair('stride', options.stride ?? options.kernelSize, 1);
  const [padH, padW] = expectPair('padding', options.padding ?? 0, 0);
  if (padH * 2 > kernelH || padW * 2 > kernelW) {
    throw new ShapeError(expected('at most half of kernelSize', 'padding', [padH, padW]));
  }
  const params = { kernelH, kernelW, strideH, strideW, padH, padW };
  const y = output(x, [
    dimension(x, 0),
    windows('height', dimension(x, 1), kernelH, strideH, padH),
    windows('width', dimension(x, 2), kernelW, strideW, padW),
    dimension(x, 3),
  ]);
  const { backend } = x.device;
  const saved = recording([x]) ? backend.maxPool2dSave(params, x.handle, y.handle) : null;
  backend.maxPool2d(params, x.handle, y.handle, saved);
  if (saved === null) return y;

  const { shape } = x;
  return record('maxPool2d', y, [x], (tape) => {
    const state = tape.own(saved, x, y);
    return (dy) => {
      const dx = output(dy, shape);
      backend.maxPool2dBackward(params, state, dy.handle, dx.handle);
      return [dx];
    };
  });
}
