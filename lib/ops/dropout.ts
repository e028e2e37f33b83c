import { record } from '../autograd.js';
import { expectFinite, expectInRange, expectInteger } from '../check.js';
import { ArgumentError, expected } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { expectTensors, output } from './check.js';

export interface DropoutOptions {
  /** The probability that an element becomes 0, in [0, 1]. */
  p: number;
  /** What the others are multiplied with: 1/(1 − p) keeps the mean; the paper has 1, and ×(1 − p) at test. */
  scale: number;
  /** Equal (seed, stream, offset) draw equal numbers; `offset` counts blocks of four elements. */
  seed: number;
  stream: number;
  offset: number;
  /**
   * Of some columns of a larger tensor, which are drawn for as there: the length of its rows here, and there. Multiples
   * of 4. Default: all of `x` is one row.
   */
  width?: number;
  stride?: number;
}

/**
 * Sets random elements to 0 (paper, section 4.2). No mask is kept: the backward draws the same numbers again.
 * @returns the same shape
 */
export function dropout(x: Tensor, options: DropoutOptions): Tensor {
  expectTensors({}, { x });
  const width = expectInteger('width', options.width ?? x.size, 1, x.size);
  const stride = expectInteger('stride', options.stride ?? width, width);
  if (width < x.size && (width % 4 !== 0 || stride % 4 !== 0 || x.size % width !== 0))
    throw new ArgumentError(
      expected(`rows of a multiple of 4 in ${x.size} elements`, 'width and stride', [width, stride]),
    );
  const params = {
    width,
    stride,
    p: expectInRange('p', options.p, 0, 1),
    scale: expectFinite('scale', options.scale),
    seed: expectInteger('seed', options.seed, 0),
    stream: expectInteger('stream', options.stream, 0),
    offset: expectInteger('offset', options.offset, 0),
  };
  const y = output(x);
  const { backend } = x.device;
  backend.dropout(params, x.handle, y.handle);
  return record('dropout', y, [x], () => (dy) => {
    const dx = output(dy);
    backend.dropout(params, dy.handle, dx.handle);
    return [dx];
  });
}
