import { prepareImages } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { bytes, type Fill, these, uniform } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const images = (...shape: number[]): InputSpec => ({ shape, fill: bytes });
const crops = (...rows: number[][]): InputSpec => ({
  shape: [rows.length, 3],
  fill: these(Int32Array.from(rows.flat())),
});
const levels: Fill = uniform(0, 255);
const colour: InputSpec = { shape: [3], fill: levels };
const scale: InputSpec = { shape: [3], fill: uniform(0.01, 0.02) };

interface PrepareInputs {
  images: Tensor;
  crops: Tensor;
  mean: Tensor;
  scale: Tensor;
  shift?: Tensor;
}

interface PrepareParams {
  height: number;
  width: number;
  outputSize?: [number, number];
}

export default defineOp<PrepareInputs, PrepareParams>({
  op: 'prepareImages',
  torch: 'prepare_images(images, crops, mean, scale, shift, height, width, outputSize)',
  run: ({ images, shift, ...inputs }, params) =>
    prepareImages(images, { ...inputs, ...params, shift: shift ?? null }),
  cases: [
    {
      name: 'crop and flip',
      inputs: {
        images: images(3, 6, 7, 3),
        crops: crops([0, 0, 0], [2, 3, 1], [1, 2, 0]),
        mean: colour,
        scale,
      },
      params: { height: 4, width: 4 },
    },
    {
      name: 'mean image, shift',
      inputs: {
        images: images(2, 5, 6, 3),
        crops: crops([1, 0, 1], [0, 2, 0]),
        mean: { shape: [3, 4, 3], fill: levels },
        scale,
        shift: { shape: [2, 3], fill: uniform(-20, 20) },
      },
      params: { height: 3, width: 4 },
    },
    {
      name: 'mean image, a crop in a larger output',
      inputs: {
        images: images(3, 6, 7, 3),
        crops: crops([0, 0, 1], [2, 3, 0], [1, 1, 1]),
        mean: { shape: [4, 4, 3], fill: levels },
        scale,
      },
      params: { height: 4, width: 4, outputSize: [5, 7] },
    },
    {
      name: 'a colour, a crop in a larger output',
      inputs: {
        images: images(2, 5, 5, 3),
        crops: crops([0, 1, 1], [1, 0, 0]),
        mean: colour,
        scale,
        shift: { shape: [2, 3], fill: uniform(-20, 20) },
      },
      params: { height: 4, width: 4, outputSize: [5, 5] },
    },
    {
      name: 'whole image, flipped',
      inputs: { images: images(1, 3, 5, 3), crops: crops([0, 0, 1]), mean: colour, scale },
      params: { height: 3, width: 5 },
    },
    {
      name: '1 × 1',
      inputs: {
        images: images(1, 1, 1, 3),
        crops: crops([0, 0, 0]),
        mean: colour,
        scale,
        shift: { shape: [1, 3] },
      },
      params: { height: 1, width: 1 },
    },
  ],
  refused: [
    {
      name: 'crop > image',
      inputs: { images: images(1, 3, 5, 3), crops: crops([0, 0, 0]), mean: colour, scale },
      params: { height: 4, width: 5 },
      error: 'ShapeError',
    },
    {
      name: 'output < crop',
      inputs: { images: images(1, 3, 5, 3), crops: crops([0, 0, 0]), mean: colour, scale },
      params: { height: 3, width: 4, outputSize: [3, 3] },
      error: 'ShapeError',
    },
    {
      name: "a mean image of the images' size, not the crop's",
      inputs: {
        images: images(1, 3, 5, 3),
        crops: crops([0, 0, 0]),
        mean: { shape: [3, 5, 3], fill: levels },
        scale,
      },
      params: { height: 3, width: 4 },
      error: 'ShapeError',
    },
    {
      name: 'height 0',
      inputs: { images: images(1, 3, 5, 3), crops: crops([0, 0, 0]), mean: colour, scale },
      params: { height: 0, width: 5 },
      error: 'ArgumentError',
    },
    {
      name: '4 channels',
      inputs: { images: images(1, 3, 5, 4), crops: crops([0, 0, 0]), mean: colour, scale },
      params: { height: 3, width: 5 },
      error: 'ShapeError',
    },
  ],
});
