import { setImmediate } from 'node:timers/promises';
import { DataError } from '../errors.js';
import { type Dataset, readSample, type Sample, type SkipOptions, Unreadable } from './dataset.js';

/** So many pictures are decoded at a time: as many as Node has threads for it. */
export const CONCURRENCY = 4;

export interface ReadOptions extends SkipOptions {
  /** At most so many pictures are decoded, or being decoded, and not taken. */
  limit: number;
  /** At most so many are being decoded. Default `CONCURRENCY`. */
  concurrency?: number;
}

/** A picture and which of its data set it is. */
export interface Read {
  index: number;
  sample: Sample;
}

/** Reads pictures of a data set in a given order, ahead of their use. */
export class ReadAhead {
  readonly #dataset: Dataset;
  readonly #indices: readonly number[];
  readonly #limit: number;
  readonly #concurrency: number;
  readonly #strict: boolean;
  readonly #onSkip: SkipOptions['onSkip'];
  /** In order, those that were started and not taken. */
  readonly #reads: Promise<Sample | Unreadable>[] = [];
  #lastReason = '';
  #started = 0;
  #taken = 0;
  #reading = 0;
  #stopped = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(dataset: Dataset, indices: readonly number[], options: ReadOptions) {
    this.#dataset = dataset;
    this.#indices = indices;
    this.#limit = options.limit;
    this.#concurrency = options.concurrency ?? CONCURRENCY;
    this.#strict = options.strict ?? false;
    this.#onSkip = options.onSkip;
  }

  /**
   * Those that can be read of the next `count` pictures, which are no more than `limit`.
   * @throws {DataError} of the first that is not what a sample should be, or where strict, that cannot be read
   */
  async take(count: number): Promise<Read[]> {
    const reads: Read[] = [];
    for (let i = 0; i < count; i++) {
      this.#fill();
      const index = this.#indices[this.#taken + i] ?? 0;
      const read = await this.#reads.shift();
      if (read === undefined) throw new RangeError(`take(${count}) past the end`);
      if (!(read instanceof Unreadable)) reads.push({ index, sample: read });
      else if (this.#strict) throw read.error;
      else {
        this.#lastReason = read.skipped.reason;
        this.#onSkip?.(read.skipped);
      }
    }
    this.#taken += count;
    this.#fill();
    return reads;
  }

  /** The error that none of so many pictures could be read. */
  noneOf(count: number): DataError {
    return new DataError(
      `Expected at least one of ${count} pictures that can be read but received none, lastly: ${this.#lastReason}`,
    );
  }

  /** Starts no more reads. Those under way go on unheeded: one that hangs must not hold back another's failure. */
  stop(): void {
    this.#stopped = true;
  }

  #fill(): void {
    while (
      !this.#stopped &&
      this.#reading < this.#concurrency &&
      this.#started < this.#indices.length &&
      this.#started - this.#taken < this.#limit
    ) {
      const index = this.#indices[this.#started++] ?? 0;
      this.#reads.push(this.#read(index));
    }
  }

  #read(index: number): Promise<Sample | Unreadable> {
    this.#reading++;
    // One in a turn of the event loop: a get() that draws on this thread must not hold it for a whole batch.
    const turn = this.#turn.then(() => setImmediate());
    this.#turn = turn;
    const read = turn
      .then(() => {
        if (this.#stopped) throw new Error('stopped');
        return readSample(this.#dataset, index);
      })
      .finally(() => {
        this.#reading--;
        this.#fill();
      });
    // take() meets the failure in its turn, if it comes so far.
    read.catch(() => {});
    return read;
  }
}
