import { dirname, join } from 'node:path';
import { FileWriteError, reasonOf } from '../errors.js';
import { writeAtomically } from '../io/atomic.js';
import { EventFile } from '../io/tensorboard.js';
import type { AlexNet } from '../models/alexnet.js';
import { readWhole } from '../models/parameters.js';
import { Confusion } from '../report/confusion.js';
import { filtersPicture } from '../report/filters.js';
import { type Report, reportPage } from '../report/page.js';
import type { Judgement } from '../train/evaluate.js';
import type { EpochEvent, TrainEvent } from '../train/events.js';
import { bestOf } from '../train/scores.js';
import { type CurveRow, CurvesFile, epochRow, StepMeans } from './curves.js';
import { count, describeSkipped, percent, writeNote } from './output.js';
import { describeValidation } from './progress.js';
import type { Settings } from './settings.js';

export interface RecorderOptions {
  /** Folder of the run. */
  out: string;
  model: AlexNet;
  classes: readonly string[];
  settings: Settings;
  /** What the run goes on from, and how many steps it has done; undefined for a new run. */
  from?: { checkpoint: string; step: number } | undefined;
}

/**
 * Writes down how a training goes, in the folder of the run: `curves.csv` and TensorBoard's events as it goes on,
 * `report.html` after each epoch. A failure, such as a full disk, is told once and ends the records, not the training.
 */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #means = new StepMeans();
  #confusion: Confusion;
  #files: { events: EventFile; curves: CurvesFile } | undefined;
  /** All is written in order, and training does not wait for it. */
  #queue: Promise<void> = Promise.resolve();
  #failed = false;
  #saved = false;

  private constructor(options: RecorderOptions) {
    this.#options = options;
    this.#confusion = new Confusion(options.classes);
  }

  static async open(options: RecorderOptions): Promise<Recorder> {
    const recorder = new Recorder(options);
    const { out, from } = options;
    const step = from?.step ?? 0;
    recorder.#write(async () => {
      const before = from === undefined ? null : join(dirname(from.checkpoint), CURVES);
      const curves = await CurvesFile.create(join(out, CURVES), before, step);
      recorder.#files = { curves, events: await EventFile.create(out, step + 1) };
    });
    await recorder.#queue;
    return recorder;
  }

  onJudgement({ label, probabilities }: Judgement): void {
    this.#confusion.add(label, bestOf(1, probabilities)[0] ?? -1);
  }

  onEvent(event: TrainEvent): void {
    if (event.event === 'step') this.#append(this.#means.add(event));
    if (event.event === 'end') this.#append(this.#means.take());
    if (event.event !== 'epoch') return;
    this.#append(this.#means.take());
    this.#append(epochRow(event));
    const confusion = this.#confusion;
    this.#confusion = new Confusion(this.#options.classes);
    // Read where the queue of the device is now: what comes later is the next step's.
    const { weight, columns } = this.#options.model.firstConvolution;
    const weights = readWhole(weight);
    weights.catch(() => {});
    this.#write(async () => {
      const filters = await filtersPicture(await weights, weight.shape, { columns });
      await this.#files?.events.appendImage(event.step, 'filters', filters);
      await this.#report(event, confusion, filters);
    });
  }

  /** Waits until all is written. @returns the report's path, if one was */
  async close(): Promise<string | null> {
    await this.#queue;
    return this.#saved ? join(this.#options.out, REPORT) : null;
  }

  #append(row: CurveRow | undefined): void {
    if (row === undefined) return;
    this.#write(async () => {
      await this.#files?.curves.append(row);
      await this.#files?.events.appendScalars(row.step, scalarsOf(row));
    });
  }

  async #report(event: EpochEvent, confusion: Confusion, filters: Buffer): Promise<void> {
    const { out, settings, model, classes } = this.#options;
    const page = await reportPage({
      title: `AlexNet, ${count(classes.length)} classes`,
      summary: describe(event, settings.epochs),
      charts: chartsOf(this.#files?.curves.rows ?? [], classes.length),
      confusion: event.val === null ? null : confusion,
      filters,
      settings: [
        ['parameters', count(model.parameterCount)],
        ...Object.entries(settings)
          .filter(([, value]) => value !== null)
          .map(([name, value]) => [name, shown(value)] as const),
      ],
    });
    await writeAtomically(join(out, REPORT), (file) => file.writeFile(page));
    this.#saved = true;
  }

  #write(task: () => Promise<void>): void {
    this.#queue = this.#queue.then(async () => {
      if (!this.#failed) await task();
    });
    this.#queue = this.#queue.catch((error: unknown) => {
      // A file that may end in the middle of a record is not gone on with.
      this.#failed = true;
      const reason =
        error instanceof FileWriteError ? error.message : `${this.#options.out}: ${reasonOf(error)}`;
      writeNote(`Curves and report end here, and training goes on: ${reason}`);
    });
  }
}

const [CURVES, REPORT] = ['curves.csv', 'report.html'];

function scalarsOf(row: CurveRow): Record<string, number> {
  if (row.event === 'step')
    return {
      'train/loss': row.loss,
      'train/top1': row.top1,
      'train/lr': row.lr,
      'train/images_per_second': row.imagesPerSecond,
    };
  const figures = Object.entries(row.val ?? {}).map(([name, value]) => [`validation/${name}`, value]);
  return Object.fromEntries(figures);
}

function chartsOf(rows: readonly CurveRow[], classes: number): Report['charts'] {
  const steps = rows.filter((row) => row.event === 'step');
  const epochs = rows.flatMap((row) =>
    row.event === 'epoch' && row.val !== null ? [{ ...row, val: row.val }] : [],
  );
  const training = { name: 'training', colour: '#9db8dd' };
  const validation = { name: 'validation', colour: '#c23b22' };
  const error = (part: number) => 100 * (1 - part);
  const errors = [
    {
      ...training,
      name: 'training, top-1',
      points: steps.map(({ step, top1 }) => [step, error(top1)] as const),
    },
    {
      ...validation,
      name: 'validation, top-1',
      points: epochs.map(({ step, val }) => [step, error(val.top1)] as const),
    },
  ];
  // With fewer classes it is always 0.
  if (classes > 5)
    errors.push({
      name: 'validation, top-5',
      colour: '#e0a030',
      points: epochs.map(({ step, val }) => [step, error(val.top5)] as const),
    });
  return [
    {
      title: 'Loss',
      unit: '',
      curves: [
        { ...training, points: steps.map(({ step, loss }) => [step, loss] as const) },
        { ...validation, points: epochs.map(({ step, val }) => [step, val.loss] as const) },
      ],
    },
    { title: 'Error', unit: ' %', curves: errors },
    {
      title: 'Learning rate',
      unit: '',
      curves: [
        { ...training, name: 'at the step', points: steps.map(({ step, lr }) => [step, lr] as const) },
      ],
    },
  ];
}

function describe({ epoch, step, train, val, skipped }: EpochEvent, epochs: number): string {
  const figures = [`training loss ${train.loss.toFixed(3)}, top-1 ${percent(train.top1)}`];
  if (val !== null) figures.push(describeValidation(val));
  return [
    `After epoch ${epoch} of ${epochs}, ${count(step)} steps: ${figures.join('; ')}.`,
    ...describeSkipped(skipped),
  ].join(' ');
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.join(', ') || 'none';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
