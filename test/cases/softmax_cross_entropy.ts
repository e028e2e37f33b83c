import { softmaxCrossEntropy } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { labels, these, uniform } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const logits = (...shape: number[]): InputSpec => ({ shape, fill: uniform(-4, 4) });
const among = (classes: number, count: number): InputSpec => ({ shape: [count], fill: labels(classes) });

export default defineOp<{ logits: Tensor; labels: Tensor }, object>({
  op: 'softmaxCrossEntropy',
  torch: 'F.cross_entropy(logits, labels.long())',
  run: ({ logits, labels }) => softmaxCrossEntropy(logits, labels),
  gradients: ['logits'],
  cases: [
    { name: 'batch 1', inputs: { logits: logits(1, 10), labels: among(10, 1) }, params: {} },
    { name: 'odd sizes', inputs: { logits: logits(7, 5), labels: among(5, 7) }, params: {} },
    { name: '2 classes', inputs: { logits: logits(16, 2), labels: among(2, 16) }, params: {} },
    { name: '1 class', inputs: { logits: logits(3, 1), labels: among(1, 3) }, params: {} },
    { name: '1000 classes', inputs: { logits: logits(2, 1000), labels: among(1000, 2) }, params: {} },
    {
      name: 'around 1000',
      inputs: { logits: { shape: [3, 5], fill: uniform(1000, 1004) }, labels: among(5, 3) },
      params: {},
    },
    {
      name: 'far apart',
      inputs: {
        logits: { shape: [2, 3], fill: these(Float32Array.of(0, 1e4, -1e4, -1e4, 5e3, 1e4)) },
        labels: { shape: [2], fill: these(Int32Array.of(2, 2)) },
      },
      params: {},
    },
  ],
});
