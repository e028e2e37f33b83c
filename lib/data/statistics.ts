import { expectInteger } from '../check.js';
import { DataError, expected } from '../errors.js';
import { type Colour, type ColourAxes, principalAxes } from './colour.js';
import type { Dataset, SkipOptions } from './dataset.js';
import { ReadAhead } from './read_ahead.js';

/** What section 2 and 4.1 of the paper need to know of a training set. */
export interface Statistics {
  /** How many pictures these are of. */
  pictures: number;
  /** Of the data set that was looked at. */
  fingerprint: string | null;
  height: number;
  width: number;
  /** height · width · 3 numbers of 0…255: the mean of each pixel over all pictures. */
  meanImage: Float32Array;
  /** The mean over all pixels, of 0…255. */
  meanColour: Colour;
  /** Of red, green and blue in 0…1 over all pixels, row by row. */
  covariance: readonly [Colour, Colour, Colour];
  /** Of the covariance. */
  axes: ColourAxes;
}

/** So many pictures are held at a time. */
const HELD = 8;

/**
 * Looks at every picture of a data set; they are of one size. Takes the memory of a few pictures.
 * @param options.onPicture called after each, with how many were looked at so far
 * @throws {DataError} where there is no picture that can be read, or they are of several sizes
 * @throws the reason of `signal`, where that is aborted before the end
 */
export async function statisticsOf(
  dataset: Dataset,
  {
    signal,
    onPicture,
    ...skipOptions
  }: SkipOptions & { signal?: AbortSignal | undefined; onPicture?: (done: number) => void } = {},
): Promise<Statistics> {
  const length = expectInteger('length of the data set', dataset?.length, 0);
  if (length === 0) throw new DataError(expected('at least one picture', 'data set', 0));
  const indices = Array.from({ length }, (_, i) => i);
  const reading = new ReadAhead(dataset, indices, { ...skipOptions, limit: HELD });
  let sums: Sums | undefined;
  try {
    for (let i = 0; i < length; i++) {
      signal?.throwIfAborted();
      for (const { index, sample } of await reading.take(1)) {
        sums ??= new Sums(sample.height, sample.width);
        sums.add(index, sample);
      }
      onPicture?.(i + 1);
    }
  } finally {
    reading.stop();
  }
  if (sums === undefined) throw reading.noneOf(length);
  return sums.statistics(dataset.fingerprint ?? null);
}

class Sums {
  #pictures = 0;
  readonly #pixels: Float64Array;
  /** Of products of two channels. */
  readonly #products = new Float64Array(9);

  constructor(
    readonly height: number,
    readonly width: number,
  ) {
    this.#pixels = new Float64Array(height * width * 3);
  }

  add(index: number, { pixels, height, width }: { pixels: Uint8Array; height: number; width: number }): void {
    if (height !== this.height || width !== this.width) {
      const what = `[${this.height}, ${this.width}], as other samples have,`;
      throw new DataError(expected(what, `height and width of sample ${index}`, [height, width]));
    }
    const sums = this.#pixels;
    // Integers: exact below 2^53, whatever the order.
    let [rr, gg, bb, rg, rb, gb] = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < pixels.length; i += 3) {
      const [r, g, b] = [pixels[i] ?? 0, pixels[i + 1] ?? 0, pixels[i + 2] ?? 0];
      sums[i] = (sums[i] ?? 0) + r;
      sums[i + 1] = (sums[i + 1] ?? 0) + g;
      sums[i + 2] = (sums[i + 2] ?? 0) + b;
      rr += r * r;
      gg += g * g;
      bb += b * b;
      rg += r * g;
      rb += r * b;
      gb += g * b;
    }
    [rr, rg, rb, rg, gg, gb, rb, gb, bb].forEach((product, k) => {
      this.#products[k] = (this.#products[k] ?? 0) + product;
    });
    this.#pictures++;
  }

  statistics(fingerprint: string | null): Statistics {
    const count = this.#pictures * this.height * this.width;
    const total: Colour = [0, 0, 0];
    this.#pixels.forEach((sum, i) => {
      total[i % 3] = (total[i % 3] ?? 0) + sum;
    });
    const meanColour: Colour = [total[0] / count, total[1] / count, total[2] / count];
    const row = (i: 0 | 1 | 2): Colour => {
      const entry = (j: 0 | 1 | 2) =>
        ((this.#products[3 * i + j] ?? 0) / count - meanColour[i] * meanColour[j]) / 255 ** 2;
      return [entry(0), entry(1), entry(2)];
    };
    const covariance = [row(0), row(1), row(2)] as const;
    return {
      pictures: this.#pictures,
      fingerprint,
      height: this.height,
      width: this.width,
      meanImage: Float32Array.from(this.#pixels, (sum) => sum / this.#pictures),
      meanColour,
      covariance,
      axes: principalAxes(covariance),
    };
  }
}

/** @throws {DataError} where the statistics are of another data set */
export function expectStatisticsOf(dataset: Dataset, { fingerprint }: Statistics, path: string): void {
  if ((dataset.fingerprint ?? null) === fingerprint) return;
  throw new DataError(
    `Expected statistics of the training data in ${path} but received those of other pictures (or the pictures changed): "alexnet stats" makes them anew`,
  );
}
