import { type Conv2dOptions, conv2d } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { multiplesOf, oddMultiplesOf, spaced } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });
/** Before the ReLU there are odd multiples of 1/8: none near its kink. */
const halves = (...shape: number[]): InputSpec => ({ shape, fill: multiplesOf(1 / 2) });
const eighths = (...shape: number[]): InputSpec => ({ shape, fill: oddMultiplesOf(1 / 8) });
const distant = (...shape: number[]): InputSpec => ({ shape, fill: spaced });

export default defineOp<{ x: Tensor; weight: Tensor; bias?: Tensor }, Omit<Conv2dOptions, 'bias'>>({
  op: 'conv2d',
  torch: 'conv2d(x, weight, bias, **params)',
  run: ({ x, weight, bias }, params) => conv2d(x, weight, { ...params, bias: bias ?? null }),
  gradients: ['x', 'weight', 'bias'],
  cases: [
    {
      name: 'batch 1, 1 channel',
      inputs: { x: of(1, 5, 5, 1), weight: of(1, 3, 3, 1), bias: of(1) },
      params: {},
    },
    { name: 'no bias', inputs: { x: of(2, 5, 6, 3), weight: of(4, 3, 3, 3) }, params: { padding: 1 } },
    { name: 'kernel 1', inputs: { x: of(2, 4, 3, 5), weight: of(7, 1, 1, 5), bias: of(7) }, params: {} },
    {
      name: 'kernel 1, stride 2',
      inputs: { x: of(2, 5, 4, 5), weight: of(3, 1, 1, 5), bias: of(3) },
      params: { stride: 2 },
    },
    {
      name: 'kernel 5',
      inputs: { x: of(1, 7, 6, 3), weight: of(4, 5, 5, 3), bias: of(4) },
      params: { padding: 2 },
    },
    {
      name: 'kernel 11, stride 4',
      inputs: { x: of(1, 19, 15, 3), weight: of(5, 11, 11, 3), bias: of(5) },
      params: { stride: 4 },
    },
    {
      name: 'kernel 11, stride 4, padding 2',
      inputs: { x: of(2, 17, 16, 3), weight: of(2, 11, 11, 3), bias: of(2) },
      params: { stride: 4, padding: 2 },
    },
    {
      name: 'groups 2',
      inputs: { x: of(2, 5, 6, 6), weight: of(4, 3, 3, 3), bias: of(4) },
      params: { padding: 1, groups: 2 },
    },
    {
      name: 'groups 4, kernel 5',
      inputs: { x: of(1, 6, 5, 8), weight: of(12, 5, 5, 2), bias: of(12) },
      params: { padding: 2, groups: 4 },
    },
    {
      name: 'groups 2 of 8 channels',
      inputs: { x: of(1, 5, 5, 16), weight: of(16, 3, 3, 8), bias: of(16) },
      params: { padding: 1, groups: 2 },
    },
    {
      name: 'depthwise',
      inputs: { x: of(2, 5, 4, 6), weight: of(6, 3, 3, 1), bias: of(6) },
      params: { padding: 1, groups: 6 },
    },
    {
      name: 'depthwise, 2 filters a channel',
      inputs: { x: of(1, 5, 5, 3), weight: of(6, 3, 3, 1), bias: of(6) },
      params: { stride: 2, groups: 3 },
    },
    {
      name: 'stride > kernel',
      inputs: { x: of(2, 8, 9, 3), weight: of(4, 2, 2, 3), bias: of(4) },
      params: { stride: 3 },
    },
    {
      name: 'last rows and columns unused',
      inputs: { x: of(1, 8, 10, 3), weight: of(4, 3, 3, 3), bias: of(4) },
      params: { stride: [2, 3] },
    },
    {
      name: 'non-square',
      inputs: { x: of(2, 9, 5, 3), weight: of(5, 3, 2, 3), bias: of(5) },
      params: { stride: [2, 1], padding: [1, 0] },
    },
    {
      name: 'kernel of one row',
      inputs: { x: of(1, 4, 9, 2), weight: of(3, 1, 5, 2), bias: of(3) },
      params: { padding: [0, 2] },
    },
    { name: 'image 1 × 1', inputs: { x: of(3, 1, 1, 6), weight: of(4, 1, 1, 6), bias: of(4) }, params: {} },
    {
      name: 'image 1 × 1, padded',
      inputs: { x: of(2, 1, 1, 4), weight: of(5, 3, 3, 4), bias: of(5) },
      params: { padding: 1 },
    },
    {
      name: 'kernel > image',
      inputs: { x: of(1, 3, 2, 2), weight: of(3, 5, 5, 2), bias: of(3) },
      params: { padding: 2 },
    },
    {
      name: 'kernel = image',
      inputs: { x: of(2, 4, 5, 3), weight: of(6, 4, 5, 3), bias: of(6) },
      params: {},
    },
    {
      name: 'padding > kernel',
      inputs: { x: of(1, 3, 4, 2), weight: of(2, 2, 2, 2), bias: of(2) },
      params: { padding: 3 },
    },
    {
      name: '3 to 32 channels',
      inputs: { x: of(3, 19, 8, 3), weight: of(32, 5, 4, 3), bias: of(32) },
      params: { stride: [2, 1], padding: [1, 2] },
    },
    {
      name: '1 to 64 channels, kernel of one row',
      inputs: { x: of(1, 3, 9, 1), weight: of(64, 1, 7, 1), bias: of(64) },
      params: { padding: [0, 3] },
    },
    {
      name: '3 to 48 channels, kernel > image',
      inputs: { x: of(1, 3, 2, 3), weight: of(48, 5, 5, 3), bias: of(48) },
      params: { padding: 2 },
    },
    {
      name: '2 to 16 channels, padding > kernel',
      inputs: { x: of(1, 3, 4, 2), weight: of(16, 2, 2, 2), bias: of(16) },
      params: { padding: 3 },
    },
    {
      name: '5 to 16 channels, rows dilated',
      inputs: { x: of(2, 9, 6, 5), weight: of(16, 3, 3, 5), bias: of(16) },
      params: { dilation: [2, 1], padding: 1 },
    },
    {
      name: '3 to 16 channels, kernel = image',
      inputs: { x: of(1, 4, 5, 3), weight: of(16, 4, 5, 3), bias: of(16) },
      params: {},
    },
    {
      name: '8 to 32 channels, stride > kernel',
      inputs: { x: of(2, 11, 8, 8), weight: of(32, 2, 2, 8), bias: of(32) },
      params: { stride: 3 },
    },
    {
      name: '13 to 11 channels',
      inputs: { x: of(1, 5, 5, 13), weight: of(11, 3, 3, 13), bias: of(11) },
      params: { padding: 1 },
    },
    {
      name: '16 to 24 channels',
      inputs: { x: of(1, 6, 5, 16), weight: of(24, 3, 3, 16), bias: of(24) },
      params: { padding: 1 },
    },
    {
      name: 'kernel 5, 24 channels',
      inputs: { x: of(1, 6, 5, 24), weight: of(9, 5, 5, 24), bias: of(9) },
      params: { padding: 2 },
    },
    {
      name: 'batch 5, 8 channels',
      inputs: { x: of(5, 6, 7, 8), weight: of(8, 3, 3, 8), bias: of(8) },
      params: { padding: 1 },
    },
    {
      name: 'batch 4, groups 2, kernel 5',
      inputs: { x: of(4, 7, 6, 8), weight: of(8, 5, 5, 4), bias: of(8) },
      params: { padding: 2, groups: 2 },
    },
    {
      name: 'kernel 3, padding 2 and 0',
      inputs: { x: of(2, 5, 7, 8), weight: of(9, 3, 3, 8), bias: of(9) },
      params: { padding: [2, 0] },
    },
    {
      name: 'kernel 5, padding 4 and 1',
      inputs: { x: of(2, 6, 5, 9), weight: of(8, 5, 5, 9), bias: of(8) },
      params: { padding: [4, 1] },
    },
    {
      name: 'kernel 5, groups 2 of 8 channels',
      inputs: { x: of(2, 7, 8, 16), weight: of(32, 5, 5, 8), bias: of(32) },
      params: { padding: 2, groups: 2 },
    },
    {
      name: 'dilation',
      inputs: { x: of(1, 7, 8, 3), weight: of(4, 3, 3, 3), bias: of(4) },
      params: { dilation: 2 },
    },
    {
      name: 'dilation by row and column, stride, padding, groups',
      inputs: { x: of(2, 9, 10, 4), weight: of(6, 3, 2, 2), bias: of(6) },
      params: { dilation: [2, 3], stride: [2, 1], padding: [2, 1], groups: 2 },
    },
    {
      name: 'relu',
      inputs: { x: halves(2, 5, 5, 3), weight: halves(4, 3, 3, 3), bias: eighths(4) },
      params: { padding: 1, relu: true },
    },
    {
      name: 'relu, groups 2, stride 2',
      inputs: { x: halves(1, 7, 6, 4), weight: halves(10, 3, 3, 2), bias: eighths(10) },
      params: { stride: 2, groups: 2, relu: true },
    },
    {
      name: 'relu, kernel 11',
      inputs: { x: halves(1, 15, 11, 1), weight: halves(3, 11, 11, 1), bias: eighths(3) },
      params: { stride: 4, relu: true },
    },
    {
      name: 'relu, no bias',
      inputs: { x: distant(2, 3, 3, 1), weight: distant(4, 1, 1, 1) },
      params: { relu: true },
    },
  ],
  refused: [
    {
      name: 'stride 0',
      inputs: { x: of(1, 5, 5, 2), weight: of(2, 3, 3, 2) },
      params: { stride: 0 },
      error: 'ArgumentError',
    },
    {
      name: 'negative padding',
      inputs: { x: of(1, 5, 5, 2), weight: of(2, 3, 3, 2) },
      params: { padding: -1 },
      error: 'ArgumentError',
    },
    {
      name: 'dilation 0',
      inputs: { x: of(1, 5, 5, 2), weight: of(2, 3, 3, 2) },
      params: { dilation: [1, 0] },
      error: 'ArgumentError',
    },
    {
      name: 'groups 0',
      inputs: { x: of(1, 5, 5, 2), weight: of(2, 3, 3, 2) },
      params: { groups: 0 },
      error: 'ArgumentError',
    },
    {
      name: 'channels no multiple of groups',
      inputs: { x: of(1, 5, 5, 3), weight: of(2, 3, 3, 1) },
      params: { groups: 2 },
      error: 'ShapeError',
    },
    {
      name: 'filters no multiple of groups',
      inputs: { x: of(1, 5, 5, 4), weight: of(3, 3, 3, 2) },
      params: { groups: 2 },
      error: 'ShapeError',
    },
    {
      name: 'kernel > image',
      inputs: { x: of(1, 2, 5, 2), weight: of(2, 3, 3, 2) },
      params: {},
      error: 'ShapeError',
    },
    {
      name: 'dilated kernel > image',
      inputs: { x: of(1, 5, 4, 2), weight: of(2, 3, 3, 2) },
      params: { dilation: 2 },
      error: 'ShapeError',
    },
  ],
});
