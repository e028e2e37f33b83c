import cliProgress from 'cli-progress';
import type { EndEvent, EpochEvent, SkipEvent, StepEvent, TrainEvent } from '../train/events.js';
import { percent, writeJson, writeLine, writeNote } from './output.js';

/** Counts pictures on a terminal, and is cleared at the end; nothing elsewhere. */
export class PictureBar {
  readonly #bar: cliProgress.SingleBar;

  constructor(what: string, total: number) {
    this.#bar = new cliProgress.SingleBar({
      stream: process.stderr,
      format: `${what} [{bar}] {value} of {total}, {eta_formatted} left`,
      clearOnComplete: true,
      gracefulExit: false,
    });
    if (process.stderr.isTTY) this.#bar.start(total, 0);
  }

  update(done: number): void {
    this.#bar.update(done);
  }

  close(): void {
    this.#bar.stop();
  }
}

/** Shows how training goes. */
export interface Progress {
  onEvent(event: TrainEvent): void;
  /** Leaves the terminal as it was; also after an error. */
  close(): void;
}

/** A bar where stderr is a terminal, unless JSON is asked for. */
export function makeProgress(json: boolean, epochs: number): Progress {
  if (json) return new JsonProgress();
  return process.stderr.isTTY ? new BarProgress(epochs) : new LineProgress(epochs);
}

/** Each event as a line of JSON. */
export class JsonProgress implements Progress {
  onEvent(event: TrainEvent): void {
    writeJson(event);
    if (event.event === 'skip') writeNote(describeSkip(event));
  }

  close(): void {}
}

/** Plain lines: the first step, every tenth, and each epoch. */
export class LineProgress implements Progress {
  readonly #run: RunClock;
  readonly #epochs: number;

  constructor(epochs: number) {
    this.#epochs = epochs;
    this.#run = new RunClock(epochs);
  }

  onEvent(event: TrainEvent): void {
    if (event.event === 'skip') writeNote(describeSkip(event));
    if (event.event === 'epoch') writeLine(describeEpoch(event, this.#epochs));
    if (event.event !== 'step') return;
    const now = this.#run.onStep(event);
    if (now.stepOfEpoch % 10 !== 0 && !now.first) return;
    writeLine(`epoch ${event.epoch}/${this.#epochs}  ${describeStep(event, now).join('  ')}`);
  }

  close(): void {}
}

/** A bar on a terminal, one an epoch, above which the finished epochs stay. */
export class BarProgress implements Progress {
  readonly #run: RunClock;
  readonly #epochs: number;
  readonly #bar: cliProgress.SingleBar;

  constructor(epochs: number, stream: NodeJS.WritableStream = process.stderr) {
    this.#epochs = epochs;
    this.#run = new RunClock(epochs);
    this.#bar = new cliProgress.SingleBar({
      stream,
      format: 'epoch {epoch} [{bar}] {text}',
      barsize: 8,
      clearOnComplete: true,
      // Its handler would keep Ctrl-C from ending the process.
      gracefulExit: false,
      // Cuts the line at the terminal's width.
      linewrap: true,
      hideCursor: null,
    });
  }

  onEvent(event: TrainEvent): void {
    if (event.event === 'step') {
      const now = this.#run.onStep(event);
      const parts = describeStep(event, now);
      if (now.stepOfEpoch === event.stepsPerEpoch) parts.splice(3, parts.length, 'validating, saving');
      const payload = { epoch: `${event.epoch}/${this.#epochs}`, text: parts.join(' ') };
      if (this.#bar.isActive) this.#bar.update(now.stepOfEpoch, payload);
      else this.#bar.start(event.stepsPerEpoch, now.stepOfEpoch, payload);
    } else if (event.event === 'skip') {
      // The next step draws the bar again.
      this.close();
      writeNote(describeSkip(event));
    } else {
      this.close();
      if (event.event === 'epoch') writeLine(describeEpoch(event, this.#epochs));
    }
  }

  close(): void {
    this.#bar.stop();
  }
}

interface Now {
  /** Whether it is the first step of this process. */
  first: boolean;
  /** From 1. */
  stepOfEpoch: number;
  /** Mean of the epoch so far. */
  loss: number;
  top1: number;
  imagesPerSecond: number;
  /** The part of the time that the device waited for pictures. */
  waiting: number;
  /** Undefined while there is nothing to tell it from. */
  secondsLeft: number | undefined;
}

/** Means over the epoch, and the time that is left. */
class RunClock {
  readonly #epochs: number;
  #startMs = 0;
  #steps = 0;
  #epoch = 0;
  #sums = noSums();

  constructor(epochs: number) {
    this.#epochs = epochs;
  }

  onStep({ epoch, step, stepsPerEpoch, images, loss, top1, imagesPerSecond, waitingMs }: StepEvent): Now {
    const now = performance.now();
    const first = this.#steps === 0;
    if (first) this.#startMs = now;
    if (epoch !== this.#epoch) this.#sums = noSums();
    this.#epoch = epoch;
    const sums = this.#sums;
    sums.images += images;
    sums.loss += loss * images;
    sums.top1 += top1 * images;
    sums.timeMs += (images / imagesPerSecond) * 1000;
    sums.waitingMs += waitingMs;
    const left = this.#epochs * stepsPerEpoch - step;
    // Validation and checkpoints between the steps count in.
    const secondsLeft = first ? undefined : ((now - this.#startMs) / 1000 / this.#steps) * left;
    this.#steps++;
    return {
      first,
      stepOfEpoch: step - (epoch - 1) * stepsPerEpoch,
      loss: sums.loss / sums.images,
      top1: sums.top1 / sums.images,
      imagesPerSecond: (sums.images / sums.timeMs) * 1000,
      waiting: Math.min(1, sums.waitingMs / sums.timeMs),
      secondsLeft,
    };
  }
}

function noSums() {
  return { images: 0, loss: 0, top1: 0, timeMs: 0, waitingMs: 0 };
}

/** From this part of an epoch's time on it is told that the device waits for pictures. */
const NOTICEABLE = 0.1;

/** Step, loss, accuracy, waiting if it is noticeable, images/s, and if it can be told, the time left. */
function describeStep({ stepsPerEpoch }: StepEvent, now: Now): string[] {
  const parts = [
    `${now.stepOfEpoch}/${stepsPerEpoch}`,
    `loss ${now.loss.toFixed(3)}`,
    `top-1 ${percent(now.top1)}`,
  ];
  if (now.waiting >= NOTICEABLE) parts.push(`waiting for data ${(100 * now.waiting).toFixed(0)} %`);
  parts.push(`${now.imagesPerSecond.toFixed(0)} images/s`);
  if (now.secondsLeft !== undefined) parts.push(`${duration(now.secondsLeft)} left`);
  return parts;
}

function describeSkip({ reason }: SkipEvent): string {
  return `Left out: ${reason}`;
}

function describeEpoch({ epoch, train, val, best }: EpochEvent, epochs: number): string {
  const parts = [
    `epoch ${epoch}/${epochs}`,
    `training loss ${train.loss.toFixed(3)}, top-1 ${percent(train.top1)}`,
  ];
  if (val !== null) parts.push(describeValidation(val));
  if (best) parts.push('best so far');
  return parts.join('  ');
}

export function describeValidation({ loss, top1, top5 }: NonNullable<EndEvent['val']>): string {
  return `validation loss ${loss.toFixed(3)}, top-1 ${percent(top1)}, top-5 ${percent(top5)}`;
}

/** `45 s`, `2 min 5 s`, `3 h 12 min`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
