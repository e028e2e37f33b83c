// What the programs of this folder compute with: the package as it was built, without sharp.
import { backward } from '../../../dist/autograd.js';
import { Device } from '../../../dist/device.js';
import { conv2d, linear, lrn, maxPool2d, reshape, softmaxCrossEntropy, to } from '../../../dist/ops/index.js';
import { SGD } from '../../../dist/optim/index.js';
import { tidy } from '../../../dist/scope.js';
import { full, randn, tensor } from '../../../dist/tensor.js';

/** Enqueues some hundreds of operations on two devices that wait for each other, more than a moment's work. */
export function enqueue(count = 300) {
  let x = full([256, 256], 1);
  for (let i = 0; i < count; i++) {
    const next = linear(
      to(x, i % 2 ? 'cpu' : 'cpu:1'),
      full([256, 256], 2 ** -8, { device: i % 2 ? 'cpu' : 'cpu:1' }),
    );
    x.dispose();
    x = next;
  }
  return x;
}

/** A small network and its training, with every kind of state that a step has: plans, workspace, saved state. */
export class Training {
  constructor(device = 'cpu') {
    this.device = Device.get(device);
    const options = { device: this.device, requiresGrad: true };
    this.weights = {
      conv: randn([8, 3, 3, 3], { ...options, seed: 1, std: 0.1 }),
      bias: full([8], 0.1, options),
      fc: randn([4, 8 * 4 * 4], { ...options, seed: 2, std: 0.1 }),
    };
    this.optimizer = new SGD(Object.entries(this.weights), { lr: 0.01, momentum: 0.9 });
  }

  /** @param {number} seed */
  async step(seed) {
    return await tidy(async () => {
      const { conv, bias, fc } = this.weights;
      this.optimizer.zeroGrad();
      const x = randn([4, 9, 9, 3], { seed, device: this.device });
      const labels = tensor(Int32Array.of(0, 1, 2, 3), [4], { device: this.device });
      const features = maxPool2d(lrn(conv2d(x, conv, { bias, padding: 1, relu: true })), {
        kernelSize: 3,
        stride: 2,
      });
      const loss = softmaxCrossEntropy(linear(reshape(features, [4, 128]), fc), labels);
      backward(loss);
      this.optimizer.step();
      return await loss.item();
    });
  }

  dispose() {
    this.optimizer.zeroGrad();
    this.optimizer.dispose();
    for (const weight of Object.values(this.weights)) weight.dispose();
  }
}
