import { expect } from 'chai';
import {
  AlexNet,
  DataError,
  type Dataset,
  type Optimizer,
  type PresetName,
  type Sample,
  SGD,
  type SkippedFile,
  type TrainEvent,
  Trainer,
  type TrainerOptions,
} from '../../lib/index.js';
import { Random } from '../../lib/random.js';

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

/** Noise instead: no crop of a picture is like another, or like its mirror image. */
export class Noise extends Greys {
  override readonly fingerprint: string = 'noise';

  override get(index: number): Sample {
    return { ...super.get(index), pixels: noise(index) };
  }
}

const drawn = new Map<number, Uint8Array>();

function noise(seed: number): Uint8Array {
  const known = drawn.get(seed);
  if (known !== undefined) return known;
  const random = new Random(seed, 0);
  const words = Uint32Array.from({ length: (232 * 232 * 3) / 4 }, () => random.uint32());
  const pixels = new Uint8Array(words.buffer);
  drawn.set(seed, pixels);
  return pixels;
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
    preset = 'paper' as PresetName,
    makeOptimizer = (model: AlexNet): Optimizer =>
      new SGD(model.namedParameters(), { lr, momentum: 0.9, weightDecay: 5e-4 }),
  } = {},
): Run {
  const model = new AlexNet({ classes: 2, preset, init: 'he', dropout, seed: 3 });
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
