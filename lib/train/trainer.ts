import { backward } from '../autograd.js';
import { expectInteger } from '../check.js';
import type { SkipOptions } from '../data/dataset.js';
import { DECODER } from '../data/decode.js';
import { type Batch, Loader } from '../data/loader.js';
import { meanColour } from '../data/mean.js';
import { ArgumentError, DataError, expected, NonFiniteError, reasonOf, TrainingError } from '../errors.js';
import { softmaxCrossEntropy, topKHits } from '../ops/index.js';
import { ConstantLR, type Schedule } from '../optim/schedule.js';
import { tidy } from '../scope.js';
import { tensor } from '../tensor.js';
import { packageVersion } from '../version.js';
import { Checkpoints } from './checkpoints.js';
import { arithmeticOf, choicesOf, choose } from './devices.js';
import { evaluate, type Metrics } from './evaluate.js';
import type { EndEvent, StepEvent } from './events.js';
import { IdleClock } from './idle_clock.js';
import { ModelFile } from './model_file.js';
import type { ModelInfo } from './model_info.js';
import { InputPipeline, type Preprocessing, preprocessingOf } from './preprocessing.js';
import { differences, expectSameRun } from './same_run.js';
import { Skips } from './skips.js';
import { checkOptions, type TrainerOptions } from './trainer_options.js';
import {
  AUGMENTED,
  identityOf,
  NO_SUMS,
  type Progress,
  parseTrainingState,
  type TrainingState,
} from './training_state.js';
import { ifAborted, untilAborted } from './until_aborted.js';

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
  numbers: Promise<readonly [loss: number, hits: Int32Array]>;
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
  readonly #checkpoints: Checkpoints;
  #condition: 'ready' | 'busy' | 'failed' = 'ready';
  #progress: Progress = { epoch: 0, step: 0, sums: NO_SUMS, train: null, val: null, best: null };
  #input: InputPipeline | undefined;
  #lastStepMs = 0;

  /**
   * @throws {ArgumentError} where the data have not as many classes as the model, or others in validation, or the optimizer
   *   updates what is not the model's
   */
  constructor(options: TrainerOptions) {
    const { model, train, validation, colourNoise } = options;
    this.#options = checkOptions(options);
    this.#batchSize = expectInteger('batchSize', options.batchSize ?? 128, 1);
    this.#seed = expectInteger('seed', options.seed ?? 0, 0);
    this.#schedule = options.schedule ?? new ConstantLR();
    this.#checkpoints = new Checkpoints(options.out);
    const crop = options.preprocessing?.crop ?? model.cropSize;
    this.#skips = new Skips([train, validation], (event) => options.onEvent?.(event));
    const shuffled = { batchSize: this.#batchSize, training: true, seed: this.#seed };
    this.#loader = new Loader(train, {
      ...this.#reading('train'),
      ...shuffled,
      crop,
      colourNoise,
      ...options.augmentation,
    });
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
   * counters. On the same machine the run becomes what it would have been without the stop, bit for bit; on a GPU
   * where its convolutions are deterministic.
   * @param from a checkpoint's file, or its folder: the `last.safetensors` in it
   * @throws {FileFormatError} where it is no checkpoint, or one of another optimizer
   * @throws {ArgumentError} {@link DataError} that name what may not change, and did: classes, preset, dropout, batch size,
   *   seed, preprocessing, data. Other settings of the optimizer or the schedule are told in `inexact`
   */
  async resume(from: string | ModelFile): Promise<Resumed> {
    if (from instanceof ModelFile) return this.#resume(from);
    if (typeof from !== 'string') throw new ArgumentError(expected('path or ModelFile', 'from', from));
    await using file = await ModelFile.open(from);
    return await this.#resume(file);
  }

  async #resume(file: ModelFile): Promise<Resumed> {
    const { model, optimizer, train, validation, preprocessing, colourNoise, augmentation } = this.#options;
    const state = parseTrainingState(file.info.training, file.path);
    const [batchSize, seed, stepsPerEpoch] = [this.#batchSize, this.#seed, this.stepsPerEpoch];
    expectSameRun(file, state, {
      model,
      train,
      validation,
      batchSize,
      seed,
      preprocessing,
      colourNoise: colourNoise ?? null,
      augmentation: augmentation ?? AUGMENTED,
      stepsPerEpoch,
    });
    file.expectOptimizer(optimizer);
    return this.#exclusively('resume', async () => {
      choose(model.devices, state.choices);
      optimizer.load(state.optimizer);
      this.#schedule.load(state.schedule);
      model.generator.load(state.generator);
      await file.loadOptimizer(optimizer);
      await file.loadWeights(model);
      this.#setInput(file.info.preprocessing);
      const { epoch, step, sums, train, val, best } = state;
      this.#progress = { epoch, step, sums, train, val, best };
      this.#checkpoints.startFrom(file, state);
      const inexact = differences(state.facts, this.#facts());
      if (model.devices.some((device) => !device.deterministic))
        inexact.push('deterministic: off, so that no two runs are equal');
      return { epoch, stepOfEpoch: this.#stepOfEpoch, inexact };
    });
  }

  /** What decides over the bits of the results, and may change when a run goes on. */
  #facts(): Record<string, string> {
    const { model, optimizer } = this.#options;
    return {
      ...arithmeticOf(model.devices),
      version: packageVersion(),
      decoder: DECODER,
      optimizer: optimizer.settings(),
      schedule: this.#schedule.settings(),
    };
  }

  /**
   * Trains until `epochs` epochs are complete, or until `signal` is aborted: the steps under way are finished then, a
   * checkpoint is written, and the `end` event says `complete: false`. After a failure the trainer is of no more use: a new
   * one can resume from the last checkpoint.
   * A step of which no picture can be read is passed over: it keeps its number, and has no update, no draw of dropout and no event.
   * @throws {TrainingError} as soon as a loss or a weight is not finite; the checkpoints are those of before
   * @throws {FileWriteError} where a checkpoint cannot be written; says what the folder holds
   * @throws {DataError} where pictures cannot be had, or none of an epoch can be read; the steps up to there are in the checkpoint
   */
  async fit(epochs: number, { signal }: { signal?: AbortSignal } = {}): Promise<EndEvent> {
    expectInteger('epochs', epochs, 1);
    return this.#exclusively('fit', async () => {
      await this.#checkpoints.makeFolder();
      if (this.#input === undefined) {
        const preprocessing = this.#options.preprocessing ?? (await this.#defaultPreprocessing(signal));
        if (preprocessing !== undefined) this.#setInput(preprocessing);
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
        checkpoint: this.#checkpoints.newest,
        skipped,
      };
      this.#options.onEvent?.(end);
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

  async #exclusively<T>(call: string, body: () => Promise<T>): Promise<T> {
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

  /** Undefined where there was no time. */
  async #defaultPreprocessing(signal: AbortSignal | undefined): Promise<Preprocessing | undefined> {
    const { train, model } = this.#options;
    const fixed = preprocessingOf(model.config.preset);
    if (fixed !== undefined) return fixed;
    const statistics = await meanColour(train, { ...this.#reading('train'), signal }).catch(
      ifAborted(signal),
    );
    if (statistics === undefined) return undefined;
    const { mean, side } = statistics;
    const { inputScale = 1 / 60 } = this.#options;
    return { resize: side, crop: model.cropSize, mean, scale: [inputScale, inputScale, inputScale] };
  }

  #setInput(preprocessing: Preprocessing): void {
    const { model, colourNoise } = this.#options;
    this.#input?.dispose();
    this.#input = new InputPipeline(preprocessing, model, colourNoise?.kind);
  }

  get #pipeline(): InputPipeline {
    if (this.#input === undefined)
      throw new TrainingError('Expected preprocessing for the first step but received none');
    return this.#input;
  }

  /** The rest of an epoch, or as much of it as there is time for before `signal`. */
  async #epoch(signal: AbortSignal | undefined): Promise<void> {
    let val: Metrics | null | undefined;
    try {
      await this.#steps(signal);
      if (this.#stepOfEpoch === this.stepsPerEpoch) val = await this.#validate(signal);
    } catch (error) {
      if (error instanceof DataError) await this.#saveSteps(error);
      throw error;
    }
    if (val === undefined) await this.#saveSteps();
    else await this.#endEpoch(val);
  }

  /** A checkpoint in the middle of an epoch, unless there is nothing new: what is there may be another run's. */
  async #saveSteps(reason?: DataError): Promise<void> {
    // Where all was passed over, nothing has changed: the epoch begins anew.
    if (this.#progress.sums.pictures === 0) this.#progress.step = this.epoch * this.stepsPerEpoch;
    if (this.#progress.step === this.#checkpoints.newestStep) return;
    await this.#saveLast().catch((failure: unknown) => {
      if (reason === undefined) throw failure;
      const message = `${reason.message}; and the steps since the last checkpoint are lost: ${reasonOf(failure)}`;
      throw new DataError(message, { cause: reason });
    });
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
      const batches = this.#loader.epoch(this.#progress.epoch, this.#stepOfEpoch);
      let waitingMs = 0;
      for await (const batch of untilAborted(batches, signal)) {
        waitingMs += batch.waitingMs;
        if (batch.indices.length === 0) {
          this.#progress.step++;
          continue;
        }
        inFlight.push(this.#step(batch, Math.min(waitingMs, this.#idle.idleMs)));
        waitingMs = 0;
        if (inFlight.length >= STEPS_IN_FLIGHT) await settleOldest();
      }
      while (inFlight.length > 0) await settleOldest();
    } catch (error) {
      // Where a picture could not be had, they are part of what is saved.
      while (inFlight.length > 0) await settleOldest().catch(() => {});
      throw error;
    }
  }

  /** Enqueues forward, backward and update of one batch. */
  #step(batch: Batch, waitingMs: number): InFlight {
    const { model, optimizer } = this.#options;
    const input = this.#pipeline;
    const { epoch, step } = this.#progress;
    optimizer.setLrFactor(this.#schedule.factor(step, epoch));
    const numbers = tidy(() => {
      const labels = tensor(batch.labels, [batch.labels.length], { device: model.device });
      const logits = model.forward(input.prepare(input.upload(batch), batch.crops, batch.shifts));
      const loss = softmaxCrossEntropy(logits, labels);
      const hits = topKHits(logits, labels, 1);
      backward(loss);
      const updated = optimizer.step();
      optimizer.zeroGrad();
      return [loss.item(), hits.data<Int32Array>(), updated] as const;
    });
    this.#progress = { ...this.#progress, step: step + 1 };
    const all = handled(Promise.all(numbers).then(([loss, hits]) => [loss, hits] as const));
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
      const message = `Expected finite weights after step ${event.step} but received NaN or infinity: ${advice}`;
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
    const { model, validation, onJudgement } = this.#options;
    if (validation === undefined) return null;
    const evaluation = await evaluate([{ model, input: this.#pipeline }], validation, {
      ...this.#reading('validation'),
      ...(onJudgement === undefined ? {} : { onPicture: onJudgement }),
      signal,
    }).catch(ifAborted(signal));
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
    if (best) await this.#checkpoints.saveBest(this.#info, this.#options.model);
    await this.#saveLast();
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

  get #info(): ModelInfo {
    const { model, train, notes } = this.#options;
    return {
      model: model.config,
      classes: train.classes,
      preprocessing: this.#pipeline.preprocessing,
      ...(notes === undefined ? {} : { notes }),
    };
  }

  async #saveLast(): Promise<void> {
    const { model, optimizer, train, validation, colourNoise, augmentation } = this.#options;
    const training: TrainingState = {
      ...this.#progress,
      batchSize: this.#batchSize,
      seed: this.#seed,
      colourNoise: colourNoise ?? null,
      augmentation: augmentation ?? AUGMENTED,
      data: {
        train: identityOf(train),
        validation: validation === undefined ? null : identityOf(validation),
      },
      facts: this.#facts(),
      choices: choicesOf(model.devices),
      optimizer: optimizer.state(),
      schedule: this.#schedule.state(),
      generator: model.generator.state(),
    };
    await this.#checkpoints.saveLast(this.#info, training, model, optimizer);
  }
}

/** A promise that may reject before anyone awaits it. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
