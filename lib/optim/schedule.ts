import { expectFinite, expectInRange, expectInteger, expectPositiveInteger } from '../check.js';
import { ArgumentError, expected } from '../errors.js';

/** What a schedule has learnt so far, fit for JSON: finite numbers by name. */
export type ScheduleState = Readonly<Record<string, number>>;

/**
 * A factor on the base rate. Steps and epochs count from zero and are those about to run. All but
 * {@link ReduceLROnPlateau} are functions of them alone, so that a resumed run needs nothing else.
 */
export abstract class Schedule {
  /** For the step and the epoch that are about to run, both counted from 0. */
  abstract factor(step: number, epoch: number): number;

  /** Its kind and options, in words: what a resumed run is compared by. */
  abstract settings(): string;

  /** Tells the validation error, 0 or more, of the epoch that has just ended. */
  onEpochEnd(_validationError: number): void {}

  state(): ScheduleState {
    return {};
  }

  /** Goes on from a `state()` of a schedule with the same options. */
  load(_state: ScheduleState): void {}
}

/** The base rate throughout. */
export class ConstantLR extends Schedule {
  override settings(): string {
    return 'constant';
  }

  override factor(): number {
    return 1;
  }
}

/** Multiplies the rate by `gamma` after every `stepEpochs` epochs. */
export class StepLR extends Schedule {
  readonly #stepEpochs: number;
  readonly #gamma: number;

  constructor({ stepEpochs, gamma = 0.1 }: { stepEpochs: number; gamma?: number }) {
    super();
    this.#stepEpochs = expectPositiveInteger('stepEpochs', stepEpochs);
    this.#gamma = expectInRange('gamma', gamma, 0, 1);
  }

  override settings(): string {
    return `times ${this.#gamma} every ${this.#stepEpochs} epochs`;
  }

  override factor(_step: number, epoch: number): number {
    return this.#gamma ** Math.floor(epoch / this.#stepEpochs);
  }
}

/**
 * Multiplies the rate by `gamma` at the start of each epoch of `milestones`. The code behind the paper went through
 * its 90 epochs with 25, 51 and 79.
 */
export class MultiStepLR extends Schedule {
  readonly #milestones: readonly number[];
  readonly #gamma: number;

  constructor({ milestones, gamma = 0.1 }: { milestones: readonly number[]; gamma?: number }) {
    super();
    this.#milestones = milestones.map((epoch, i) => expectInteger(`milestones[${i}]`, epoch, 0));
    this.#gamma = expectInRange('gamma', gamma, 0, 1);
  }

  override settings(): string {
    return `times ${this.#gamma} at epochs ${this.#milestones.join(', ')}`;
  }

  override factor(_step: number, epoch: number): number {
    return this.#gamma ** this.#milestones.filter((milestone) => milestone <= epoch).length;
  }
}

/**
 * The paper's rule (Krizhevsky, Sutskever and Hinton, 2012, section 5): "divide the learning rate by 10 when the
 * validation error rate stopped improving with the current learning rate", three times before the end.
 *
 * As in PyTorch, an error improves on the best one where it is under best · (1 − `threshold`), and the rate drops once
 * more than `patience` epochs in a row did not. The paper leaves both to the eye.
 */
export class ReduceLROnPlateau extends Schedule {
  readonly #factor: number;
  readonly #patience: number;
  readonly #threshold: number;
  readonly #times: number;
  #best = Number.POSITIVE_INFINITY;
  #badEpochs = 0;
  #reductions = 0;

  constructor({
    factor = 0.1,
    patience = 10,
    threshold = 1e-4,
    times = 3,
  }: {
    factor?: number;
    patience?: number;
    threshold?: number;
    times?: number;
  } = {}) {
    super();
    this.#factor = expectInRange('factor', factor, 0, 1);
    this.#patience = expectInteger('patience', patience, 0);
    this.#threshold = expectInRange('threshold', threshold, 0, 1);
    this.#times = expectInteger('times', times, 0);
  }

  override settings(): string {
    return `times ${this.#factor} on a plateau: patience ${this.#patience}, threshold ${this.#threshold}, ${this.#times} times`;
  }

  override factor(): number {
    return this.#factor ** this.#reductions;
  }

  override onEpochEnd(validationError: number): void {
    const error = expectInRange('validationError', validationError, 0, Number.MAX_VALUE);
    if (error < this.#best * (1 - this.#threshold)) {
      this.#best = error;
      this.#badEpochs = 0;
    } else if (++this.#badEpochs > this.#patience && this.#reductions < this.#times) {
      this.#reductions++;
      this.#badEpochs = 0;
    }
  }

  override state(): ScheduleState {
    const counts = { badEpochs: this.#badEpochs, reductions: this.#reductions };
    // JSON has no infinity: before the first epoch there is no best.
    return this.#best === Number.POSITIVE_INFINITY ? counts : { best: this.#best, ...counts };
  }

  override load(state: ScheduleState): void {
    const { best, badEpochs, reductions } = state;
    this.#best = best === undefined ? Number.POSITIVE_INFINITY : expectFinite('best', best);
    this.#badEpochs = expectInteger('badEpochs', badEpochs, 0);
    this.#reductions = expectInteger('reductions', reductions, 0, this.#times);
  }
}

/**
 * Rises in a line to the base rate, which step `warmupSteps` − 1 has in full, then falls in a line to `finalFraction`
 * of it, which step `totalSteps` − 1 and all after it have.
 */
export class WarmupLinearDecay extends Schedule {
  readonly #warmupSteps: number;
  readonly #totalSteps: number;
  readonly #finalFraction: number;

  constructor({
    warmupSteps,
    totalSteps,
    finalFraction = 0,
  }: {
    warmupSteps: number;
    totalSteps: number;
    finalFraction?: number;
  }) {
    super();
    this.#warmupSteps = expectInteger('warmupSteps', warmupSteps, 0);
    this.#totalSteps = expectPositiveInteger('totalSteps', totalSteps);
    if (warmupSteps >= totalSteps) {
      throw new ArgumentError(
        expected(`fewer steps than totalSteps, ${totalSteps},`, 'warmupSteps', warmupSteps),
      );
    }
    this.#finalFraction = expectInRange('finalFraction', finalFraction, 0, 1);
  }

  override settings(): string {
    return `${this.#warmupSteps} steps up, then down to ${this.#finalFraction} at step ${this.#totalSteps}`;
  }

  override factor(step: number): number {
    const done = step + 1;
    if (done <= this.#warmupSteps) return done / this.#warmupSteps;
    const decayed = Math.min(1, (done - this.#warmupSteps) / (this.#totalSteps - this.#warmupSteps));
    return 1 - (1 - this.#finalFraction) * decayed;
  }
}
