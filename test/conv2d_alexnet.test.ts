import { expect } from 'chai';
import { backward } from '../lib/autograd.js';
import { conv2d } from '../lib/ops/index.js';
import { Random } from '../lib/random.js';
import { tidy } from '../lib/scope.js';
import { type Tensor, tensor } from '../lib/tensor.js';
import { draw, type Fill, uniform } from './support/fill.js';

const SAMPLES = 500;
const TOLERANCE = 1e-5;

/** As after a ReLU. */
const positive: Fill = {
  ...uniform(-1, 1),
  values: (size, random) => Float32Array.from({ length: size }, () => Math.max(0, 2 * random() - 1)),
};

interface Layer {
  readonly name: string;
  /** Enough for Winograd's convolutions, which the goldens' cases are too small for; of conv2 one more than `blocked` takes at once. */
  readonly images: number;
  readonly size: number;
  readonly channels: number;
  readonly filters: number;
  readonly kernel: number;
  readonly groups: number;
}

const layers: readonly Layer[] = [
  { name: 'conv2', images: 33, size: 27, channels: 96, filters: 256, kernel: 5, groups: 2 },
  { name: 'conv3', images: 8, size: 13, channels: 256, filters: 384, kernel: 3, groups: 1 },
  { name: 'conv4', images: 8, size: 13, channels: 384, filters: 384, kernel: 3, groups: 2 },
  { name: 'conv5', images: 8, size: 13, channels: 384, filters: 256, kernel: 3, groups: 2 },
];

/** One convolution in float64, element by element. All sizes are odd, and the padding keeps them. */
function reference(layer: Layer, x: Float32Array, w: Float32Array, dy: Float32Array) {
  const { images, size, kernel, groups, channels, filters } = layer;
  const [c, k, half] = [channels / groups, filters / groups, (kernel - 1) / 2];
  const pixel = (image: number, row: number, column: number): number =>
    row < 0 || row >= size || column < 0 || column >= size ? -1 : (image * size + row) * size + column;
  const at = (a: Float32Array, i: number): number => a[i] ?? Number.NaN;
  const split = (index: number, last: number): [number, number, number, number] => {
    const p = Math.floor(index / last);
    return [Math.floor(p / size / size), Math.floor(p / size) % size, p % size, index % last];
  };
  return {
    y(index: number): number {
      const [image, row, column, filter] = split(index, filters);
      const first = Math.floor(filter / k) * c;
      let sum = 0;
      for (let tap = 0; tap < kernel * kernel; tap++) {
        const p = pixel(image, row + Math.floor(tap / kernel) - half, column + (tap % kernel) - half);
        if (p < 0) continue;
        for (let i = 0; i < c; i++)
          sum += at(x, p * channels + first + i) * at(w, (filter * kernel * kernel + tap) * c + i);
      }
      return sum;
    },
    dx(index: number): number {
      const [image, row, column, channel] = split(index, channels);
      const first = Math.floor(channel / c) * k;
      let sum = 0;
      for (let tap = 0; tap < kernel * kernel; tap++) {
        const p = pixel(image, row - Math.floor(tap / kernel) + half, column - (tap % kernel) + half);
        if (p < 0) continue;
        for (let i = first; i < first + k; i++)
          sum += at(dy, p * filters + i) * at(w, (i * kernel * kernel + tap) * c + (channel % c));
      }
      return sum;
    },
    dw(index: number): number {
      const [i, tap] = [index % c, Math.floor(index / c) % (kernel * kernel)];
      const filter = Math.floor(index / c / kernel / kernel);
      let sum = 0;
      for (let q = 0; q < images * size * size; q++) {
        const [image, row, column] = split(q, 1);
        const p = pixel(image, row + Math.floor(tap / kernel) - half, column + (tap % kernel) - half);
        if (p < 0) continue;
        sum += at(dy, q * filters + filter) * at(x, p * channels + Math.floor(filter / k) * c + i);
      }
      return sum;
    },
  };
}

function largestError(actual: Float32Array, wanted: (index: number) => number): number {
  const random = new Random(SAMPLES, actual.length);
  const most = actual.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  let error = 0;
  for (let i = 0; i < SAMPLES; i++) {
    const index = Math.floor(random.uniform() * actual.length);
    error = Math.max(error, Math.abs((actual[index] ?? Number.NaN) - wanted(index)));
  }
  return error / most;
}

/**
 * max|a − b| / max|b| of the samples, measured: by Winograd's convolutions y 1.5e-6, dx 2.4e-6, dw 1.4e-6; by oneDNN's 7e-7,
 * 1.4e-6, 3e-7. Of all elements against im2col, of 32 images, Winograd's: 2.9e-6, 4.6e-6, 3.9e-6; dw of conv2 of 128 images
 * summed by one thread 5.0e-6.
 */
describe('conv2d of the size of AlexNet against float64', () => {
  for (const layer of layers) {
    it(layer.name, () =>
      tidy(async () => {
        const { name, images, size, channels, filters, kernel, groups } = layer;
        const fill = (fill: Fill, what: string, ...shape: number[]): [Float32Array, Tensor] => {
          const count = shape.reduce((a, b) => a * b);
          const data = Float32Array.from(draw(fill, `${name}/${what}`, count));
          return [data, tensor(data, shape, { requiresGrad: true })];
        };
        const [x, xTensor] = fill(positive, 'x', images, size, size, channels);
        const [w, wTensor] = fill(uniform(-0.1, 0.1), 'w', filters, kernel, kernel, channels / groups);
        const [dy, dyTensor] = fill(uniform(-1, 1), 'dy', images, size, size, filters);
        const yTensor = conv2d(xTensor, wTensor, { padding: (kernel - 1) / 2, groups });
        backward(yTensor, dyTensor);
        const wanted = reference(layer, x, w, dy);
        for (const [what, actual] of [
          ['y', yTensor],
          ['dx', xTensor.grad],
          ['dw', wTensor.grad],
        ] as const) {
          const data = (await actual?.data<Float32Array>()) ?? new Float32Array();
          const error = largestError(data, wanted[what]);
          expect(error, `${what}: max|a − b| / max|b|`).to.be.lessThan(TOLERANCE);
        }
      }),
    );
  }
});
