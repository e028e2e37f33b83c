import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  AlexNet,
  ArgumentError,
  type Dataset,
  type Optimizer,
  type Sample,
  SGD,
  type TrainEvent,
  Trainer,
  type TrainerOptions,
  TrainingError,
} from '../../lib/index.js';
import { ModelFile } from '../../lib/train/model_file.js';

/** Pictures of one grey level, by class, with a little of the index in them. */
class Greys implements Dataset {
  readonly classes = ['dark', 'light'];
  constructor(readonly length: number) {}

  get(index: number): Sample {
    const label = index % 2;
    const pixels = new Uint8Array(232 * 232 * 3).fill(label * 160 + 20 + (index % 16));
    return { pixels, height: 232, width: 232, label };
  }
}

const preprocessing = { resize: 232, crop: 227, mean: [127, 127, 127], scale: [0.02, 0.02, 0.02] } as const;

function makeTrainer(
  options: Partial<TrainerOptions> = {},
  { lr = 1e-5, dropout = 0.5 } = {},
): { trainer: Trainer; model: AlexNet; optimizer: Optimizer; events: TrainEvent[] } {
  const model = new AlexNet({ classes: 2, init: 'he', dropout, seed: 3 });
  const optimizer = new SGD(model.namedParameters(), { lr, momentum: 0.9, weightDecay: 5e-4 });
  const events: TrainEvent[] = [];
  const onEvent = (event: TrainEvent) => events.push(event);
  const train = new Greys(8);
  const trainer = new Trainer({
    model,
    optimizer,
    train,
    batchSize: 4,
    seed: 5,
    preprocessing,
    onEvent,
    ...options,
  });
  return { trainer, model, optimizer, events };
}

async function weightsOf(model: AlexNet): Promise<Map<string, Buffer>> {
  const weights = new Map<string, Buffer>();
  for (const [name, parameter] of model.namedParameters()) {
    weights.set(name, Buffer.from((await parameter.data()).buffer));
  }
  return weights;
}

function expectEqualWeights(a: Map<string, Buffer>, b: Map<string, Buffer>): void {
  expect([...a.keys()]).to.deep.equal([...b.keys()]);
  for (const [name, bytes] of a) expect(b.get(name)?.equals(bytes), name).to.equal(true);
}

describe('Trainer', function () {
  this.timeout(120_000);
  let out = '';
  beforeEach(() => {
    out = mkdtempSync(join(tmpdir(), 'node-cudnn-train-'));
  });
  afterEach(() => rmSync(out, { recursive: true, force: true }));

  it('tells every step and epoch, learns, and leaves two checkpoints', async () => {
    const { trainer, events } = makeTrainer({ out, validation: new Greys(6) }, { dropout: 0 });
    const end = await trainer.fit(3);
    expect(events.map((event) => event.event)).to.deep.equal([
      ...['step', 'step', 'epoch', 'step', 'step', 'epoch', 'step', 'step', 'epoch', 'end'],
    ]);
    const losses = events.flatMap((event) => (event.event === 'epoch' ? [event.train.loss] : []));
    expect(losses.at(-1)).to.be.lessThan(losses[0] ?? 0);
    const last = events.filter((event) => event.event === 'epoch').at(-1);
    expect(end).to.deep.include({ epoch: 3, step: 6, val: last?.val, train: last?.train });
    expect(readdirSync(out).sort()).to.deep.equal(['best.safetensors', 'last.safetensors']);
  });

  it('gives the same weights bit for bit for the same seed, and others for another', async () => {
    const runs = [];
    for (const seed of [5, 5, 6]) {
      const { trainer, model } = makeTrainer({ seed });
      await trainer.fit(2);
      runs.push(await weightsOf(model));
      model.dispose();
    }
    const [first = new Map(), second = new Map(), third = new Map()] = runs;
    expectEqualWeights(first, second);
    expect(third.get('fc8.weight')?.equals(first.get('fc8.weight') ?? Buffer.of())).to.equal(false);
  });

  it('resumes from a checkpoint to the weights of the straight run', async () => {
    const straight = makeTrainer();
    await straight.trainer.fit(2);
    const first = makeTrainer({ out });
    await first.trainer.fit(1);
    const second = makeTrainer({ out });
    {
      await using checkpoint = await ModelFile.open(out);
      await second.trainer.resume(checkpoint);
    }
    expect(second.trainer.epoch).to.equal(1);
    await second.trainer.fit(2);
    expectEqualWeights(await weightsOf(second.model), await weightsOf(straight.model));
  });

  it('refuses to resume with another seed', async () => {
    await makeTrainer({ out }).trainer.fit(1);
    await using checkpoint = await ModelFile.open(out);
    const failure = await makeTrainer({ seed: 6 })
      .trainer.resume(checkpoint)
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    expect(failure).to.be.instanceOf(ArgumentError);
    expect(String(failure)).to.match(/Expected 5 for seed but received 6/);
  });

  it('stops at a loss that is not finite, naming the step, and keeps the last checkpoint', async () => {
    await makeTrainer({ out }).trainer.fit(1);
    const before = readFileSync(join(out, 'best.safetensors')).subarray(0, 100);
    const { trainer } = makeTrainer({ out }, { lr: 1e20 });
    const failure = await trainer.fit(5).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).to.be.instanceOf(TrainingError);
    expect(String(failure)).to.match(
      /finite loss for step \d+ but received (NaN|-?Infinity).*learning rate \(10{20}\)/,
    );
    expect(readFileSync(join(out, 'best.safetensors')).subarray(0, 100).equals(before)).to.equal(true);
  });

  it('refuses data of other classes than the model has', () => {
    const model = new AlexNet({ classes: 3 });
    const optimizer = new SGD(model.namedParameters(), { lr: 0.1 });
    expect(() => new Trainer({ model, optimizer, train: new Greys(4) })).to.throw(ArgumentError, '3 classes');
    model.dispose();
  });
});
