import { backward } from '../../lib/autograd.js';
import type { DeviceLike } from '../../lib/device.js';
import { AlexNet } from '../../lib/models/alexnet.js';
import { softmaxCrossEntropy } from '../../lib/ops/index.js';
import { SGD } from '../../lib/optim/index.js';
import { tidy } from '../../lib/scope.js';
import { rand, type Tensor, tensor } from '../../lib/tensor.js';

/** All as in golden/make_trace.py. */
const [CLASSES, BATCH, SEED, IMAGE_STREAM] = [10, 4, 20120930, 100];
const LR = 1e-4;
const DROP_AFTER = 6;

export interface Trace {
  readonly losses: readonly number[];
  /** Of parameters and velocities after the last step. */
  readonly norms: ReadonlyMap<string, number>;
}

async function norm(t: Tensor): Promise<number> {
  let square = 0;
  for (const value of await t.data()) square += value * value;
  return Math.sqrt(square);
}

/** Training steps of AlexNet of which golden/trace.safetensors has PyTorch's ten. */
export async function trainTrace(device: DeviceLike, steps: number): Promise<Trace> {
  const options = {
    classes: CLASSES,
    preset: 'dansuh17',
    init: 'he',
    dropout: 0,
    seed: SEED,
    device,
  } as const;
  using model = new AlexNet(options);
  using optimizer = new SGD(model.namedParameters(), { lr: LR, momentum: 0.9, weightDecay: 5e-4 });
  const random = { seed: SEED, stream: IMAGE_STREAM, low: -1, high: 1, device };
  using images = rand([BATCH, 227, 227, 3], random);
  using labels = tensor(
    Int32Array.from({ length: BATCH }, (_, i) => i % CLASSES),
    [BATCH],
    { device },
  );
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    if (step === DROP_AFTER) optimizer.setLrFactor(0.1);
    const loss = tidy(() => {
      const value = softmaxCrossEntropy(model.forward(images), labels);
      backward(value);
      optimizer.step();
      optimizer.zeroGrad();
      return value.item();
    });
    losses.push(await loss);
  }
  const norms = new Map<string, number>();
  for (const [name, t] of [...model.namedParameters(), ...optimizer.stateTensors()])
    norms.set(name, await norm(t));
  return { losses, norms };
}
