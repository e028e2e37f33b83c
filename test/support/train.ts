import { backward } from '../../lib/autograd.js';
import type { DeviceLike } from '../../lib/device.js';
import { AlexNet } from '../../lib/models/alexnet.js';
import { softmaxCrossEntropy } from '../../lib/ops/index.js';
import { SGD } from '../../lib/optim/index.js';
import { tidy } from '../../lib/scope.js';
import { rand, tensor } from '../../lib/tensor.js';

const [CLASSES, SEED] = [10, 7];

export interface Training {
  losses: number[];
  /** By name, after the last step. Biases and velocities are left out: those of an early layer are as far off as one
   * window's maximum, which the last bit of two equal numbers may move. */
  weights: Map<string, Float32Array>;
}

/** Trains AlexNet; its dropout draws the same numbers everywhere. */
export async function train(device: DeviceLike, batch: number, steps: number): Promise<Training> {
  using model = new AlexNet({ classes: CLASSES, init: 'he', seed: SEED, device });
  using optimizer = new SGD(model.namedParameters(), { lr: 1e-3, momentum: 0.9, weightDecay: 5e-4 });
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    losses.push(
      await tidy(() => {
        const shape = [batch, model.inputSize, model.inputSize, 3];
        const images = rand(shape, { seed: SEED, stream: 100 + step, low: -1, high: 1, device });
        const labels = tensor(
          Int32Array.from({ length: batch }, (_, i) => (step + i) % CLASSES),
          [batch],
          {
            device,
          },
        );
        const loss = softmaxCrossEntropy(model.forward(images), labels);
        backward(loss);
        optimizer.step();
        optimizer.zeroGrad();
        return loss.item();
      }),
    );
  }
  const weights = new Map<string, Float32Array>();
  for (const [name, t] of model.namedParameters())
    if (name.endsWith('weight')) weights.set(name, await t.data<Float32Array>());
  return { losses, weights };
}
