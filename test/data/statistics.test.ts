import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type ColourNoise, colourShift, principalAxes } from '../../lib/data/colour.js';
import type { Dataset } from '../../lib/data/dataset.js';
import { expectStatisticsOf, type Statistics, statisticsOf } from '../../lib/data/statistics.js';
import { DataError, FileFormatError } from '../../lib/errors.js';
import { Random } from '../../lib/random.js';
import { loadStatistics, saveStatistics } from '../../lib/train/statistics_file.js';
import { rejection } from './rejection.js';

/** Pictures of 4 × 5 pixels whose channels go together as those of photos do. */
class Noise implements Dataset {
  readonly classes = ['one'];
  readonly fingerprint: string = 'noise';
  constructor(
    readonly length: number,
    readonly broken: readonly number[] = [],
  ) {}

  get(index: number) {
    if (this.broken.includes(index)) throw new DataError(`picture ${index} is broken`);
    const random = new Random(3, index);
    const pixels = new Uint8Array(60);
    for (let i = 0; i < 60; i += 3) {
      const light = 40 + random.integer(150);
      pixels.set([light + random.integer(40), light + random.integer(20), light + random.integer(60)], i);
    }
    return { pixels, height: 4, width: 5, label: 0 };
  }
}

/** The pictures of make_numpy_statistics.py. */
const DRAWN: Dataset = {
  length: 9,
  classes: ['one'],
  get: (k) => {
    const pixels = new Uint8Array(6 * 7 * 3);
    for (let i = 0; i < 6 * 7; i++) {
      const [y, x] = [Math.floor(i / 7), i % 7];
      const light = 40 + ((37 * k + 11 * x + 5 * y + x * y * y) % 150);
      const colour = [(3 * x + k) % 40, (7 * y * x) % 20, (13 * y + 5 * k) % 60];
      pixels.set(
        colour.map((part) => light + part),
        3 * i,
      );
    }
    return { pixels, height: 6, width: 7, label: 0 };
  },
};

/** All pixels at once: mean and covariance in double. */
function direct(dataset: Noise): { mean: number[]; covariance: number[][]; meanImage: number[] } {
  const all = Array.from({ length: dataset.length }, (_, i) => [...dataset.get(i).pixels]);
  const pixels = all.flatMap((p) => Array.from({ length: 20 }, (_, i) => p.slice(3 * i, 3 * i + 3)));
  const mean = [0, 1, 2].map((c) => pixels.reduce((sum, p) => sum + (p[c] ?? 0), 0) / pixels.length);
  const covariance = [0, 1, 2].map((a) =>
    [0, 1, 2].map(
      (b) =>
        pixels.reduce((sum, p) => sum + ((p[a] ?? 0) - (mean[a] ?? 0)) * ((p[b] ?? 0) - (mean[b] ?? 0)), 0) /
        pixels.length /
        255 ** 2,
    ),
  );
  const meanImage = Array.from(
    { length: 60 },
    (_, i) => all.reduce((sum, p) => sum + (p[i] ?? 0), 0) / all.length,
  );
  return { mean, covariance, meanImage };
}

describe('statistics of a data set', () => {
  let folder: string;
  let statistics: Statistics;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'node-cudnn-statistics-'));
    statistics = await statisticsOf(new Noise(37));
  });
  after(() => rm(folder, { recursive: true }));

  it('are the mean of each pixel, the mean colour and the covariance of all pixels', () => {
    const wanted = direct(new Noise(37));
    statistics.meanColour.forEach((value, c) => {
      expect(value).to.be.closeTo(wanted.mean[c] ?? 0, 1e-9);
    });
    statistics.covariance.flat().forEach((value, i) => {
      expect(value).to.be.closeTo(wanted.covariance.flat()[i] ?? 0, 1e-12);
    });
    statistics.meanImage.forEach((value, i) => {
      expect(value).to.be.closeTo(wanted.meanImage[i] ?? 0, 1e-5);
    });
    expect(statistics).to.include({ pictures: 37, height: 4, width: 5, fingerprint: 'noise' });
  });

  it('are what numpy says', async () => {
    const golden = new URL('../golden/numpyStatistics.json', import.meta.url);
    const wanted = JSON.parse(await readFile(golden, 'utf8')) as {
      [name in 'meanImage' | 'meanColour' | 'eigenvalues']: number[];
    } & { [name in 'covariance' | 'eigenvectors']: number[][] };
    const { meanImage, meanColour, covariance, axes } = await statisticsOf(DRAWN);
    const expectClose = (found: readonly number[], numbers: readonly number[] = [], within = 1e-12) => {
      expect(found).to.have.lengthOf(numbers.length);
      found.forEach((value, i) => {
        expect(value).to.be.closeTo(numbers[i] ?? Number.NaN, within);
      });
    };
    expectClose([...meanImage], wanted.meanImage, 1e-5);
    expectClose(meanColour, wanted.meanColour, 1e-10);
    expectClose(covariance.flat(), wanted.covariance.flat());
    expectClose(axes.values, wanted.eigenvalues);
    axes.vectors.forEach((vector, i) => {
      const other = wanted.eigenvectors[i] ?? [];
      const dot = vector.reduce((sum, value, j) => sum + value * (other[j] ?? 0), 0);
      expectClose(
        vector,
        other.map((value) => Math.sign(dot) * value),
      );
    });
  });

  it('leave out what cannot be read, and count what was looked at', async () => {
    const seen: number[] = [];
    const skipped: number[] = [];
    const { pictures } = await statisticsOf(new Noise(5, [1]), {
      onPicture: (done) => seen.push(done),
      onSkip: ({ index }) => skipped.push(index),
    });
    expect([pictures, seen, skipped]).to.deep.equal([4, [1, 2, 3, 4, 5], [1]]);
    expect(await rejection(statisticsOf(new Noise(2, [0, 1])))).to.match(/none|picture/);
    expect(await rejection(statisticsOf(new Noise(0)))).to.match(/at least one picture/);
  });

  it('end when they are told to', async () => {
    const reason = new Error('enough');
    const failure = await statisticsOf(new Noise(5), { signal: AbortSignal.abort(reason) }).catch(
      (error: unknown) => error,
    );
    expect(failure).to.equal(reason);
  });

  it('have axes: eigenvectors of length 1, at right angles, the largest variance first', () => {
    const { values, vectors } = statistics.axes;
    expect(values[0]).to.be.above(values[1]);
    expect(values[1]).to.be.above(values[2]);
    vectors.forEach((vector, i) => {
      statistics.covariance.forEach((row, k) => {
        const product = row.reduce((sum, value, j) => sum + value * (vector[j] ?? 0), 0);
        expect(product).to.be.closeTo((values[i] ?? 0) * (vector[k] ?? 0), 1e-12);
      });
      vectors.forEach((other, j) => {
        const dot = vector.reduce((sum, value, k) => sum + value * (other[k] ?? 0), 0);
        expect(dot).to.be.closeTo(i === j ? 1 : 0, 1e-12);
      });
    });
    expect(
      principalAxes([
        [2, 0, 0],
        [0, 5, 0],
        [0, 0, 3],
      ]),
    ).to.deep.equal({
      values: [5, 3, 2],
      vectors: [
        [0, 1, 0],
        [0, 0, 1],
        [1, 0, 0],
      ],
    });
  });

  it('are read back from their file, of the same data set only', async () => {
    const path = join(folder, 'stats.safetensors');
    await saveStatistics(path, statistics);
    const read = await loadStatistics(path);
    expect(read).to.deep.equal(statistics);
    expectStatisticsOf(new Noise(37), read, path);
    const others = Object.assign(new Noise(37), { fingerprint: 'others' });
    expect(() => expectStatisticsOf(others, read, path)).to.throw(DataError, 'those of other pictures');
  });

  it('are no other file', async () => {
    const path = join(folder, 'other.safetensors');
    await saveStatistics(path, { ...statistics, meanColour: [1, Number.NaN, 3] });
    const failure = await loadStatistics(path).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(FileFormatError);
    expect(String(failure))
      .to.match(/meanColour\[1\]/)
      .and.to.include(path);
    await writeFile(path, 'no tensors');
    expect(await loadStatistics(path).catch((error: unknown) => error)).to.be.instanceOf(FileFormatError);
  });
});

describe('colour noise', () => {
  /** Of ImageNet's pixels in 0…1, as published for PyTorch's Lighting transforms. */
  const axes = {
    values: [0.2175, 0.0188, 0.0045],
    vectors: [
      [-0.5675, -0.5808, -0.5836],
      [0.7192, 0.0045, -0.6948],
      [0.4009, -0.814, 0.4203],
    ],
  } as ColourNoise['axes'];

  /** Root mean square of the shift of red over many pictures. */
  function spread(kind: ColourNoise['kind']): number {
    let sum = 0;
    for (let i = 0; i < 4000; i++) sum += colourShift({ kind, axes }, 1, 0, i)[0] ** 2;
    return Math.sqrt(sum / 4000);
  }

  it('is a few grey levels by the paper, some ten by its code', () => {
    const deviation = (of: (value: number) => number) =>
      25.5 * Math.hypot(...axes.values.map((value, i) => of(value) * (axes.vectors[i]?.[0] ?? 0)));
    expect(deviation((value) => value)).to.be.within(2, 5);
    expect(deviation(Math.sqrt)).to.be.within(5, 12);
    expect(spread('paper') / deviation((value) => value)).to.be.within(0.94, 1.06);
    expect(spread('krizhevsky2012') / deviation(Math.sqrt)).to.be.within(0.94, 1.06);
  });

  it('is drawn anew for each picture, epoch and seed, and is the same each time', () => {
    const draw = (seed: number, epoch: number, index: number) =>
      colourShift({ kind: 'paper', axes }, seed, epoch, index).join();
    const drawn = [draw(1, 0, 0), draw(2, 0, 0), draw(1, 1, 0), draw(1, 0, 1)];
    expect(new Set(drawn).size).to.equal(4);
    expect(draw(1, 0, 0)).to.equal(drawn[0]);
  });
});
