import { setImmediate } from 'node:timers/promises';
import { type Dataset, readSample, type Sample } from './dataset.js';

/** So many pictures are decoded at a time: as many as Node has threads for it. */
const CONCURRENCY = 4;

/** Reads pictures of a data set in a given order, ahead of their use. */
export class ReadAhead {
  readonly #dataset: Dataset;
  readonly #indices: readonly number[];
  readonly #limit: number;
  /** In order, those that were started and not taken. */
  readonly #reads: Promise<Sample>[] = [];
  #started = 0;
  #taken = 0;
  #reading = 0;
  #stopped = false;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param limit at most so many pictures are decoded, or being decoded, and not taken */
  constructor(dataset: Dataset, indices: readonly number[], limit: number) {
    this.#dataset = dataset;
    this.#indices = indices;
    this.#limit = limit;
  }

  /**
   * The next `count` pictures, no more than `limit`.
   * @throws {DataError} of the first that could not be read
   */
  async take(count: number): Promise<Sample[]> {
    const samples: Sample[] = [];
    while (samples.length < count) {
      this.#fill();
      const read = this.#reads.shift();
      if (read === undefined) throw new RangeError(`take(${count}) past the end`);
      samples.push(await read);
    }
    this.#taken += count;
    this.#fill();
    return samples;
  }

  /** Starts no more reads. Those under way go on unheeded: one that hangs must not hold back another's failure. */
  stop(): void {
    this.#stopped = true;
  }

  #fill(): void {
    while (
      !this.#stopped &&
      this.#reading < CONCURRENCY &&
      this.#started < this.#indices.length &&
      this.#started - this.#taken < this.#limit
    ) {
      const index = this.#indices[this.#started++] ?? 0;
      this.#reads.push(this.#read(index));
    }
  }

  #read(index: number): Promise<Sample> {
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
