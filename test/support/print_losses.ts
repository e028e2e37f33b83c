import { backward } from '../../lib/autograd.js';
import { Device } from '../../lib/device.js';
import { Generator } from '../../lib/nn/generator.js';
import { Conv2d, Flatten, Linear, MaxPool2d, Sequential } from '../../lib/nn/index.js';
import { softmaxCrossEntropy } from '../../lib/ops/index.js';
import { SGD } from '../../lib/optim/index.js';
import { tidy } from '../../lib/scope.js';
import { rand, tensor } from '../../lib/tensor.js';

/**
 * A program, [STEPS]: trains a small network of the kernels, groups and odd sizes that AlexNet has on noise, and prints
 * `{losses, implementations}` as JSON: the loss of each step, and what computed the convolutions of the first, by operation.
 * `NODE_CUDNN_CONV2D` says by which convolutions.
 */
const [BATCH, CLASSES, SIZE, BATCHES] = [4, 10, 11, 4];
const [, , steps = '200'] = process.argv;
const device = Device.get();

const generator = new Generator(5, 0);
const model = new Sequential({
  conv1: new Conv2d(3, 16, { kernelSize: 3, padding: 1, relu: true, generator }),
  conv2: new Conv2d(16, 32, { kernelSize: 5, padding: 2, groups: 2, relu: true, generator }),
  pool: new MaxPool2d({ kernelSize: 3, stride: 2 }),
  conv3: new Conv2d(32, 24, { kernelSize: 3, padding: 1, relu: true, generator }),
  flatten: new Flatten(),
  linear: new Linear(5 * 5 * 24, CLASSES, { generator }),
});
const optimizer = new SGD(model.namedParameters(), { lr: 0.001, momentum: 0.9, weightDecay: 5e-4 });
const losses: number[] = [];
const implementations: Record<string, string[]> = {};
for (let step = 0; step < Number(steps); step++) {
  device.trace(step === 0);
  const stream = step % BATCHES;
  const loss = await tidy(() => {
    const images = rand([BATCH, SIZE, SIZE, 3], { seed: 3, stream, low: -4, high: 4 });
    const labels = tensor(
      Int32Array.from({ length: BATCH }, (_, i) => (i + stream) % CLASSES),
      [BATCH],
    );
    const value = softmaxCrossEntropy(model.forward(images), labels);
    backward(value);
    optimizer.step();
    optimizer.zeroGrad();
    return value.item();
  });
  losses.push(loss);
}
for (const { op, implementation } of await device.takeSpans()) {
  if (!op.startsWith('conv2d')) continue;
  implementations[op] = [...new Set([...(implementations[op] ?? []), implementation])];
}
console.log(JSON.stringify({ losses, implementations }));
