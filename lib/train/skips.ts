import type { Dataset, SkippedSample } from '../data/dataset.js';
import type { SkipEvent } from './events.js';

type Part = SkipEvent['data'];

/** Which pictures of a run were left out. Each is told and counted once, however many epochs meet it. */
export class Skips {
  readonly #told: Readonly<Record<Part, Set<number>>> = { train: new Set(), validation: new Set() };
  readonly #unusable: number;
  readonly #onEvent: (event: SkipEvent) => void;

  constructor(datasets: readonly (Dataset | undefined)[], onEvent: (event: SkipEvent) => void) {
    this.#unusable = datasets.reduce((sum, dataset) => sum + (dataset?.skipped?.length ?? 0), 0);
    this.#onEvent = onEvent;
  }

  /** With what the data sets had left out before. */
  get count(): number {
    return this.#unusable + this.#told.train.size + this.#told.validation.size;
  }

  tell(data: Part, skipped: SkippedSample): void {
    if (this.#told[data].has(skipped.index)) return;
    this.#told[data].add(skipped.index);
    this.#onEvent({ event: 'skip', data, ...skipped });
  }
}
