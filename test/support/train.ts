import { backward } from '../../lib/autograd.js';
import type { DeviceLike } from '../../lib/device.js';
import { AlexNet } from '../../lib/models/alexnet.js';
import { readWhole, wholes } from '../../lib/models/parameters.js';
import { softmaxCrossEntropy } from '../../lib/ops/index.js';
import { SGD } from '../../lib/optim/index.js';
import { tidy } from '../../lib/scope.js';
import { rand, type Tensor, tensor } from '../../lib/tensor.js';

const [CLASSES, SEED] = [10, 7];

export interface Training {
  losses: number[];
  /** By name, after the last step. Biases and velocities are left out: those of an early layer are as far off as one
   * window's maximum, which the last bit of two equal numbers may move. */
  weights: Map<string, Float32Array>;
}

/** What a step computes. */
export interface Step {
  logits: Float32Array;
  /** By name. */
  gradients: Map<string, Float32Array>;
}

/**
 * Trains AlexNet, on one device or its columns on two; its dropout draws the same numbers everywhere.
 * @param options.onStep called with each step before its update
 */
export async function train(
  place: DeviceLike | readonly DeviceLike[],
  batch: number,
  steps: number,
  { lr = 1e-3, onStep }: { lr?: number; onStep?: (step: Step) => void } = {},
): Promise<Training> {
  const devices = Array.isArray(place) ? place : [place];
  using model = new AlexNet({ classes: CLASSES, init: 'he', seed: SEED, devices });
  using optimizer = new SGD(model.namedParameters(), { lr, momentum: 0.9, weightDecay: 5e-4 });
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    await tidy(async () => {
      const shape = [batch, model.inputSize, model.inputSize, 3];
      const drawn = { seed: SEED, stream: 100 + step, low: -1, high: 1 };
      const images = model.devices.map((device) => rand(shape, { ...drawn, device }));
      const labels = tensor(
        Int32Array.from({ length: batch }, (_, i) => (step + i) % CLASSES),
        [batch],
        { device: model.device },
      );
      const logits = model.forward(images);
      const loss = softmaxCrossEntropy(logits, labels);
      backward(loss);
      if (onStep !== undefined)
        onStep({ logits: await logits.data(), gradients: await readGradients(model) });
      optimizer.step();
      optimizer.zeroGrad();
      losses.push(await loss.item());
    });
  }
  const weights = [...model.namedParameters()].filter(([name]) => name.endsWith('weight'));
  return { losses, weights: await readWholes(weights) };
}

/** The numbers of tensors by the names that they have on one device. */
export async function readWholes(
  tensors: Iterable<readonly [string, Tensor]>,
): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for (const [name, whole] of wholes(tensors)) found.set(name, await readWhole(whole));
  return found;
}

async function readGradients(model: AlexNet): Promise<Map<string, Float32Array>> {
  const gradients: [string, Tensor][] = [];
  for (const [name, { grad }] of model.namedParameters())
    if (grad !== undefined) gradients.push([name, grad]);
  return readWholes(gradients);
}
