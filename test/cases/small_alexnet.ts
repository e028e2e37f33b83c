import {
  conv2d,
  dropout,
  linear,
  lrn,
  maxPool2d,
  reshape,
  softmaxCrossEntropy,
} from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { labels, uniform } from '../support/fill.js';
import { defineOp, type InputSpec } from '../support/op_table.js';

/** Weights of a layer whose outputs have about the size of its inputs. */
const weight = (...shape: number[]): InputSpec => {
  const bound = Math.sqrt(6 / shape.slice(1).reduce((a, b) => a * b));
  return { shape, fill: uniform(-bound, bound) };
};
const bias = (size: number): InputSpec => ({ shape: [size], fill: uniform(0, 0.5) });

interface Net {
  x: Tensor;
  conv1: Tensor;
  bias1: Tensor;
  conv2: Tensor;
  bias2: Tensor;
  conv3: Tensor;
  bias3: Tensor;
  fc1: Tensor;
  bias4: Tensor;
  fc2: Tensor;
  bias5: Tensor;
  labels: Tensor;
}

/** The layers of AlexNet in its order, few and narrow, as one operation. */
export default defineOp<Net, object>({
  op: 'smallAlexNet',
  torch: 'small_alexnet(x, conv1, bias1, conv2, bias2, conv3, bias3, fc1, bias4, fc2, bias5, labels)',
  run: (net) => {
    const norm = { alpha: 0.1, groups: 2 };
    const window = { kernelSize: 3, stride: 2 };
    let y = conv2d(net.x, net.conv1, { bias: net.bias1, stride: 2, relu: true });
    y = maxPool2d(lrn(y, norm), window);
    y = conv2d(y, net.conv2, { bias: net.bias2, padding: 2, groups: 2, relu: true });
    y = lrn(y, norm);
    y = conv2d(y, net.conv3, { bias: net.bias3, padding: 1, relu: true });
    y = maxPool2d(y, window);
    y = reshape(y, [y.shape[0] ?? 0, y.size / (y.shape[0] ?? 1)]);
    y = linear(y, net.fc1, { bias: net.bias4, relu: true });
    y = dropout(y, { p: 0.5, scale: 2, seed: 5, stream: 1, offset: 0 });
    return softmaxCrossEntropy(linear(y, net.fc2, { bias: net.bias5 }), net.labels);
  },
  gradients: ['x', 'conv1', 'bias1', 'conv2', 'bias2', 'conv3', 'bias3', 'fc1', 'bias4', 'fc2', 'bias5'],
  composed: true,
  cases: [
    {
      name: 'batch 3',
      inputs: {
        x: { shape: [3, 25, 25, 3] },
        conv1: weight(8, 5, 5, 3),
        bias1: bias(8),
        conv2: weight(12, 5, 5, 4),
        bias2: bias(12),
        conv3: weight(10, 3, 3, 12),
        bias3: bias(10),
        fc1: weight(16, 40),
        bias4: bias(16),
        fc2: weight(5, 16),
        bias5: bias(5),
        labels: { shape: [3], fill: labels(5) },
      },
      params: {},
      kinks: 'too many to keep away from: its layers are checked one by one',
    },
  ],
});
