import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import sharp from 'sharp';
import {
  AlexNet,
  Classifier,
  DataError,
  type Dataset,
  SGD,
  type TrainEvent,
  Trainer,
  type TrainerOptions,
} from '../../lib/index.js';
import { withClock } from '../support/clock.js';
import { expectEqualWeights, Greys, preprocessing, weightsOf } from './greys.js';

const upTo = (length: number) => Array.from({ length }, (_, i) => i);

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

class Gate {
  open: () => void = () => {};
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

/** So that whatever only waits for its turn has had it. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await setImmediate();
}

describe('pictures that cannot be read', function () {
  this.timeout(120_000);
  let model: AlexNet;
  before(() => {
    model = new AlexNet({ classes: 2, init: 'he', dropout: 0, seed: 3 });
  });
  after(() => model.dispose());

  function makeTrainer(train: Dataset, options: Partial<TrainerOptions> = {}) {
    const optimizer = new SGD(model.namedParameters(), { lr: 1e-6, momentum: 0.9, weightDecay: 0 });
    const events: TrainEvent[] = [];
    const onEvent = (event: TrainEvent) => events.push(event);
    const trainer = new Trainer({
      model,
      optimizer,
      train,
      batchSize: 4,
      preprocessing,
      onEvent,
      ...options,
    });
    return { trainer, events };
  }

  it('are left out of their steps, told once and counted', async () => {
    const note = { file: 'note.txt', reason: 'no picture' };
    const { trainer, events } = makeTrainer(new Greys(8, [2], [note]), { validation: new Greys(4, [0, 3]) });
    const end = await trainer.fit(2);
    const skips = events.filter((event) => event.event === 'skip');
    expect(skips).to.deep.equal([
      { event: 'skip', data: 'train', index: 2, file: null, reason: 'picture 2 is broken' },
      { event: 'skip', data: 'validation', index: 0, file: null, reason: 'picture 0 is broken' },
      { event: 'skip', data: 'validation', index: 3, file: null, reason: 'picture 3 is broken' },
    ]);
    const images = events.flatMap((event) => (event.event === 'step' ? [event.images] : []));
    expect(images.slice(0, 2).sort()).to.deep.equal([3, 4]);
    expect(images.slice(2).sort()).to.deep.equal([3, 4]);
    const counts = events.flatMap((event) => (event.event === 'epoch' ? [event.skipped] : []));
    expect([...counts, end.skipped]).to.deep.equal([4, 4, 4]);
  });

  it('end training where strict, in the training as in the validation data', async () => {
    const failing = async (train: Dataset, validation: Dataset) =>
      failureOf(makeTrainer(train, { validation, strict: true }).trainer.fit(1));
    const first = await failing(new Greys(4, [2]), new Greys(2));
    expect(first)
      .to.be.instanceOf(DataError)
      .with.property('message')
      .that.matches(/sample 2 .*broken/);
    const second = await failing(new Greys(4), new Greys(2, [1]));
    expect(second)
      .to.be.instanceOf(DataError)
      .with.property('message')
      .that.matches(/sample 1 .*broken/);
  });

  it('pass over a step that has no other, which keeps its number', async () => {
    const before = await weightsOf(model);
    const { trainer, events } = makeTrainer(new Greys(3, [1]), { validation: new Greys(2), batchSize: 1 });
    const end = await trainer.fit(2);
    const steps = events.flatMap((event) => (event.event === 'step' ? [event] : []));
    expect(steps.map(({ epoch }) => epoch)).to.deep.equal([1, 1, 2, 2]);
    for (const step of steps) expect(step).to.include({ images: 1, stepsPerEpoch: 3 });
    const numbers = steps.map(({ step }) => step);
    for (const [first, second] of [numbers.slice(0, 2), numbers.slice(2).map((step) => step - 3)])
      expect([first, second]).to.deep.be.oneOf([
        [1, 2],
        [1, 3],
        [2, 3],
      ]);
    expect(events.flatMap((event) => (event.event === 'epoch' ? [event.step] : []))).to.deep.equal([3, 6]);
    expect(end).to.include({ complete: true, step: 6, skipped: 1 });
    expect(
      (await weightsOf(model)).get('fc8.weight')?.equals(before.get('fc8.weight') ?? Buffer.of()),
    ).to.equal(false);
  });

  it('end training where an epoch has no other', async () => {
    const before = await weightsOf(model);
    for (const batchSize of [1, 4]) {
      const { trainer, events } = makeTrainer(new Greys(4, [0, 1, 2, 3]), { batchSize });
      const failure = await failureOf(trainer.fit(1));
      expect(failure)
        .to.be.instanceOf(DataError)
        .with.property('message')
        .that.matches(/one of 4 .*broken/);
      expect(events.map(({ event }) => event)).to.deep.equal(['skip', 'skip', 'skip', 'skip']);
    }
    expectEqualWeights(await weightsOf(model), before);
    const { trainer } = makeTrainer(new Greys(4), { validation: new Greys(70, upTo(70)) });
    expect(String(await failureOf(trainer.fit(1)))).to.match(/one of 70 .*picture 69 is broken/);
  });

  it('do not count in an evaluation', async () => {
    const classifier = new Classifier(model, ['dark', 'light'], preprocessing);
    const told: number[] = [];
    const dataset = new Greys(66, [0, 64, 65], [{ file: 'note.txt', reason: 'no picture' }]);
    const { skipped, ...figures } = await classifier.evaluate(dataset, {
      onSkip: ({ index }) => told.push(index),
    });
    expect([skipped, told]).to.deep.equal([4, [0, 64, 65]]);
    expect(figures.perClass.map(({ count }) => count)).to.deep.equal([31, 32]);
    // The same pictures without those that are left out.
    const whole = new Greys(66);
    const rest: Dataset = { length: 63, classes: whole.classes, get: (index) => whole.get(index + 1) };
    const { skipped: none, ...expected } = await classifier.evaluate(rest);
    expect(none).to.equal(0);
    expect(figures).to.deep.equal(expected);
    expect(await failureOf(classifier.evaluate(dataset, { strict: true }))).to.be.instanceOf(DataError);
    expect(await failureOf(classifier.evaluate(new Greys(2, [0, 1])))).to.be.instanceOf(DataError);
    // A batch of 64 without any.
    const second = await classifier.evaluate(new Greys(66, upTo(64)));
    expect([second.skipped, second.perClass.map(({ count }) => count)]).to.deep.equal([64, [1, 1]]);
  });

  it('that come late count as waiting of a device without work', () =>
    withClock(async (advance) => {
      const greys = new Greys(4);
      const slow: Dataset = {
        length: 4,
        classes: greys.classes,
        get: async (index) => {
          await setImmediate();
          advance(10);
          return greys.get(index);
        },
      };
      const { trainer, events } = makeTrainer(slow);
      await trainer.fit(1);
      const waits = events.flatMap((event) => (event.event === 'step' ? [event.waitingMs] : []));
      expect(waits).to.deep.equal([40]);
    }));

  it('count as waiting though their step is passed over', () =>
    withClock(async (advance) => {
      const greys = new Greys(8);
      let asked = 0;
      const train: Dataset = {
        length: 8,
        classes: greys.classes,
        get: async (index) => {
          if (++asked > 4) return greys.get(index);
          await setImmediate();
          advance(10);
          throw new DataError('broken');
        },
      };
      const { trainer, events } = makeTrainer(train);
      await trainer.fit(1);
      const steps = events.flatMap((event) => (event.event === 'step' ? [event] : []));
      expect(steps.map(({ step, waitingMs }) => [step, waitingMs])).to.deep.equal([[2, 40]]);
    }));

  it('count as waiting only from when the device has no work', () =>
    withClock(async (advance) => {
      const [work, pictures, stepped] = [new Gate(), new Gate(), new Gate()];
      /** Its first step ends when told so. */
      class Held extends SGD {
        override async step(): Promise<void> {
          const done = super.step();
          stepped.open();
          await done;
          await work.opened;
        }
      }
      const greys = new Greys(8);
      let asked = 0;
      const train: Dataset = {
        length: 8,
        classes: greys.classes,
        get: async (index) => {
          if (++asked > 4) await pictures.opened;
          return greys.get(index);
        },
      };
      const optimizer = new Held(model.namedParameters(), { lr: 1e-6, momentum: 0.9, weightDecay: 0 });
      const { trainer, events } = makeTrainer(train, { optimizer });
      // No work, and no picture to wait for.
      advance(100);
      const fitting = trainer.fit(1);
      await stepped.opened;
      await turns();
      // The next pictures are waited for, and the device works.
      advance(50);
      work.open();
      await model.device.synchronize();
      await turns();
      advance(30);
      pictures.open();
      await fitting;
      const waits = events.flatMap((event) => (event.event === 'step' ? [event.waitingMs] : []));
      expect(waits).to.deep.equal([0, 30]);
    }));

  describe('in predictions', () => {
    let folder = '';
    let good: Buffer;
    let classifier: Classifier;
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'node-cudnn-skips-'));
      const create = { width: 64, height: 64, channels: 3, background: '#c81e1e' } as const;
      good = await sharp({ create }).png().toBuffer();
      classifier = new Classifier(model, ['dark', 'light'], preprocessing);
    });
    after(() => rm(folder, { recursive: true }));

    it('reject only the call that they are in', async () => {
      const broken = good.subarray(0, 60);
      const calls = await Promise.allSettled([
        classifier.predict(good),
        classifier.predict(broken),
        classifier.predict([good, broken, good]),
        classifier.predict([good, good]),
        classifier.predict(join(folder, 'nowhere.png')),
        classifier.predict(good),
      ]);
      expect(calls.map(({ status }) => status)).to.deep.equal([
        ...['fulfilled', 'rejected', 'rejected', 'fulfilled', 'rejected', 'fulfilled'],
      ]);
      for (const call of calls)
        if (call.status === 'rejected') expect(call.reason).to.be.instanceOf(DataError);
    });

    it('cost no other its own, where they are to be settled', async () => {
      const broken = Buffer.from('no picture');
      const sources = Array.from({ length: 35 }, (_, i) => ([0, 7, 33, 34].includes(i) ? broken : good));
      const results = await classifier.predictSettled(sources, { topK: 1 });
      expect(results).to.have.length(35);
      const [expected] = await classifier.predict(good);
      for (const [i, result] of results.entries()) {
        if (sources[i] === broken) {
          expect(result).to.have.property('reason').that.is.instanceOf(DataError);
        } else {
          const [only, ...more] = result.status === 'fulfilled' ? result.value : [];
          expect(more).to.deep.equal([]);
          expect(only?.class).to.equal(expected?.class);
          expect(only?.probability).to.be.closeTo(expected?.probability ?? 0, 1e-5);
        }
      }
      expect(await classifier.predictSettled([])).to.deep.equal([]);
      const none = await classifier.predictSettled([broken, broken]);
      expect(none.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected']);
    });
  });
});
