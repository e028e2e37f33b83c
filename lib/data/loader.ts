import { expectInteger } from '../check.js';
import { DataError, expected } from '../errors.js';
import { Random, STREAMS, substream } from '../random.js';
import { type ColourNoise, colourShift } from './colour.js';
import type { Dataset, SkipOptions } from './dataset.js';
import { CONCURRENCY, type Read, ReadAhead, type ReadOptions } from './read_ahead.js';

export interface LoaderOptions extends SkipOptions {
  batchSize: number;
  /** Side of the square that is cut out of each picture. */
  crop: number;
  /**
   * Training: shuffled, random crops, half of them mirrored, unless told otherwise; the last partial batch is dropped, unless all pictures
   * together are fewer than a batch: they are one smaller batch then.
   * Otherwise: in order, centre crops, and the last batch may be smaller.
   */
  training: boolean;
  /** Of training. Default: random crops. */
  crops?: 'random' | 'centre' | undefined;
  /** Of training: whether half of the pictures are mirrored. Default true. */
  flips?: boolean | undefined;
  /** Of order, crops and mirroring. Default 0. */
  seed?: number;
  /** Of training. Default: none. */
  colourNoise?: ColourNoise | undefined;
  /** At most so many pictures are decoded, or being decoded, and not delivered. Default: two batches. */
  prefetch?: number;
  /** At most so many are being decoded at a time. It changes no batch. Default 4. */
  concurrency?: number;
}

export interface Batch {
  /** One array of height · width · 3 bytes for each picture. */
  pixels: Uint8Array[];
  height: number;
  width: number;
  labels: Int32Array;
  /** Three numbers a picture: top, left, mirrored (0 or 1). */
  crops: Int32Array;
  /** Three numbers a picture: the colour that is added; null for none. */
  shifts: Float32Array | null;
  /** Which pictures of the data set they are. Those that cannot be read are left out, and none takes their place. */
  indices: number[];
  /** How long the caller waited for the batch. */
  waitingMs: number;
}

/** So many pictures in empty batches in a row are no broken files, but a data set that has gone. */
const LOST_TOO_MANY = 256;

/** Batches of a data set, decoded ahead of their use. */
export class Loader {
  /** Batches of an epoch. */
  readonly batches: number;
  readonly #dataset: Dataset;
  readonly #batchSize: number;
  readonly #crop: number;
  readonly #training: boolean;
  readonly #randomCrops: boolean;
  readonly #flips: boolean;
  readonly #seed: number;
  readonly #colourNoise: ColourNoise | undefined;
  readonly #reading: ReadOptions;
  #size: readonly [height: number, width: number] | undefined;

  /** @throws {DataError} for an empty data set */
  constructor(dataset: Dataset, options: LoaderOptions) {
    this.#dataset = dataset;
    this.#batchSize = expectInteger('batchSize', options.batchSize, 1);
    this.#crop = expectInteger('crop', options.crop, 1);
    this.#training = options.training;
    this.#randomCrops = options.training && options.crops !== 'centre';
    this.#flips = options.training && (options.flips ?? true);
    this.#seed = expectInteger('seed', options.seed ?? 0, 0);
    this.#colourNoise = options.training ? options.colourNoise : undefined;
    this.#reading = {
      ...options,
      limit: expectInteger('prefetch', options.prefetch ?? 2 * this.#batchSize, this.#batchSize),
      concurrency: expectInteger('concurrency', options.concurrency ?? CONCURRENCY, 1),
    };
    const length = expectInteger('length of the data set', dataset.length, 0);
    if (length === 0) throw new DataError(expected('at least one picture', 'data set', 0));
    const batches = length / this.#batchSize;
    this.batches = this.#training ? Math.max(1, Math.floor(batches)) : Math.ceil(batches);
  }

  /**
   * The batches of an epoch: the same at every call. Decoding begins with the first batch asked for and ends when the
   * iteration does. A picture that cannot be read is left out of its batch. A batch of which nothing is left is empty in
   * training, so that those after it keep their places, and left out in evaluation. The iteration rejects with a
   * DataError where batches of 256 pictures in a row are empty (a disk has gone), at the end of an epoch, from its first
   * batch on, of which nothing could be read, and for a picture of another size than the others or smaller than the crop.
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
    const reading = new ReadAhead(this.#dataset, order, this.#reading);
    let pictures = 0;
    let lost = 0;
    try {
      for (let start = 0; start < order.length; start += size) {
        const count = Math.min(size, order.length - start);
        const askedMs = performance.now();
        const reads = await reading.take(count);
        const waitingMs = performance.now() - askedMs;
        pictures += reads.length;
        lost = reads.length > 0 ? 0 : lost + count;
        if (lost >= LOST_TOO_MANY) throw reading.noneOf(lost);
        if (reads.length > 0 || this.#training) yield this.#batch(epoch, reads, waitingMs);
      }
      if (pictures === 0 && startBatch === 0) throw reading.noneOf(order.length);
    } finally {
      reading.stop();
    }
  }

  #order(epoch: number): number[] {
    const order = Array.from({ length: this.#dataset.length }, (_, i) => i);
    if (!this.#training) return order;
    return new Random(this.#seed, substream(STREAMS.shuffle, epoch)).shuffle(order);
  }

  #batch(epoch: number, reads: Read[], waitingMs: number): Batch {
    const crops = new Int32Array(reads.length * 3);
    let size = this.#size;
    reads.forEach(({ index, sample: { height, width } }, i) => {
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
      pixels: reads.map(({ sample }) => sample.pixels),
      height,
      width,
      labels: Int32Array.from(reads, ({ sample }) => sample.label),
      crops,
      shifts: this.#shifts(epoch, reads),
      indices: reads.map(({ index }) => index),
      waitingMs,
    };
  }

  #shifts(epoch: number, reads: readonly Read[]): Float32Array | null {
    const noise = this.#colourNoise;
    if (noise === undefined) return null;
    return Float32Array.from(reads.flatMap(({ index }) => colourShift(noise, this.#seed, epoch, index)));
  }

  #cropOf(epoch: number, index: number, height: number, width: number): readonly number[] {
    const [down, right] = [height - this.#crop, width - this.#crop];
    const random = new Random(this.#seed, substream(STREAMS.crops, epoch), index);
    const place = [random.integer(down + 1), random.integer(right + 1)];
    const flip = random.integer(2);
    return [
      ...(this.#randomCrops ? place : [Math.floor(down / 2), Math.floor(right / 2)]),
      this.#flips ? flip : 0,
    ];
  }
}
