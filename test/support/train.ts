import { backward } from '../../lib/autograd.js';
import type { DeviceLike } from '../../lib/device.js';
import { AlexNet } from '../../lib/models/alexnet.js';
import { readWhole, wholes } from '../../lib/models/parameters.js';
import type { Init } from '../../lib/models/presets.js';
import { softmaxCrossEntropy } from '../../lib/ops/index.js';
import { SGD } from '../../lib/optim/index.js';
import { tidy } from '../../lib/scope.js';
import { rand, type Tensor, tensor } from '../../lib/tensor.js';

const [CLASSES, SEED] = [10, 7];

export interface Training {
  losses: number[];
  /** By name, after the last step. */
  weights: Map<string, Float32Array>;
  biases: Map<string, Float32Array>;
}

/** What a step computes. */
export interface Step {
  logits: Float32Array;
  /** By name. */
  gradients: Map<string, Float32Array>;
}

/** AlexNet on one device, or its columns on two, and its optimizer; its dropout draws the same numbers everywhere. */
export class Net {
  readonly model: AlexNet;
  readonly optimizer: SGD;

  constructor(
    place: DeviceLike | readonly DeviceLike[],
    { lr = 1e-3, init = 'he' }: { lr?: number; init?: Init } = {},
  ) {
    const devices = Array.isArray(place) ? place : [place];
    this.model = new AlexNet({ classes: CLASSES, init, seed: SEED, devices });
    this.optimizer = new SGD(this.model.namedParameters(), { lr, momentum: 0.9, weightDecay: 5e-4 });
  }

  /**
   * @param onStep called before the update
   * @returns the loss
   */
  step(number: number, batch: number, onStep?: (step: Step) => void): Promise<number> {
    const { model, optimizer } = this;
    return tidy(async () => {
      const shape = [batch, model.inputSize, model.inputSize, 3];
      const drawn = { seed: SEED, stream: 100 + number, low: -1, high: 1 };
      const images = model.devices.map((device) => rand(shape, { ...drawn, device }));
      const labels = tensor(
        Int32Array.from({ length: batch }, (_, i) => (number + i) % CLASSES),
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
      return loss.item();
    });
  }

  /** Its parameters, and the optimizer's velocities, such as `velocity/conv1.weight`. */
  *tensors(): Iterable<[string, Tensor]> {
    yield* this.model.namedParameters();
    yield* this.optimizer.stateTensors();
  }

  [Symbol.dispose](): void {
    this.optimizer.dispose();
    this.model.dispose();
  }
}

/** Trains it. */
export async function train(
  place: DeviceLike | readonly DeviceLike[],
  batch: number,
  steps: number,
  { lr, onStep }: { lr?: number; onStep?: (step: Step) => void } = {},
): Promise<Training> {
  using net = new Net(place, lr === undefined ? {} : { lr });
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) losses.push(await net.step(step, batch, onStep));
  const parameters = [...net.model.namedParameters()];
  const ending = (end: string) => parameters.filter(([name]) => name.endsWith(end));
  return { losses, weights: await readWholes(ending('weight')), biases: await readWholes(ending('bias')) };
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
