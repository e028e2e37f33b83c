import { expect } from 'chai';
import {
  AlexNet,
  DataError,
  type Dataset,
  type Optimizer,
  type Sample,
  SGD,
  type SkippedFile,
  type TrainEvent,
  Trainer,
  type TrainerOptions,
} from '../../lib/index.js';

/** Pictures of one grey level, by class, with a little of the index in them; some cannot be read. */
export class Greys implements Dataset {
  readonly classes: readonly string[] = ['dark', 'light'];
  readonly fingerprint: string = 'greys';
  constructor(
    readonly length: number,
    readonly broken: readonly number[] = [],
    readonly skipped: readonly SkippedFile[] = [],
  ) {}

  get(index: number): Sample {
    if (this.broken.includes(index)) throw new DataError(`picture ${index} is broken`);
    const label = index % 2;
    const pixels = new Uint8Array(232 * 232 * 3).fill(label * 160 + 20 + (index % 16));
    return { pixels, height: 232, width: 232, label };
  }
}

export const preprocessing = {
  resize: 232,
  crop: 227,
  mean: [127, 127, 127],
  scale: [0.02, 0.02, 0.02],
} as const;

export interface Run extends Disposable {
  trainer: Trainer;
  model: AlexNet;
  events: TrainEvent[];
}

/** A trainer of two classes of greys: batches of 4, and all that draws random numbers. */
export function makeRun(
  options: Partial<TrainerOptions> = {},
  {
    lr = 1e-5,
    dropout = 0.5,
    makeOptimizer = (model: AlexNet): Optimizer =>
      new SGD(model.namedParameters(), { lr, momentum: 0.9, weightDecay: 5e-4 }),
  } = {},
): Run {
  const model = new AlexNet({ classes: 2, init: 'he', dropout, seed: 3 });
  const optimizer = makeOptimizer(model);
  const events: TrainEvent[] = [];
  const trainer = new Trainer({
    model,
    optimizer,
    train: new Greys(8),
    batchSize: 4,
    seed: 5,
    preprocessing,
    ...options,
    onEvent: (event) => {
      events.push(event);
      options.onEvent?.(event);
    },
  });
  const dispose = (): void => {
    for (const item of [trainer, optimizer, model]) item.dispose();
  };
  return { trainer, model, events, [Symbol.dispose]: dispose };
}

export async function weightsOf(model: AlexNet): Promise<Map<string, Buffer>> {
  const weights = new Map<string, Buffer>();
  for (const [name, parameter] of model.namedParameters()) {
    weights.set(name, Buffer.from((await parameter.data()).buffer));
  }
  return weights;
}

export function expectEqualWeights(a: Map<string, Buffer>, b: Map<string, Buffer>): void {
  expect([...a.keys()]).to.deep.equal([...b.keys()]);
  for (const [name, bytes] of a) expect(b.get(name)?.equals(bytes), name).to.equal(true);
}
