import { record } from '../autograd.js';
import { expectInteger, expectPair, type Pair } from '../check.js';
import { expected, ShapeError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { biasReluBackward } from './bias_relu.js';
import { dimension, expectShape, expectTensors, output, windows } from './check.js';

export interface Conv2dOptions {
  /** `[K]` */
  bias?: Tensor | null;
  /** Default 1. */
  stride?: Pair;
  /** Zeros on each side. Default 0. */
  padding?: Pair;
  /** 1 is dense. Default 1. */
  dilation?: Pair;
  /** Input and output channels are split into so many groups that do not see each other. Default 1. */
  groups?: number;
  /** max(0, …) of the result, fused: a NaN may come out as 0, as from oneDNN and cuDNN. Default false. */
  relu?: boolean;
}

/**
 * Cross-correlation, as every network means it.
 * @param x `[N, H, W, C]`
 * @param weight `[K, R, S, C / groups]`
 * @returns `[N, OH, OW, K]` with OH = floor((H + 2·padding − dilation·(R − 1) − 1) / stride) + 1
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  const bias = options.bias ?? null;
  expectTensors({}, bias === null ? { x, weight } : { x, weight, bias });
  expectShape('weight', weight, [null, null, null, null]);
  const [strideH, strideW] = expectPair('stride', options.stride ?? 1, 1);
  const [padH, padW] = expectPair('padding', options.padding ?? 0, 0);
  const [dilationH, dilationW] = expectPair('dilation', options.dilation ?? 1, 1);
  const groups = expectInteger('groups', options.groups ?? 1, 1);
  const relu = options.relu ?? false;
  const filters = dimension(weight, 0);
  if (filters % groups !== 0)
    throw new ShapeError(expected(`multiple of ${groups} groups`, 'filters', filters));
  expectShape('x', x, [null, null, null, dimension(weight, 3) * groups]);
  if (bias !== null) expectShape('bias', bias, [filters]);
  const y = output(x, [
    dimension(x, 0),
    windows('height', dimension(x, 1), dimension(weight, 1), strideH, padH, dilationH),
    windows('width', dimension(x, 2), dimension(weight, 2), strideW, padW, dilationW),
    filters,
  ]);
  const { backend } = x.device;
  const params = { strideH, strideW, padH, padW, dilationH, dilationW, groups, relu };
  backend.conv2d(params, x.handle, weight.handle, bias?.handle ?? null, y.handle);

  return record('conv2d', y, [x, weight, bias], (tape) => {
    const saved = { x: tape.save(x), weight: tape.save(weight), y: relu ? tape.save(y) : null };
    return (dy, [wantsX, wantsWeight, wantsBias]) => {
      const { dz, dbias } = biasReluBackward(saved.y, dy, filters, wantsBias === true);
      const dweight = wantsWeight ? output(dy, saved.weight.shape) : null;
      if (dweight) backend.conv2dBackwardFilter(params, saved.x.handle, dz.handle, dweight.handle);
      const dx = wantsX ? output(dy, saved.x.shape) : null;
      if (dx) backend.conv2dBackwardData(params, dz.handle, saved.weight.handle, dx.handle);
      return [dx, dweight, dbias];
    };
  });
}
