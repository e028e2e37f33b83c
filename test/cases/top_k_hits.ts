import { topKHits } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { labels, multiplesOf } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

const of = (...shape: number[]): InputSpec => ({ shape });
const tied = (...shape: number[]): InputSpec => ({ shape, fill: multiplesOf(1) });
const among = (classes: number, count: number): InputSpec => ({ shape: [count], fill: labels(classes) });

export default defineOp<{ logits: Tensor; labels: Tensor }, { k: number }>({
  op: 'topKHits',
  torch: 'top_k_hits(logits, labels, k)',
  run: ({ logits, labels }, { k }) => topKHits(logits, labels, k),
  cases: [
    { name: 'top 1', inputs: { logits: of(20, 4), labels: among(4, 20) }, params: { k: 1 } },
    { name: 'top 5', inputs: { logits: of(30, 13), labels: among(13, 30) }, params: { k: 5 } },
    { name: 'batch 1', inputs: { logits: of(1, 3), labels: among(3, 1) }, params: { k: 2 } },
    { name: 'k = classes', inputs: { logits: of(5, 3), labels: among(3, 5) }, params: { k: 3 } },
    { name: 'ties, top 1', inputs: { logits: tied(40, 5), labels: among(5, 40) }, params: { k: 1 } },
    { name: 'ties, top 3', inputs: { logits: tied(40, 9), labels: among(9, 40) }, params: { k: 3 } },
  ],
  refused: [
    {
      name: 'k 0',
      inputs: { logits: of(2, 3), labels: among(3, 2) },
      params: { k: 0 },
      error: 'ArgumentError',
    },
    {
      name: 'k > classes',
      inputs: { logits: of(2, 3), labels: among(3, 2) },
      params: { k: 4 },
      error: 'ArgumentError',
    },
  ],
});
