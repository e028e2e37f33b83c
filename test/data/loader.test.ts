import { expect } from 'chai';
import { colourShift } from '../../lib/data/colour.js';
import type { Dataset, Sample, SkippedSample } from '../../lib/data/dataset.js';
import { type Batch, Loader, type LoaderOptions } from '../../lib/data/loader.js';
import { ArgumentError, DataError } from '../../lib/errors.js';
import { type Tensor, zeros } from '../../lib/tensor.js';
import { withClock } from '../support/clock.js';
import { colourNoise } from '../support/colour_noise.js';
import { rejection } from './rejection.js';

/** Pictures of 8×6 pixels that hold their index, and an account of what was asked for. */
class Counted implements Dataset {
  readonly classes = ['even', 'odd'];
  readonly asked: number[] = [];
  underWay = 0;
  mostUnderWay = 0;

  constructor(
    readonly length: number,
    readonly change: (index: number) => Partial<Sample> = () => ({}),
  ) {}

  async get(index: number): Promise<Sample> {
    this.asked.push(index);
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    // Later pictures are ready sooner.
    for (let turn = 0; turn < 10 - (index % 10); turn++) await nextTurn();
    this.underWay--;
    const sample = { pixels: new Uint8Array(144).fill(index), height: 8, width: 6, label: index % 2 };
    return { ...sample, ...this.change(index) };
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn();
}

async function all(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const list: Batch[] = [];
  for await (const batch of batches) list.push(batch);
  return list;
}

async function indicesOf(batches: AsyncIterable<Batch>): Promise<number[]> {
  return (await all(batches)).flatMap(({ indices }) => indices);
}

const training = { batchSize: 4, crop: 5, training: true } as const;
const evaluation = { batchSize: 4, crop: 5, training: false } as const;
const upTo = (length: number) => Array.from({ length }, (_, i) => i);

const COLOUR_NOISE = colourNoise('paper');

describe('Loader', () => {
  it('adds a colour of its own to each picture, in training only', async () => {
    const dataset = new Counted(10);
    const loader = new Loader(dataset, { ...training, seed: 9, colourNoise: COLOUR_NOISE });
    for await (const { indices, shifts } of loader.epoch(3)) {
      const wanted = indices.flatMap((index) => colourShift(COLOUR_NOISE, 9, 3, index));
      expect(shifts).to.deep.equal(Float32Array.from(wanted));
    }
    for (const options of [{ ...training }, { ...evaluation, colourNoise: COLOUR_NOISE }])
      for await (const { shifts } of new Loader(dataset, options).epoch(0)) expect(shifts).to.equal(null);
  });

  it('evaluates in order, with centre crops, the last batch smaller', async () => {
    const loader = new Loader(new Counted(10), evaluation);
    expect(loader.batches).to.equal(3);
    const batches = await all(loader.epoch(0));
    expect(batches.map(({ indices }) => indices)).to.deep.equal([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
    for (const { pixels, labels, crops, height, width, indices, waitingMs } of batches) {
      expect([height, width]).to.deep.equal([8, 6]);
      expect(pixels.map((picture) => picture[143])).to.deep.equal(indices);
      expect(labels).to.deep.equal(Int32Array.from(indices, (index) => index % 2));
      expect(crops).to.deep.equal(Int32Array.from(indices.flatMap(() => [1, 0, 0])));
      expect(waitingMs).to.be.at.least(0);
    }
  });

  it('trains on each picture once an epoch, in an order of seed and epoch, and drops the partial batch', async () => {
    const loader = new Loader(new Counted(64), training);
    const first = await indicesOf(loader.epoch(0));
    expect([...first].sort((a, b) => a - b)).to.deep.equal(upTo(64));
    expect(first).to.not.deep.equal(upTo(64));
    expect(await indicesOf(loader.epoch(0))).to.deep.equal(first);
    expect(
      await indicesOf(new Loader(new Counted(64), { ...training, seed: 0, batchSize: 8 }).epoch(0)),
    ).to.deep.equal(first);
    expect(await indicesOf(loader.epoch(1))).to.not.deep.equal(first);
    expect(await indicesOf(new Loader(new Counted(64), { ...training, seed: 1 }).epoch(0))).to.not.deep.equal(
      first,
    );

    const partial = new Loader(new Counted(11), training);
    expect(partial.batches).to.equal(2);
    expect(new Set(await indicesOf(partial.epoch(0))).size).to.equal(8);
  });

  it('makes one batch of a set that is smaller than a batch', async () => {
    const loader = new Loader(new Counted(3), training);
    expect(loader.batches).to.equal(1);
    expect((await indicesOf(loader.epoch(0))).sort()).to.deep.equal([0, 1, 2]);
  });

  it('crops and mirrors by seed, epoch and picture, whatever batch it is in', async () => {
    const cropsOf = async (epoch: number, options: { batchSize?: number; seed?: number } = {}) => {
      const crops = new Map<number, string>();
      for (const batch of await all(new Loader(new Counted(200), { ...training, ...options }).epoch(epoch))) {
        batch.indices.forEach((index, i) => {
          crops.set(index, batch.crops.subarray(i * 3, i * 3 + 3).join());
        });
      }
      return upTo(200).map((index) => crops.get(index));
    };
    const crops = await cropsOf(0);
    expect(await cropsOf(0, { batchSize: 10 })).to.deep.equal(crops);
    expect(await cropsOf(1)).to.not.deep.equal(crops);
    expect(await cropsOf(0, { seed: 1 })).to.not.deep.equal(crops);
    const counts = new Map<string | undefined, number>();
    for (const crop of crops) counts.set(crop, (counts.get(crop) ?? 0) + 1);
    const every = [0, 1, 2, 3].flatMap((top) =>
      [0, 1].flatMap((left) => [0, 1].map((flip) => `${top},${left},${flip}`)),
    );
    expect([...counts.keys()].sort()).to.deep.equal(every);
    for (const count of counts.values()) expect(count).to.be.within(3, 28);
  });

  it('takes centres, or mirrors none, where training is told so; what is drawn beside stays as it was', async () => {
    const cropsOf = async (options: { crops?: 'centre'; flips?: false }): Promise<number[][]> => {
      const batches = await all(new Loader(new Counted(40), { ...training, ...options }).epoch(0));
      const numbers = batches.flatMap(({ crops }) => [...crops]);
      return upTo(40).map((i) => numbers.slice(3 * i, 3 * i + 3));
    };
    const drawn = await cropsOf({});
    expect(await cropsOf({ crops: 'centre' })).to.deep.equal(drawn.map(([, , flip]) => [1, 0, flip]));
    expect(await cropsOf({ flips: false })).to.deep.equal(drawn.map(([top, left]) => [top, left, 0]));
  });

  it('begins at the batch asked for', async () => {
    const loader = new Loader(new Counted(40), training);
    const whole = await all(loader.epoch(2));
    const rest = await all(loader.epoch(2, 7));
    const known = ({ indices, crops }: Batch) => ({ indices, crops });
    expect(rest.map(known)).to.deep.equal(whole.slice(7).map(known));
    expect(await all(loader.epoch(2, 10))).to.deep.equal([]);
  });

  it('reads ahead while a batch is in use, four at a time, and no further than two batches', async () => {
    const dataset = new Counted(400);
    const iterator = new Loader(dataset, { ...evaluation, batchSize: 16 }).epoch(0);
    expect(dataset.asked).to.deep.equal([]);
    await iterator.next();
    await turns(500);
    expect(dataset.asked).to.deep.equal(upTo(16 + 32));
    await iterator.next();
    await turns(500);
    expect(dataset.asked).to.deep.equal(upTo(32 + 32));
    expect(dataset.mostUnderWay).to.be.within(2, 4);
    await iterator.return();
  });

  it('reads ahead as many pictures as asked for', async () => {
    const dataset = new Counted(400);
    const iterator = new Loader(dataset, { ...evaluation, prefetch: 5 }).epoch(0);
    await iterator.next();
    await turns(200);
    expect(dataset.asked).to.deep.equal(upTo(4 + 5));
    await iterator.return();
  });

  it('stops reading when the iteration is left', async () => {
    const dataset = new Counted(400);
    for await (const batch of new Loader(dataset, evaluation).epoch(0)) {
      if (batch.indices.includes(8)) break;
    }
    const { length } = dataset.asked;
    await turns(100);
    expect(dataset.asked).to.have.length(length);
    expect(length).to.be.at.most(12 + 8);
  });

  it('tells of a failure although another picture never comes', async () => {
    const dataset: Dataset = {
      length: 8,
      classes: ['one'],
      get: (index) => (index === 1 ? Promise.reject(new Error('broken')) : new Promise(() => {})),
    };
    const iterator = new Loader(
      {
        ...dataset,
        get: (index) =>
          index === 0 ? { pixels: new Uint8Array(75), height: 5, width: 5, label: 0 } : dataset.get(index),
      },
      { ...evaluation, strict: true },
    ).epoch(0);
    expect(await rejection(iterator.next())).to.match(/sample 1 .*broken/);
  });

  it('does not hold the event loop while a data set draws its pictures', async () => {
    let drawn = 0;
    const dataset: Dataset = {
      length: 64,
      classes: ['one'],
      get: () => {
        drawn++;
        return { pixels: new Uint8Array(75), height: 5, width: 5, label: 0 };
      },
    };
    const iterator = new Loader(dataset, { ...evaluation, batchSize: 32 }).epoch(0);
    const batch = iterator.next();
    let most = 0;
    for (let before = 0; drawn < 32; before = drawn) {
      await nextTurn();
      most = Math.max(most, drawn - before);
    }
    expect(most).to.be.at.most(2);
    await batch;
    await iterator.return();
  });

  describe('rejects, naming the sample,', () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    before(() => process.on('unhandledRejection', note));
    after(() => {
      process.off('unhandledRejection', note);
      expect(unhandled).to.deep.equal([]);
    });

    const failing = (change: (index: number) => Partial<Sample>) =>
      rejection(
        all(new Loader(new Counted(40, (index) => (index === 9 ? change(index) : {})), evaluation).epoch(0)),
      );

    it('what get() throws, where that is no DataError', async () => {
      const cause = new Error('disk gone');
      const dataset = new Counted(40, (index) => {
        if (index >= 9) throw cause;
        return {};
      });
      const iterator = new Loader(dataset, evaluation).epoch(0);
      expect((await iterator.next()).value?.indices).to.deep.equal([0, 1, 2, 3]);
      expect((await iterator.next()).value?.indices).to.deep.equal([4, 5, 6, 7]);
      const failure: unknown = await iterator.next().catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(DataError).with.property('cause', cause);
      expect(String(failure)).to.match(/sample 9 .*disk gone/);
      expect(await iterator.next()).to.deep.equal({ value: undefined, done: true });
      await turns(50);
      expect(unhandled).to.deep.equal([]);
    });

    it('what a get() throws that returns no promise', async () => {
      const dataset: Dataset = {
        length: 3,
        classes: ['one'],
        get: () => {
          throw new Error('at once');
        },
      };
      expect(await rejection(all(new Loader(dataset, evaluation).epoch(0)))).to.match(/sample 0 .*at once/);
    });

    it('another size than other pictures have', async () => {
      expect(await failing(() => ({ height: 6, width: 8 }))).to.match(
        /Expected \[8, 6\].*sample 9 .*\[6, 8\]/,
      );
    });

    it('a picture smaller than the crop', async () => {
      const small = new Counted(9);
      const loader = new Loader(small, { ...evaluation, crop: 7 });
      expect(await rejection(all(loader.epoch(0)))).to.match(/at least 7.*sample 0 .*\[8, 6\]/);
    });

    it('pixels of another length', async () => {
      expect(await failing(() => ({ pixels: new Uint8Array(48) }))).to.match(
        /8 · 6 · 3 bytes.*sample 9 .*48/,
      );
      expect(await failing(() => ({ pixels: [] as unknown as Uint8Array }))).to.match(/Uint8Array.*sample 9/);
      expect(await failing(() => ({ height: -8, width: -6 }))).to.match(/sample 9/);
      expect(await failing(() => ({ height: 4.5, width: 144 / 13.5 }))).to.match(/sample 9/);
    });

    it('a tensor of another dtype or shape, and one that cannot be read', async () => {
      const failingWith = (pixels: Tensor) => {
        const data: Dataset = { length: 1, classes: ['one', 'two'], get: () => ({ pixels, label: 0 }) };
        return rejection(all(new Loader(data, evaluation).epoch(0)));
      };
      for (const [shape, dtype] of [
        [[8, 6, 3], 'float32'],
        [[8, 18], 'uint8'],
        [[8, 6, 4], 'uint8'],
      ] as const) {
        using pixels = zeros(shape, { dtype });
        expect(await failingWith(pixels)).to.match(
          /Expected uint8 tensor \[H, W, 3\] for pixels of sample 0 but received Tensor\(/,
        );
      }
      const disposed = zeros([8, 6, 3], { dtype: 'uint8' });
      disposed.dispose();
      expect(await failingWith(disposed)).to.match(
        /pixels of sample 0 but received an error: .*was disposed/,
      );
    });

    it('a label that is no class', async () => {
      for (const label of [2, -1, 0.5, Number.NaN]) {
        expect(await failing(() => ({ label }))).to.match(/2 classes.*label of sample 9/);
      }
    });
  });

  describe('leaves out what cannot be read:', () => {
    const broken = (length: number, indices: readonly number[]) => {
      const dataset = new Counted(length, (index) => {
        if (indices.includes(index)) throw new DataError(`picture ${index} is broken`);
        return {};
      });
      return Object.assign(dataset, { files: upTo(length).map((index) => `${index}.jpg`) });
    };

    it('batches are smaller by it, and all else is as it was', async () => {
      const skipped: SkippedSample[] = [];
      const onSkip = (one: SkippedSample) => skipped.push(one);
      const whole = await all(new Loader(new Counted(40), training).epoch(3));
      const loader = new Loader(broken(40, [7, 20, 21]), { ...training, onSkip });
      const rest = await all(loader.epoch(3));
      expect(rest).to.have.length(whole.length);
      for (const [b, { indices, crops, labels, pixels }] of rest.entries()) {
        const { indices: all = [], crops: allCrops } = whole[b] ?? {};
        const kept = all.flatMap((index, i) => ([7, 20, 21].includes(index) ? [] : [i]));
        expect(indices).to.deep.equal(kept.map((i) => all[i]));
        expect([...labels]).to.deep.equal(indices.map((index) => index % 2));
        expect(pixels.map((picture) => picture[0])).to.deep.equal(indices);
        expect([...crops]).to.deep.equal(
          kept.flatMap((i) => [...(allCrops?.subarray(3 * i, 3 * i + 3) ?? [])]),
        );
      }
      const order = whole.flatMap(({ indices }) => indices).filter((index) => [7, 20, 21].includes(index));
      const told = (index: number) => ({
        index,
        file: `${index}.jpg`,
        reason: `picture ${index} is broken`,
      });
      expect(skipped).to.deep.equal(order.map(told));
      await all(loader.epoch(3));
      expect(skipped, 'each time').to.deep.equal([...order, ...order].map(told));
    });

    it('a batch that begins in the middle of the epoch is the same', async () => {
      const loader = new Loader(broken(40, [7, 20, 21]), training);
      const [whole, rest] = [await all(loader.epoch(1)), await all(loader.epoch(1, 4))];
      const known = ({ indices, crops }: Batch) => ({ indices, crops });
      expect(rest.map(known)).to.deep.equal(whole.slice(4).map(known));
    });

    it('a last, smaller batch without any is no batch', async () => {
      const batches = await all(new Loader(broken(9, [8]), evaluation).epoch(0));
      expect(batches.map(({ indices }) => indices)).to.deep.equal([
        [0, 1, 2, 3],
        [4, 5, 6, 7],
      ]);
    });

    it('in evaluation another batch without any is none either; in training it is empty, and keeps its place', async () => {
      const evaluated = await all(new Loader(broken(12, [4, 5, 6, 7]), evaluation).epoch(0));
      expect(evaluated.map(({ indices }) => indices)).to.deep.equal([
        [0, 1, 2, 3],
        [8, 9, 10, 11],
      ]);
      const options = { ...training, batchSize: 1, colourNoise: COLOUR_NOISE };
      const whole = await all(new Loader(new Counted(5), options).epoch(1));
      const loader = new Loader(broken(5, [1, 3]), options);
      const trained = await all(loader.epoch(1));
      const kept = whole.map(({ indices }) => indices.filter((index) => index !== 1 && index !== 3));
      expect(trained.map(({ indices }) => indices)).to.deep.equal(kept);
      for (const { indices, pixels, labels, crops, shifts } of trained)
        expect([pixels, labels, crops, shifts].map((part) => part?.length)).to.deep.equal(
          [1, 1, 3, 3].map((each) => each * indices.length),
        );
      expect((await all(loader.epoch(1, 2))).map(({ indices }) => indices)).to.deep.equal(kept.slice(2));
    });

    it('an epoch without any is an error, at its end; the rest of one is none', async () => {
      const none = async (length: number, options: LoaderOptions) =>
        rejection(all(new Loader(broken(length, upTo(length)), options).epoch(0)));
      expect(await none(2, evaluation)).to.match(/one of 2 pictures .*picture 1 is broken/);
      expect(await none(9, evaluation)).to.match(/one of 9 pictures .*picture 8 is broken/);
      const told: number[] = [];
      const single = { ...training, batchSize: 1, onSkip: ({ index }: SkippedSample) => told.push(index) };
      expect(await none(3, single)).to.match(/one of 3 pictures .*is broken/);
      expect(told.sort()).to.deep.equal([0, 1, 2]);
      const rest = await all(new Loader(broken(3, [0, 1, 2]), single).epoch(0, 1));
      expect(rest.map(({ indices }) => indices)).to.deep.equal([[], []]);
    });

    it('so many in a row that their disk must have gone are an error', async () => {
      const most = Array.from({ length: 255 }, (_, i) => i + 1);
      const single = { ...evaluation, batchSize: 1 };
      expect(await all(new Loader(broken(300, most), single).epoch(0))).to.have.length(45);
      expect(await rejection(all(new Loader(broken(300, [...most, 256]), single).epoch(0)))).to.match(
        /one of 256 pictures .*picture 256 is broken/,
      );
    });

    it('what is no sample stays an error', async () => {
      const dataset = new Counted(8, (index) => (index === 3 ? { label: 2 } : {}));
      expect(await rejection(all(new Loader(dataset, evaluation).epoch(0)))).to.match(/label of sample 3/);
    });
  });

  it('makes the same batches, byte for byte, however many pictures are decoded at a time', async () => {
    const noise = (index: number) => ({
      pixels: Uint8Array.from({ length: 144 }, (_, i) => (index * 7919 + i * 104729) % 251),
    });
    const batchesOf = async (concurrency: number) => {
      const dataset = new Counted(60, noise);
      const loader = new Loader(dataset, { ...training, seed: 9, concurrency, colourNoise: COLOUR_NOISE });
      const batches = [...(await all(loader.epoch(0))), ...(await all(loader.epoch(1)))];
      expect(dataset.mostUnderWay).to.equal(Math.min(concurrency, 8));
      return batches.map(({ waitingMs, ...batch }) => batch);
    };
    const alone = await batchesOf(1);
    expect(alone).to.have.length(30);
    for (const concurrency of [2, 7, 50]) expect(await batchesOf(concurrency)).to.deep.equal(alone);
  });

  it('never holds more pictures than the bound, whoever is slow', async () => {
    for (const [prefetch, concurrency] of [
      [4, 1],
      [5, 7],
      [16, 3],
    ] as const) {
      let [delivered, mostHeld] = [0, 0];
      const dataset = new Counted(96, (index) => {
        if (index % 10 === 3) throw new DataError('broken');
        return {};
      });
      const noting: Dataset = {
        length: 96,
        classes: dataset.classes,
        get: (index) => {
          mostHeld = Math.max(mostHeld, index + 1 - delivered);
          return dataset.get(index);
        },
      };
      const loader = new Loader(noting, { ...evaluation, prefetch, concurrency });
      for await (const { indices } of loader.epoch(0)) {
        delivered = Math.floor((indices[0] ?? 0) / 4) * 4 + 4;
        await turns((delivered * 7919) % 60);
      }
      expect(dataset.asked).to.deep.equal(upTo(96));
      expect(dataset.mostUnderWay).to.be.at.most(concurrency);
      expect(mostHeld).to.be.within(2, prefetch);
    }
  });

  it('tells how long a batch was waited for', () =>
    withClock(async (advance) => {
      let release = (): void => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      const dataset = new Counted(8);
      const slow: Dataset = {
        length: 8,
        classes: dataset.classes,
        get: async (index) => {
          if (index === 3) await gate;
          return dataset.get(index);
        },
      };
      const iterator = new Loader(slow, evaluation).epoch(0);
      const first = iterator.next();
      await turns(100);
      advance(40);
      release();
      expect((await first).value?.waitingMs).to.equal(40);
      await turns(100);
      advance(7);
      expect((await iterator.next()).value?.waitingMs).to.equal(0);
    }));

  it('refuses what it cannot load', () => {
    const dataset = new Counted(8);
    expect(() => new Loader(new Counted(0), training)).to.throw(DataError, 'at least one picture');
    for (const batchSize of [0, 1.5, Number.NaN]) {
      expect(() => new Loader(dataset, { ...training, batchSize })).to.throw(ArgumentError, 'batchSize');
    }
    expect(() => new Loader(dataset, { ...training, crop: 0 })).to.throw(ArgumentError, 'crop');
    expect(() => new Loader(dataset, { ...training, seed: -1 })).to.throw(ArgumentError, 'seed');
    expect(() => new Loader(dataset, { ...training, prefetch: 3 })).to.throw(ArgumentError, 'prefetch');
    expect(() => new Loader(dataset, { ...training, concurrency: 0 })).to.throw(ArgumentError, 'concurrency');
    const loader = new Loader(dataset, training);
    expect(() => loader.epoch(-1)).to.throw(ArgumentError, 'epoch');
    expect(() => loader.epoch(0, 3)).to.throw(ArgumentError, 'startBatch');
  });
});
