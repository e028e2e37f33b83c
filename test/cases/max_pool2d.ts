import { type MaxPool2dOptions, maxPool2d } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { multiplesOf, spaced, these, uniform } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape, fill: spaced });

export default defineOp<{ x: Tensor }, MaxPool2dOptions>({
  op: 'maxPool2d',
  torch: 'max_pool2d(x, **params)',
  run: ({ x }, params) => maxPool2d(x, params),
  gradients: ['x'],
  cases: [
    { name: 'overlapping', inputs: { x: of(2, 7, 7, 3) }, params: { kernelSize: 3, stride: 2 } },
    {
      name: 'overlapping, last rows unused',
      inputs: { x: of(1, 8, 6, 5) },
      params: { kernelSize: 3, stride: 2 },
    },
    { name: 'stride = kernel', inputs: { x: of(2, 6, 4, 3) }, params: { kernelSize: 2 } },
    { name: 'stride > kernel', inputs: { x: of(1, 8, 9, 2) }, params: { kernelSize: 2, stride: 3 } },
    { name: 'stride 1', inputs: { x: of(1, 6, 5, 3) }, params: { kernelSize: 5, stride: 1 } },
    { name: 'padding', inputs: { x: of(2, 5, 6, 3) }, params: { kernelSize: 3, stride: 2, padding: 1 } },
    {
      name: 'padding of half the kernel',
      inputs: { x: of(1, 4, 5, 3) },
      params: { kernelSize: 2, stride: 1, padding: 1 },
    },
    {
      name: 'padding never wins',
      inputs: { x: { shape: [1, 5, 5, 2], fill: uniform(-2, -1) } },
      params: { kernelSize: 3, stride: 2, padding: 1 },
      kinks: 'the inputs are not spaced',
    },
    { name: 'non-square', inputs: { x: of(2, 7, 5, 3) }, params: { kernelSize: [3, 2], stride: [2, 1] } },
    {
      name: 'non-square padding',
      inputs: { x: of(1, 5, 4, 3) },
      params: { kernelSize: [2, 3], stride: [1, 2], padding: [0, 1] },
    },
    { name: '1 channel', inputs: { x: of(1, 5, 5, 1) }, params: { kernelSize: 3, stride: 2 } },
    { name: '13 channels', inputs: { x: of(1, 5, 5, 13) }, params: { kernelSize: 3, stride: 2 } },
    { name: '40 channels', inputs: { x: of(1, 4, 3, 40) }, params: { kernelSize: 3, stride: 1 } },
    { name: 'kernel 1', inputs: { x: of(1, 3, 4, 3) }, params: { kernelSize: 1 } },
    { name: 'kernel 1, stride 2', inputs: { x: of(1, 3, 4, 3) }, params: { kernelSize: 1, stride: 2 } },
    { name: 'kernel = image', inputs: { x: of(2, 4, 3, 5) }, params: { kernelSize: [4, 3] } },
    { name: 'image 1 × 1', inputs: { x: of(2, 1, 1, 5) }, params: { kernelSize: 1 } },
    {
      name: 'image 1 × 1, padded',
      inputs: { x: of(2, 1, 1, 5) },
      params: { kernelSize: 3, stride: 2, padding: 1 },
    },
    {
      name: 'windows of 289 positions',
      inputs: { x: of(1, 18, 18, 1) },
      params: { kernelSize: 17, stride: 1 },
    },
    {
      name: 'ties',
      inputs: { x: { shape: [2, 7, 7, 3], fill: multiplesOf(1) } },
      params: { kernelSize: 3, stride: 2 },
      kinks: 'equal inputs',
    },
    {
      name: 'ties, padding',
      inputs: { x: { shape: [1, 6, 5, 3], fill: multiplesOf(1) } },
      params: { kernelSize: 3, stride: 1, padding: 1 },
      kinks: 'equal inputs',
    },
    {
      name: 'all equal',
      inputs: { x: { shape: [1, 5, 5, 2], fill: these(new Float32Array(50).fill(-3)) } },
      params: { kernelSize: 3, stride: 2, padding: 1 },
      kinks: 'equal inputs',
    },
  ],
  refused: [
    { name: 'kernel 0', inputs: { x: of(1, 4, 4, 2) }, params: { kernelSize: 0 }, error: 'ArgumentError' },
    {
      name: 'stride 0',
      inputs: { x: of(1, 4, 4, 2) },
      params: { kernelSize: 2, stride: 0 },
      error: 'ArgumentError',
    },
    {
      name: 'padding > half the kernel',
      inputs: { x: of(1, 4, 4, 2) },
      params: { kernelSize: 3, padding: 2 },
      error: 'ShapeError',
    },
    { name: 'kernel > image', inputs: { x: of(1, 2, 4, 2) }, params: { kernelSize: 3 }, error: 'ShapeError' },
  ],
});
