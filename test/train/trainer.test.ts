import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  AlexNet,
  ArgumentError,
  type ColourNoise,
  ConstantLR,
  DataError,
  type Dataset,
  FileWriteError,
  Linear,
  type Sample,
  SGD,
  type TrainEvent,
  Trainer,
  type TrainerOptions,
  TrainingError,
  tensor,
  tidy,
  zeros,
} from '../../lib/index.js';
import { SafetensorsFile } from '../../lib/io/safetensors.js';
import { ModelFile } from '../../lib/train/model_file.js';
import { expectEqualWeights, Greys, makeRun, preprocessing, weightsOf } from './greys.js';

/** All are said to be light: who takes all for one class is right about all of them, or none. */
class AllLight extends Greys {
  override get(index: number): Sample {
    return { ...super.get(index), label: 1 };
  }
}

describe('Trainer', function () {
  this.timeout(120_000);
  let out = '';
  beforeEach(() => {
    out = mkdtempSync(join(tmpdir(), 'node-cudnn-train-'));
  });
  afterEach(() => rmSync(out, { recursive: true, force: true }));

  it('tells every step and epoch, learns, and leaves two checkpoints', async () => {
    const notes = { from: 'a test' };
    using run = makeRun({ out, validation: new Greys(6), notes }, { dropout: 0 });
    const { events } = run;
    const end = await run.trainer.fit(3);
    expect(events.map((event) => event.event)).to.deep.equal([
      ...['step', 'step', 'epoch', 'step', 'step', 'epoch', 'step', 'step', 'epoch', 'end'],
    ]);
    const losses = events.flatMap((event) => (event.event === 'epoch' ? [event.train.loss] : []));
    expect(losses.at(-1)).to.be.lessThan(losses[0] ?? 0);
    const last = events.filter((event) => event.event === 'epoch').at(-1);
    expect(end).to.deep.include({ epoch: 3, step: 6, val: last?.val, train: last?.train });
    expect(readdirSync(out).sort()).to.deep.equal(['best.safetensors', 'last.safetensors']);
    for (const name of readdirSync(out)) {
      await using file = await ModelFile.open(join(out, name));
      expect(file.info.notes, name).to.deep.equal(notes);
      await using tensors = await SafetensorsFile.open(join(out, name));
      const states = [...tensors.tensors.keys()].filter((tensor) => tensor.startsWith('optimizer/'));
      const wanted = name === 'last.safetensors' ? [...run.model.namedParameters()].length : 0;
      expect(states, name).to.have.lengthOf(wanted);
    }
  });

  it('divides its inputs by 1.1 where colours are added as the code of 2012 does', async () => {
    const axes = {
      values: [0, 0, 0],
      vectors: [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
      ],
    } satisfies ColourNoise['axes'];
    const firstLoss = async (options: Partial<TrainerOptions>): Promise<number> => {
      using run = makeRun({ train: new Greys(4), ...options });
      await run.trainer.fit(1);
      const [step] = run.events;
      return step?.event === 'step' ? step.loss : Number.NaN;
    };
    const noisy = await firstLoss({ colourNoise: { kind: 'krizhevsky2012', axes } });
    const scale = [0.02 / 1.1, 0.02 / 1.1, 0.02 / 1.1] as const;
    expect(noisy).to.be.closeTo(await firstLoss({ preprocessing: { ...preprocessing, scale } }), 1e-6);
    const plain = await firstLoss({});
    expect(await firstLoss({ colourNoise: { kind: 'paper', axes } })).to.be.closeTo(plain, 1e-6);
    expect(Math.abs(noisy - plain)).to.be.above(1e-4);
  });

  it('tells the schedule the error of validation, and of training where there is none', async () => {
    class Listening extends ConstantLR {
      readonly errors: number[] = [];
      override onEpochEnd(error: number): void {
        this.errors.push(error);
      }
    }
    for (const validation of [new AllLight(6), undefined]) {
      const schedule = new Listening();
      const options = { schedule, ...(validation && { validation }) };
      using run = makeRun(options, { dropout: 0, lr: 1e-4 });
      await run.trainer.fit(3);
      const epochs = run.events.flatMap((event) => (event.event === 'epoch' ? [event] : []));
      const errors = epochs.map(({ train, val }) => 1 - (val ?? train).top1);
      expect(schedule.errors).to.deep.equal(errors);
      if (validation !== undefined)
        expect(errors).to.not.deep.equal(epochs.map(({ train }) => 1 - train.top1));
    }
  });

  it('has at most two steps under way', async () => {
    let [underWay, most, steps] = [0, 0, 0];
    class Counting extends SGD {
      override step(): Promise<void> {
        steps++;
        most = Math.max(most, ++underWay);
        return super.step().finally(() => underWay--);
      }
    }
    const makeOptimizer = (model: AlexNet) => new Counting(model.namedParameters(), { lr: 1e-5 });
    using run = makeRun({ train: new Greys(12), batchSize: 2 }, { makeOptimizer });
    await run.trainer.fit(1);
    expect([steps, underWay]).to.deep.equal([6, 0]);
    expect(most).to.be.at.most(2);
  });

  it('gives the same weights bit for bit for the same seed, and others for another', async () => {
    const runs = [];
    for (const seed of [5, 5, 6]) {
      using run = makeRun({ seed });
      await run.trainer.fit(2);
      runs.push(await weightsOf(run.model));
    }
    const [first = new Map(), second = new Map(), third = new Map()] = runs;
    expectEqualWeights(first, second);
    expect(third.get('fc8.weight')?.equals(first.get('fc8.weight') ?? Buffer.of())).to.equal(false);
  });

  it('gives the same weights from uint8 tensors as from bytes, and leaves the tensors alone', async () => {
    const greys = new Greys(8);
    using bytes = makeRun({ train: greys });
    await bytes.trainer.fit(1);
    const tensors = Array.from({ length: greys.length }, (_, index) => {
      const { pixels, height, width } = greys.get(index);
      // On the model's device, and on another.
      return tensor(pixels, [height, width, 3], { device: `cpu:${index % 2}` });
    });
    const train: Dataset = {
      length: greys.length,
      classes: greys.classes,
      get: (index) => ({ pixels: tensors[index] ?? expect.fail(), label: index % 2 }),
    };
    using run = makeRun({ train });
    await run.trainer.fit(1);
    expectEqualWeights(await weightsOf(run.model), await weightsOf(bytes.model));
    for (const one of tensors) {
      expect(one.disposed).to.equal(false);
      one.dispose();
    }
  });

  it('stops at a loss that is not finite, naming the step, and keeps the last checkpoint', async () => {
    {
      using first = makeRun({ out });
      await first.trainer.fit(1);
    }
    const before = readFileSync(join(out, 'best.safetensors')).subarray(0, 100);
    using run = makeRun({ out }, { lr: 1e20 });
    const failure = await run.trainer.fit(5).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(TrainingError);
    expect(String(failure)).to.match(
      /finite (loss for|weights after) step \d+ but received (NaN|-?Infinity).*learning rate \(10{20}\)/,
    );
    const again = await run.trainer.fit(5).catch((error: unknown) => error);
    expect(again).to.be.instanceOf(TrainingError);
    expect(String(again)).to.match(
      /of which no call failed for fit\(\) but received one whose last call did/,
    );
    expect(readFileSync(join(out, 'best.safetensors')).subarray(0, 100).equals(before)).to.equal(true);
  });

  it('refuses data of other classes than the model has', () => {
    const model = new AlexNet({ classes: 3 });
    const optimizer = new SGD(model.namedParameters(), { lr: 0.1 });
    expect(() => new Trainer({ model, optimizer, train: new Greys(4) })).to.throw(ArgumentError, '3 classes');
    model.dispose();
  });

  describe('refuses', () => {
    const lights = Object.assign(new Greys(4), { classes: ['light', 'dark'] });
    const refusals: readonly [string, RegExp, () => unknown][] = [
      [
        'validation of other classes',
        /\[dark, light\] for validation data but received \[light, dark\]/,
        () => makeRun({ validation: lights }),
      ],
      [
        'an optimizer of other parameters',
        /parameters of the model for optimizer but received Tensor\(float32 \[1\]/,
        () => makeRun({}, { makeOptimizer: () => new SGD([zeros([1], { requiresGrad: true })], { lr: 1 }) }),
      ],
      [
        'another model',
        /AlexNet for model/,
        () => makeRun({ model: new Linear(2, 2) as unknown as AlexNet }),
      ],
      [
        'notes that JSON cannot say',
        /what JSON can say for notes/,
        () => {
          const notes: Record<string, unknown> = {};
          notes.notes = notes;
          return makeRun({ notes });
        },
      ],
    ];
    for (const [what, message, make] of refusals) {
      it(what, () => {
        expect(() => tidy(make)).to.throw(ArgumentError, message);
      });
    }

    it('a folder that cannot be made', async () => {
      using run = makeRun({ out: '/proc/node-cudnn' });
      const failure = await run.trainer.fit(1).catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(FileWriteError);
      expect(String(failure)).to.match(/folder that can be made for out but received \/proc\/node-cudnn/);
      const file = join(out, 'file');
      writeFileSync(file, '');
      using other = makeRun({ out: file });
      const second = await other.trainer.fit(1).catch((error: unknown) => error);
      expect(String(second)).to.match(/but received .*file \(it is no folder\)/);
    });
  });

  it('does one thing at a time', async () => {
    using run = makeRun();
    const fitting = run.trainer.fit(1);
    const second = await run.trainer.fit(1).catch((error: unknown) => error);
    expect(second).to.be.instanceOf(TrainingError);
    expect(String(second)).to.match(/does nothing else for fit\(\) but received one in the middle/);
    await fitting;
    expect((await run.trainer.fit(1)).complete).to.equal(true);
  });

  it('says so when a checkpoint cannot be written', async () => {
    const folder = join(out, 'run');
    const onEvent = ({ event }: TrainEvent): void => {
      if (event === 'step') rmSync(folder, { recursive: true, force: true });
    };
    using run = makeRun({ out: folder, onEvent });
    const failure = await run.trainer.fit(1).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(FileWriteError);
    expect(String(failure)).to.match(
      /best\.safetensors \(ENOENT.*\): no file was there before, and none is now/,
    );
  });

  it('fails with what a data set throws that is no DataError', async () => {
    const train: Dataset = {
      length: 8,
      classes: ['dark', 'light'],
      get(index): Sample {
        if (index === 5) throw new Error('lost');
        return new Greys(8).get(index);
      },
    };
    using run = makeRun({ train });
    const failure = await run.trainer.fit(1).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(DataError);
    expect(String(failure)).to.match(/sample 5 .*lost/);
  });

  it('takes the size of the pictures for its default preprocessing', async () => {
    using run = makeRun({ out, preprocessing: undefined as never });
    await run.trainer.fit(1);
    await using file = await ModelFile.open(out);
    expect(file.info.preprocessing).to.deep.include({ resize: 232, crop: 227 });
  });

  it('notices weights that the last step of an epoch has spoilt, and a new trainer revives them from the checkpoint', async () => {
    {
      using first = makeRun({ out });
      await first.trainer.fit(1);
    }
    using run = makeRun({ out, validation: new Greys(2) }, { lr: 1e38 });
    const failure = await run.trainer.fit(1).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(TrainingError);
    const optimizer = new SGD(run.model.namedParameters(), { lr: 1e-6, momentum: 0.9, weightDecay: 5e-4 });
    using again = new Trainer({
      model: run.model,
      optimizer,
      train: new Greys(8),
      batchSize: 4,
      seed: 5,
      out,
    });
    await again.resume(out);
    expect((await again.fit(2)).complete).to.equal(true);
    optimizer.dispose();
    await run.model.device.synchronize().catch(() => {});
  });

  it('stops with a checkpoint though a picture never comes', async () => {
    const greys = new Greys(8);
    const never = new Promise<Sample>(() => {});
    const controller = new AbortController();
    const train = Object.assign(new Greys(8), {
      asked: 0,
      get(index: number): Sample | Promise<Sample> {
        if (++this.asked <= 4) return greys.get(index);
        controller.abort();
        return never;
      },
    }) as Dataset;
    using run = makeRun({ train, out });
    const end = await run.trainer.fit(1, { signal: controller.signal });
    expect(end).to.include({ complete: false, step: 1, checkpoint: join(out, 'last.safetensors') });
  });

  it('keeps the steps of an epoch whose pictures cannot be had any more', async () => {
    const validation = Object.assign(new Greys(4), {
      get(): Sample {
        throw new Error('unmounted');
      },
    }) as Dataset;
    {
      using run = makeRun({ out, validation });
      const failure = await run.trainer.fit(1).catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(DataError);
      expect(String(failure)).to.match(/unmounted/);
    }
    using again = makeRun({ out, validation: new Greys(4) });
    expect(await again.trainer.resume(out)).to.deep.include({ epoch: 0, stepOfEpoch: 2 });
    expect((await again.trainer.fit(1)).complete).to.equal(true);
  });
});
