import { expectInteger, expectPair, type Pair } from '../check.js';
import { expected, ShapeError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { dimension, expectShape, expectTensors, output } from './check.js';

export interface PrepareImagesOptions {
  /** `[N, 3]`, int32: top, left, and 1 to mirror the crop left to right. */
  crops: Tensor;
  /** Of the crop. */
  height: number;
  width: number;
  /** Pixels of what is returned, of which the crop is the top left; the rest is 0. Default: the crop's. */
  outputSize?: Pair;
  /** What is subtracted: a colour `[3]`, or an image `[height, width, 3]`, the same for every crop, mirrored or not. */
  mean: Tensor;
  /** `[3]` */
  scale: Tensor;
  /** `[N, 3]`: a colour that is added to all pixels of an image. */
  shift?: Tensor | null;
}

/**
 * The crop, mirror, colour shift and normalisation of the paper's sections 2 and 4.1, in one pass:
 * (pixel + shift − mean) · scale.
 * @param images `[N, H, W, 3]`, uint8
 * @returns `[N, outputH, outputW, 3]`, float32
 */
export function prepareImages(images: Tensor, options: PrepareImagesOptions): Tensor {
  const { crops, mean, scale } = options;
  const shift = options.shift ?? null;
  expectTensors(
    { images: 'uint8', crops: 'int32' },
    { images, crops, mean, scale, ...(shift === null ? {} : { shift }) },
  );
  expectShape('images', images, [null, null, null, 3]);
  const [count, imageH, imageW] = [dimension(images, 0), dimension(images, 1), dimension(images, 2)];
  const height = expectInteger('height', options.height, 1);
  const width = expectInteger('width', options.width, 1);
  if (height > imageH || width > imageW) {
    throw new ShapeError(
      expected(`crop of at most ${imageH} × ${imageW}`, 'height and width', [height, width]),
    );
  }
  expectShape('crops', crops, [count, 3]);
  const [outputH, outputW] = expectPair('outputSize', options.outputSize ?? [height, width], 1);
  if (outputH < height || outputW < width) {
    throw new ShapeError(
      expected(`at least ${height} × ${width}, the crop,`, 'outputSize', [outputH, outputW]),
    );
  }
  expectShape('mean', mean, mean.shape.length === 1 ? [3] : [height, width, 3]);
  expectShape('scale', scale, [3]);
  if (shift !== null) expectShape('shift', shift, [count, 3]);
  const y = output(images, [count, outputH, outputW, 3]);
  images.device.backend.prepareImages(
    { cropH: height, cropW: width },
    images.handle,
    crops.handle,
    mean.handle,
    scale.handle,
    shift?.handle ?? null,
    y.handle,
  );
  return y;
}
