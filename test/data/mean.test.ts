import { expect } from 'chai';
import type { Dataset, SkippedSample } from '../../lib/data/dataset.js';
import { meanColour } from '../../lib/data/mean.js';
import { Shapes } from '../../lib/data/shapes.js';
import { ArgumentError, DataError } from '../../lib/errors.js';
import { rejection } from './rejection.js';

/** Pictures of two pixels: [index, 10, 0] and [index, 30, 255]. */
class Pairs implements Dataset {
  readonly classes = ['one'];
  readonly asked: number[] = [];
  constructor(readonly length: number) {}

  get(index: number) {
    this.asked.push(index);
    return { pixels: Uint8Array.of(index, 10, 0, index, 30, 255), height: 1, width: 2, label: 0 };
  }
}

describe('meanColour', () => {
  it('is the mean of every channel', async () => {
    expect(await meanColour(new Pairs(5))).to.deep.equal({ mean: [2, 20, 127.5], side: 1 });
  });

  it('looks at so many pictures, evenly spaced', async () => {
    const dataset = new Pairs(103);
    const { mean } = await meanColour(dataset, { limit: 10 });
    expect(dataset.asked).to.deep.equal([0, 10, 20, 30, 41, 51, 61, 72, 82, 92]);
    expect(mean[0]).to.be.closeTo(45.9, 1e-9);
  });

  it('of drawn shapes is near the middle', async () => {
    for (const channel of (await meanColour(new Shapes({ length: 200, size: 32 }))).mean) {
      expect(channel).to.be.within(110, 145);
    }
  });

  it('refuses an empty data set and a limit of nothing, and tells what cannot be read', async () => {
    expect(await rejection(meanColour(new Pairs(0)))).to.match(/at least one picture/);
    const failure = await meanColour(new Pairs(3), { limit: 0 }).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(ArgumentError);
    const broken: Dataset = { length: 2, classes: ['one'], get: () => Promise.reject(new DataError('gone')) };
    expect(await rejection(meanColour(broken))).to.match(/one of 2 pictures .*gone/);
    expect(await rejection(meanColour(broken, { strict: true }))).to.match(/sample 0 .*gone/);
  });

  it('stops when its signal is aborted', async () => {
    const failure = await meanColour(new Pairs(5), { signal: AbortSignal.abort('enough') }).catch(
      (error) => error,
    );
    expect(failure).to.equal('enough');
  });

  it('leaves out what cannot be read', async () => {
    const pairs = new Pairs(5);
    const dataset: Dataset = {
      length: 5,
      classes: ['one'],
      get: (index) => (index === 0 ? Promise.reject(new DataError('gone')) : pairs.get(index)),
    };
    const skipped: SkippedSample[] = [];
    const onSkip = (one: SkippedSample) => skipped.push(one);
    expect((await meanColour(dataset, { onSkip })).mean).to.deep.equal([2.5, 20, 127.5]);
    expect(skipped).to.deep.equal([{ index: 0, file: null, reason: 'gone' }]);
  });
});
