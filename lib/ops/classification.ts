import { record } from '../autograd.js';
import { expectInteger } from '../check.js';
import type { Tensor } from '../tensor.js';
import { dimension, expectShape, expectTensors, output } from './check.js';

/**
 * exp(x) / Σ exp(x) over classes.
 * @param x `[N, C]`
 * @returns `[N, C]`, rows that add up to 1
 */
export function softmax(x: Tensor): Tensor {
  expectTensors({}, { x });
  expectShape('x', x, [null, null]);
  const y = output(x);
  const { backend } = x.device;
  backend.softmax(x.handle, y.handle);
  return record('softmax', y, [x], (tape) => {
    const saved = tape.save(y);
    return (dy) => {
      const dx = output(dy);
      backend.softmaxBackward(saved.handle, dy.handle, dx.handle);
      return [dx];
    };
  });
}

/**
 * The mean over the batch of −log softmax(logits)[label].
 * @param logits `[N, C]`
 * @param labels `[N]`, int32, in [0, C)
 * @returns a scalar
 */
export function softmaxCrossEntropy(logits: Tensor, labels: Tensor): Tensor {
  expectTensors({ labels: 'int32' }, { logits, labels });
  expectShape('logits', logits, [null, null]);
  expectShape('labels', labels, [dimension(logits, 0)]);
  const loss = output(logits, []);
  const probabilities = output(logits);
  const { backend } = logits.device;
  backend.softmaxCrossEntropy(logits.handle, labels.handle, loss.handle, probabilities.handle);
  record('softmaxCrossEntropy', loss, [logits], (tape) => {
    const saved = { probabilities: tape.save(probabilities), labels: tape.save(labels) };
    return (dloss) => {
      const dlogits = output(saved.probabilities);
      backend.softmaxCrossEntropyBackward(
        saved.probabilities.handle,
        saved.labels.handle,
        dloss.handle,
        dlogits.handle,
      );
      return [dlogits];
    };
  });
  probabilities.dispose();
  return loss;
}

/**
 * Whether the label is among the k classes with the largest logits; of equal ones the lower index counts first.
 * @param logits `[N, C]`
 * @param labels `[N]`, int32
 * @param k from 1 to C
 * @returns `[N]`, int32, 1 or 0
 */
export function topKHits(logits: Tensor, labels: Tensor, k: number): Tensor {
  expectTensors({ labels: 'int32' }, { logits, labels });
  expectShape('logits', logits, [null, null]);
  expectShape('labels', labels, [dimension(logits, 0)]);
  const params = { k: expectInteger('k', k, 1, dimension(logits, 1)) };
  const hits = output(logits, [dimension(logits, 0)], 'int32');
  logits.device.backend.topKHits(params, logits.handle, labels.handle, hits.handle);
  return hits;
}
