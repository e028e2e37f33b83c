import { join } from 'node:path';
import { backward } from '../autograd.js';
import { expectInteger } from '../check.js';
import { type Dataset, readSample, type Sample, type SkipOptions, Unreadable } from '../data/dataset.js';
import { type Batch, Loader } from '../data/loader.js';
import { meanColour } from '../data/mean.js';
import {
  ArgumentError,
  DataError,
  expected,
  FileWriteError,
  NonFiniteError,
  reasonOf,
  TrainingError,
} from '../errors.js';
import { makeFolder } from '../io/folder.js';
import { AlexNet } from '../models/alexnet.js';
import { softmaxCrossEntropy, topKHits } from '../ops/index.js';
import type { Optimizer } from '../optim/optimizer.js';
import { ConstantLR, type Schedule } from '../optim/schedule.js';
import { tidy } from '../scope.js';
import { tensor } from '../tensor.js';
import { evaluate, type Metrics } from './evaluate.js';
import type { EndEvent, StepEvent, TrainEvent } from './events.js';
import { IdleClock } from './idle_clock.js';
import { ModelFile, saveModelFile } from './model_file.js';
import { InputPipeline, type Preprocessing } from './preprocessing.js';
import { Skips } from './skips.js';
import {
  identityOf,
  NO_SUMS,
  type Progress,
  parseTrainingState,
  type TrainingState,
} from './training_state.js';

export interface TrainerOptions {
  model: AlexNet;
  optimizer: Optimizer;
  /** Default: the optimizer's own rate throughout. */
  schedule?: Schedule;
  train: Dataset;
  validation?: Dataset;
  /** Pictures a step. Default 128. */
  batchSize?: number;
  /** Of shuffling, crops and mirroring. Default 0. */
  seed?: number;
  /** How pictures become inputs. Default: crops of 227 pixels, minus the training set's mean colour, times 1/60. */
  preprocessing?: Preprocessing;
  /** Folder of the checkpoints `last.safetensors` and `best.safetensors`; made if missing. Default: none are written. */
  out?: string;
  /** Anything JSON that should be found again in the checkpoints, such as where the data came from. */
  notes?: Readonly<Record<string, unknown>>;
  /** Ends the training at the first picture that cannot be read. Default false: such pictures are left out, and told. */
  strict?: boolean;
  /** Called in order; a `step` event as soon as its loss is known. */
  onEvent?: (event: TrainEvent) => void;
}

/** Where a resumed run goes on. */
export interface Resumed {
  /** Complete epochs. */
  epoch: number;
  /** Steps of the epoch after them that are done. */
  stepOfEpoch: number;
  /** What makes the results other than those of a run that was never stopped, such as another instruction set. */
  inexact: string[];
}

/** A step that was enqueued, and whose numbers have not been read yet. */
interface InFlight {
  numbers: Promise<[loss: number, hits: Int32Array]>;
  count: number;
  event: Omit<StepEvent, 'images' | 'loss' | 'top1' | 'imagesPerSecond'>;
}

/** So many steps may be enqueued before the first one's loss is awaited: the device never waits for JavaScript. */
const STEPS_IN_FLIGHT = 2;

/** Trains a model by backpropagation through softmax cross-entropy, with validation and a checkpoint each epoch. */
export class Trainer {
  readonly #options: TrainerOptions;
  readonly #batchSize: number;
  readonly #seed: number;
  readonly #schedule: Schedule;
  readonly #loader: Loader;
  readonly #skips: Skips;
  readonly #idle = new IdleClock();
  #condition: 'ready' | 'busy' | 'failed' = 'ready';
  #progress: Progress = { epoch: 0, step: 0, sums: NO_SUMS, train: null, val: null, best: null };
  #input: InputPipeline | undefined;
  #checkpoint: string | null = null;
  #lastStepMs = 0;

  /**
   * @throws {ArgumentError} where the data have not as many classes as the model, or others in validation, or the optimizer
   *   updates what is not the model's
   */
  constructor(options: TrainerOptions) {
    const { model, optimizer, train, validation, notes } = options;
    if (!(model instanceof AlexNet)) throw new ArgumentError(expected('AlexNet', 'model', model));
    const parameters = new Set(model.parameters());
    for (const parameter of optimizer.parameters()) {
      if (parameters.has(parameter)) continue;
      throw new ArgumentError(`Expected parameters of the model for optimizer but received ${parameter}`);
    }
    this.#options = { ...options, ...(notes === undefined ? {} : { notes: copyOfJson(notes) }) };
    this.#batchSize = expectInteger('batchSize', options.batchSize ?? 128, 1);
    this.#seed = expectInteger('seed', options.seed ?? 0, 0);
    this.#schedule = options.schedule ?? new ConstantLR();
    for (const [name, dataset] of Object.entries({ train, validation })) {
      if (dataset !== undefined && dataset.classes.length !== model.config.classes) {
        const what = `${model.config.classes} classes, as the model has,`;
        throw new ArgumentError(expected(what, `${name} data`, dataset.classes.length));
      }
    }
    if (validation !== undefined && JSON.stringify(validation.classes) !== JSON.stringify(train.classes)) {
      throw new ArgumentError(
        expected(`classes [${train.classes.join(', ')}]`, 'validation data', validation.classes),
      );
    }
    const crop = options.preprocessing?.crop ?? model.inputSize;
    this.#skips = new Skips([train, validation], (event) => options.onEvent?.(event));
    const shuffled = { batchSize: this.#batchSize, training: true, seed: this.#seed };
    this.#loader = new Loader(train, { ...this.#reading('train'), ...shuffled, crop });
  }

  #reading(data: 'train' | 'validation'): SkipOptions {
    return {
      strict: this.#options.strict ?? false,
      onSkip: (skipped) => this.#skips.tell(data, skipped),
    };
  }

  get stepsPerEpoch(): number {
    return this.#loader.batches;
  }

  /** Epochs that are complete. */
  get epoch(): number {
    return this.#progress.epoch;
  }

  get #stepOfEpoch(): number {
    return this.#progress.step - this.#progress.epoch * this.stepsPerEpoch;
  }

  /**
   * Goes on where a checkpoint was written, in the middle of an epoch too: weights, optimizer, schedule, random numbers,
   * counters. On the same machine the run becomes what it would have been without the stop, bit for bit.
   * @param from a checkpoint's file, or its folder: the `last.safetensors` in it
   * @throws {FileFormatError} where it is no checkpoint, or one of another optimizer
   * @throws {ArgumentError} {@link DataError} that name what may not change, and did: classes, preset, dropout, batch size,
   *   seed, data
   */
  async resume(from: string | ModelFile): Promise<Resumed> {
    if (typeof from !== 'string') return this.#resume(from);
    await using file = await ModelFile.open(from);
    return await this.#resume(file);
  }

  async #resume(file: ModelFile): Promise<Resumed> {
    const { model, optimizer } = this.#options;
    const state = parseTrainingState(file.info.training, file.path);
    this.#expectSameRun(file, state);
    return this.#alone('resume', async () => {
      await file.loadOptimizer(optimizer);
      await file.loadWeights(model);
      optimizer.load(state.optimizer);
      this.#schedule.load(state.schedule);
      model.generator.load(state.generator);
      this.#setInput(file.info.preprocessing);
      const { epoch, step, sums, train, val, best } = state;
      this.#progress = { epoch, step, sums, train, val, best };
      this.#checkpoint = file.path;
      return {
        epoch,
        stepOfEpoch: this.#stepOfEpoch,
        inexact: changes(state.arithmetic, model.device.arithmetic),
      };
    });
  }

  /**
   * Trains until `epochs` epochs are complete, or until `signal` is aborted: the steps under way are finished then, a
   * checkpoint is written, and the `end` event says `complete: false`. After a failure the trainer is of no more use: a new
   * one can resume from the last checkpoint.
   * @throws {TrainingError} as soon as a loss or a weight is not finite; the checkpoints are those of before
   * @throws {FileWriteError} where a checkpoint cannot be written; says what the folder holds
   * @throws {DataError} where a picture cannot be had
   */
  async fit(epochs: number, { signal }: { signal?: AbortSignal } = {}): Promise<EndEvent> {
    expectInteger('epochs', epochs, 1);
    return this.#alone('fit', async () => {
      const { out, onEvent } = this.#options;
      if (out !== undefined) await makeOut(out);
      if (this.#input === undefined) {
        this.#setInput(this.#options.preprocessing ?? (await this.#defaultPreprocessing()));
      }
      while (this.#progress.epoch < epochs && !signal?.aborted) await this.#epoch(signal);
      const { epoch, step, train, val } = this.#progress;
      const complete = epoch >= epochs;
      const skipped = this.#skips.count;
      const end: EndEvent = {
        event: 'end',
        complete,
        epoch,
        step,
        train,
        val,
        checkpoint: this.#checkpoint,
        skipped,
      };
      onEvent?.(end);
      return end;
    });
  }

  /** Frees what the trainer made; the model and the optimizer are their makers'. */
  dispose(): void {
    this.#input?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #alone<T>(call: string, body: () => Promise<T>): Promise<T> {
    if (this.#condition !== 'ready') {
      const [wanted, received] =
        this.#condition === 'busy'
          ? ['that does nothing else', 'one in the middle of fit() or resume()']
          : ['of which no call failed', 'one whose last call did: a new one can resume from a checkpoint'];
      throw new TrainingError(`Expected trainer ${wanted} for ${call}() but received ${received}`);
    }
    this.#condition = 'busy';
    try {
      const result = await body();
      this.#condition = 'ready';
      return result;
    } finally {
      if (this.#condition === 'busy') this.#condition = 'failed';
    }
  }

  #expectSameRun({ info }: ModelFile, state: TrainingState): void {
    const { model, train, validation } = this.#options;
    const same = <E extends Error>(
      error: new (message: string) => E,
      name: string,
      saved: unknown,
      now: unknown,
    ): void => {
      const [was, is] = [saved, now].map((value) => JSON.stringify(value));
      if (was !== is)
        throw new error(`Expected ${was} for ${name} but received ${is}: it may not change on resuming`);
    };
    same(DataError, 'classes', info.classes, train.classes);
    for (const name of ['preset', 'classes', 'dropout'] as const) {
      same(ArgumentError, name, info.model[name], model.config[name]);
    }
    same(ArgumentError, 'batchSize', state.batchSize, this.#batchSize);
    same(ArgumentError, 'seed', state.seed, this.#seed);
    for (const [name, saved, dataset] of [
      ['training data', state.data.train, train],
      ['validation data', state.data.validation, validation],
    ] as const) {
      const now = dataset === undefined ? null : identityOf(dataset);
      same(DataError, `pictures of the ${name}`, saved?.pictures ?? null, now?.pictures ?? null);
      same(DataError, `fingerprint of the ${name}`, saved?.fingerprint ?? null, now?.fingerprint ?? null);
    }
  }

  async #defaultPreprocessing(): Promise<Preprocessing> {
    const { train, model } = this.#options;
    const { height, width } = await this.#firstSample();
    const mean = await meanColour(train, { ...this.#reading('train'), limit: 1000 });
    return { resize: Math.min(height, width), crop: model.inputSize, mean, scale: [1 / 60, 1 / 60, 1 / 60] };
  }

  async #firstSample(): Promise<Sample> {
    const { train } = this.#options;
    for (let index = 0; index < train.length; index++) {
      const sample = await readSample(train, index);
      if (!(sample instanceof Unreadable)) return sample;
    }
    throw new DataError('Expected at least one picture that can be read for train but received none');
  }

  #setInput(preprocessing: Preprocessing): void {
    this.#input?.dispose();
    this.#input = new InputPipeline(preprocessing, this.#options.model.device);
  }

  get #pipeline(): InputPipeline {
    if (this.#input === undefined) throw new TrainingError('Expected a call of fit() before the first step');
    return this.#input;
  }

  /** The rest of an epoch, or as much of it as there is time for before `signal`. */
  async #epoch(signal: AbortSignal | undefined): Promise<void> {
    await this.#steps(signal);
    const val = this.#stepOfEpoch < this.stepsPerEpoch ? undefined : await this.#validate(signal);
    if (val === undefined) await this.#save('last');
    else await this.#endEpoch(val);
  }

  async #steps(signal: AbortSignal | undefined): Promise<void> {
    this.#options.model.train();
    const inFlight: InFlight[] = [];
    const settleOldest = async (): Promise<void> => {
      const oldest = inFlight.shift();
      if (oldest !== undefined) await this.#settle(oldest);
    };
    this.#lastStepMs = performance.now();
    try {
      for await (const batch of this.#loader.epoch(this.#progress.epoch, this.#stepOfEpoch)) {
        if (signal?.aborted) break;
        inFlight.push(this.#step(batch));
        if (inFlight.length >= STEPS_IN_FLIGHT) await settleOldest();
      }
      while (inFlight.length > 0) await settleOldest();
    } finally {
      await Promise.allSettled(inFlight.map((step) => step.numbers));
    }
  }

  /** Enqueues forward, backward and update of one batch. */
  #step(batch: Batch): InFlight {
    const { model, optimizer } = this.#options;
    const input = this.#pipeline;
    const waitingMs = Math.min(batch.waitingMs, this.#idle.idleMs);
    const { epoch, step } = this.#progress;
    optimizer.setLrFactor(this.#schedule.factor(step, epoch));
    const numbers = tidy(() => {
      const labels = tensor(batch.labels, [batch.labels.length], { device: model.device });
      const logits = model.forward(input.prepare(batch));
      const loss = softmaxCrossEntropy(logits, labels);
      const hits = topKHits(logits, labels, 1);
      backward(loss);
      optimizer.step();
      optimizer.zeroGrad();
      return [loss.item(), hits.data<Int32Array>()] as const;
    });
    this.#progress = { ...this.#progress, step: step + 1 };
    const all = handled(Promise.all(numbers));
    this.#idle.add(all);
    return {
      numbers: all,
      count: batch.labels.length,
      event: {
        event: 'step',
        epoch: epoch + 1,
        step: step + 1,
        stepsPerEpoch: this.stepsPerEpoch,
        lr: optimizer.lr,
        waitingMs,
      },
    };
  }

  async #settle({ numbers, count, event }: InFlight): Promise<void> {
    const advice = `the learning rate (${event.lr}) is probably too high for this initialisation and input scale`;
    const [loss, hit] = await numbers.catch((cause: unknown) => {
      if (!(cause instanceof NonFiniteError)) throw cause;
      const message = `Expected finite weights before step ${event.step} but received NaN or infinity: ${advice}`;
      throw new TrainingError(message, { cause });
    });
    if (!Number.isFinite(loss)) {
      throw new TrainingError(`Expected finite loss for step ${event.step} but received ${loss}: ${advice}`);
    }
    const now = performance.now();
    const imagesPerSecond = (count / (now - this.#lastStepMs)) * 1000;
    this.#lastStepMs = now;
    const hits = hit.reduce((sum, one) => sum + one, 0);
    const { sums } = this.#progress;
    this.#progress.sums = {
      loss: sums.loss + loss * count,
      hits: sums.hits + hits,
      pictures: sums.pictures + count,
    };
    this.#options.onEvent?.({ ...event, images: count, loss, top1: hits / count, imagesPerSecond });
  }

  /** Null where there are no validation data; undefined where there was no time. */
  async #validate(signal: AbortSignal | undefined): Promise<Metrics | null | undefined> {
    const { model, validation } = this.#options;
    if (validation === undefined) return null;
    const evaluation = await evaluate(model, this.#pipeline, validation, {
      ...this.#reading('validation'),
      signal,
    }).catch((error: unknown) => {
      if (signal?.aborted && error === signal.reason) return undefined;
      throw error;
    });
    if (evaluation === undefined) return undefined;
    const { loss, top1, top5 } = evaluation;
    if (!Number.isFinite(loss)) {
      throw new TrainingError(
        `Expected finite validation loss for epoch ${this.epoch + 1} but received ${loss}: the learning rate ` +
          'is probably too high; the checkpoints are those of the epoch before',
      );
    }
    return { loss, top1, top5 };
  }

  async #endEpoch(val: Metrics | null): Promise<void> {
    const { step, epoch, sums, best: lowest } = this.#progress;
    const train = { loss: sums.loss / sums.pictures, top1: sums.hits / sums.pictures };
    this.#schedule.onEpochEnd(1 - (val ?? train).top1);
    const figure = val?.loss ?? train.loss;
    const best = lowest === null || figure < lowest;
    this.#progress = {
      epoch: epoch + 1,
      step,
      sums: NO_SUMS,
      train,
      val,
      best: best ? figure : lowest,
    };
    if (best) await this.#save('best');
    await this.#save('last');
    this.#options.onEvent?.({
      event: 'epoch',
      epoch: epoch + 1,
      step,
      train,
      val,
      best,
      skipped: this.#skips.count,
    });
  }

  /** `last` is all that training needs to go on; `best` the model alone. */
  async #save(which: 'last' | 'best'): Promise<void> {
    const { model, optimizer, train, validation, out, notes } = this.#options;
    if (out === undefined) return;
    const path = join(out, `${which}.safetensors`);
    const info = { model: model.config, classes: train.classes, preprocessing: this.#pipeline.preprocessing };
    if (which === 'best') {
      await saveModelFile(path, info, model);
      return;
    }
    const training: TrainingState = {
      ...this.#progress,
      batchSize: this.#batchSize,
      seed: this.#seed,
      data: {
        train: identityOf(train),
        validation: validation === undefined ? null : identityOf(validation),
      },
      arithmetic: model.device.arithmetic,
      optimizer: optimizer.state(),
      schedule: this.#schedule.state(),
      generator: model.generator.state(),
      ...(notes === undefined ? {} : { notes }),
    };
    await saveModelFile(path, { ...info, training }, model, optimizer);
    this.#checkpoint = path;
  }
}

function changes(was: Readonly<Record<string, string>>, is: Readonly<Record<string, string>>): string[] {
  const names = [...new Set([...Object.keys(was), ...Object.keys(is)])];
  return names
    .filter((name) => was[name] !== is[name])
    .map((name) => `${name}: ${is[name] ?? 'none'} instead of ${was[name] ?? 'none'}`);
}

async function makeOut(folder: string): Promise<void> {
  await makeFolder(folder).catch((cause: unknown) => {
    throw new FileWriteError(`Cannot make the folder ${folder} (${reasonOf(cause)})`, { cause });
  });
}

function copyOfJson(notes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  try {
    return JSON.parse(JSON.stringify(notes));
  } catch (cause) {
    throw new ArgumentError(`Expected what JSON can say for notes but received ${reasonOf(cause)}`, {
      cause,
    });
  }
}

/** A promise that may reject before anyone awaits it. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
