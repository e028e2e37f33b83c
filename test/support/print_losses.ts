import { backward } from '../../lib/autograd.js';
import { Generator } from '../../lib/nn/generator.js';
import { Conv2d, Flatten, Linear, MaxPool2d, Sequential } from '../../lib/nn/index.js';
import { softmaxCrossEntropy } from '../../lib/ops/index.js';
import { SGD } from '../../lib/optim/index.js';
import { tidy } from '../../lib/scope.js';
import { rand, tensor } from '../../lib/tensor.js';

/**
 * A program: trains a small network of the kernels, groups and odd sizes that AlexNet has on noise, and prints the loss of
 * each step as JSON. `NODE_CUDNN_CONV2D` says by which convolutions.
 */
const [STEPS, BATCH, CLASSES, SIZE, BATCHES] = [200, 4, 10, 11, 4];

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
for (let step = 0; step < STEPS; step++) {
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
console.log(JSON.stringify(losses));
