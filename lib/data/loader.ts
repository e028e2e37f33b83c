import { expectInteger } from '../check.js';
import { DataError, expected } from '../errors.js';
import { Random, STREAMS, substream } from '../random.js';
import type { Dataset, Sample } from './dataset.js';
import { ReadAhead } from './read_ahead.js';

export interface LoaderOptions {
  batchSize: number;
  /** Side of the square that is cut out of each picture. */
  crop: number;
  /**
   * Training: shuffled, random crops, half of them mirrored; the last partial batch is dropped, unless all pictures
   * together are fewer than a batch: they are one smaller batch then.
   * Otherwise: in order, centre crops, and the last batch may be smaller.
   */
  training: boolean;
  /** Of order, crops and mirroring. Default 0. */
  seed?: number;
  /** At most so many pictures are decoded, or being decoded, and not delivered. Default: two batches. */
  prefetch?: number;
}

export interface Batch {
  /** One array of height · width · 3 bytes for each picture. */
  pixels: Uint8Array[];
  height: number;
  width: number;
  labels: Int32Array;
  /** Three numbers a picture: top, left, mirrored (0 or 1). */
  crops: Int32Array;
  /** Which pictures of the data set they are. */
  indices: number[];
  /** How long the caller waited for the batch. */
  waitingMs: number;
}

/** Batches of a data set, decoded ahead of their use. */
export class Loader {
  /** Batches of an epoch. */
  readonly batches: number;
  readonly #dataset: Dataset;
  readonly #batchSize: number;
  readonly #crop: number;
  readonly #training: boolean;
  readonly #seed: number;
  readonly #prefetch: number;
  #size: readonly [height: number, width: number] | undefined;

  /** @throws {DataError} for an empty data set */
  constructor(dataset: Dataset, options: LoaderOptions) {
    this.#dataset = dataset;
    this.#batchSize = expectInteger('batchSize', options.batchSize, 1);
    this.#crop = expectInteger('crop', options.crop, 1);
    this.#training = options.training;
    this.#seed = expectInteger('seed', options.seed ?? 0, 0);
    this.#prefetch = expectInteger('prefetch', options.prefetch ?? 2 * this.#batchSize, this.#batchSize);
    const length = expectInteger('length of the data set', dataset.length, 0);
    if (length === 0) throw new DataError(expected('at least one picture', 'data set', 0));
    const batches = length / this.#batchSize;
    this.batches = this.#training ? Math.max(1, Math.floor(batches)) : Math.ceil(batches);
  }

  /**
   * The batches of an epoch: the same at every call. Decoding begins with the first batch asked for and ends when the
   * iteration does. A picture that cannot be read, of another size than the others or smaller than the crop makes the
   * iteration reject with a DataError that names its index.
   * @param epoch the first is 0
   * @param startBatch so many batches are left out at the beginning
   */
  epoch(epoch: number, startBatch = 0): AsyncGenerator<Batch, void, undefined> {
    expectInteger('epoch', epoch, 0);
    expectInteger('startBatch', startBatch, 0, this.batches);
    return this.#iterate(epoch, startBatch);
  }

  async *#iterate(epoch: number, startBatch: number): AsyncGenerator<Batch, void, undefined> {
    const size = this.#batchSize;
    const order = this.#order(epoch).slice(startBatch * size, this.batches * size);
    const reading = new ReadAhead(this.#dataset, order, this.#prefetch);
    try {
      for (let start = 0; start < order.length; start += size) {
        const indices = order.slice(start, start + size);
        const askedMs = performance.now();
        const samples = await reading.take(indices.length);
        yield this.#batch(epoch, indices, samples, performance.now() - askedMs);
      }
    } finally {
      reading.stop();
    }
  }

  #order(epoch: number): number[] {
    const order = Array.from({ length: this.#dataset.length }, (_, i) => i);
    if (!this.#training) return order;
    return new Random(this.#seed, substream(STREAMS.shuffle, epoch)).shuffle(order);
  }

  #batch(epoch: number, indices: number[], samples: Sample[], waitingMs: number): Batch {
    const crops = new Int32Array(samples.length * 3);
    let size = this.#size;
    samples.forEach(({ height, width }, i) => {
      const index = indices[i] ?? 0;
      size ??= [height, width];
      if (height !== size[0] || width !== size[1]) {
        const what = `[${size.join(', ')}], as other samples have,`;
        throw new DataError(expected(what, `height and width of sample ${index}`, [height, width]));
      }
      if (Math.min(height, width) < this.#crop) {
        const what = `at least ${this.#crop}, the crop,`;
        throw new DataError(expected(what, `height and width of sample ${index}`, [height, width]));
      }
      crops.set(this.#cropOf(epoch, index, height, width), i * 3);
    });
    this.#size = size;
    const [height, width] = size ?? [0, 0];
    return {
      pixels: samples.map(({ pixels }) => pixels),
      height,
      width,
      labels: Int32Array.from(samples, ({ label }) => label),
      crops,
      indices,
      waitingMs,
    };
  }

  #cropOf(epoch: number, index: number, height: number, width: number): readonly number[] {
    const [down, right] = [height - this.#crop, width - this.#crop];
    if (!this.#training) return [Math.floor(down / 2), Math.floor(right / 2), 0];
    const random = new Random(this.#seed, substream(STREAMS.crops, epoch), index);
    return [random.integer(down + 1), random.integer(right + 1), random.integer(2)];
  }
}
