import { join } from 'node:path';
import { backward } from '../autograd.js';
import { expectInteger } from '../check.js';
import type { Dataset } from '../data/dataset.js';
import { type Batch, Loader } from '../data/loader.js';
import { meanColour } from '../data/mean.js';
import { ArgumentError, expected, TrainingError } from '../errors.js';
import { makeFolder } from '../io/folder.js';
import type { AlexNet } from '../models/alexnet.js';
import { softmaxCrossEntropy, topKHits } from '../ops/index.js';
import type { Optimizer } from '../optim/optimizer.js';
import { ConstantLR, type Schedule } from '../optim/schedule.js';
import { tidy } from '../scope.js';
import { tensor } from '../tensor.js';
import { evaluate, type Metrics } from './evaluate.js';
import type { EndEvent, EpochEvent, StepEvent, TrainEvent } from './events.js';
import { type ModelFile, saveModelFile } from './model_file.js';
import { InputPipeline, type Preprocessing } from './preprocessing.js';
import { parseTrainingState, type TrainingState } from './training_state.js';

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
  /** How pictures become inputs. Default: crops of 227 from 256, minus the training set's mean colour, times 1/60. */
  preprocessing?: Preprocessing;
  /** Folder of the checkpoints `last.safetensors` and `best.safetensors`; made if missing. Default: none are written. */
  out?: string;
  /** Anything JSON that should be found again in the checkpoints, such as where the data came from. */
  notes?: Readonly<Record<string, unknown>>;
  /** Called in order; a `step` event as soon as its loss is known. */
  onEvent?: (event: TrainEvent) => void;
}

/** A step that was enqueued, and whose numbers have not been read yet. */
interface InFlight {
  numbers: Promise<[loss: number, hits: Int32Array]>;
  count: number;
  event: Omit<StepEvent, 'loss' | 'top1' | 'imagesPerSecond'>;
}

/** So many steps may be enqueued before the first one's loss is awaited: the device never waits for JavaScript. */
const STEPS_IN_FLIGHT = 2;

/** Trains a model by backpropagation through softmax cross-entropy, with validation and a checkpoint each epoch. */
export class Trainer {
  readonly #options: TrainerOptions;
  readonly #schedule: Schedule;
  readonly #loader: Loader;
  readonly #classes: readonly string[];
  #state: TrainingState;
  #input: InputPipeline | undefined;
  #lastStepMs = 0;

  constructor(options: TrainerOptions) {
    const { model, train, validation } = options;
    const batchSize = expectInteger('batchSize', options.batchSize ?? 128, 1);
    const seed = expectInteger('seed', options.seed ?? 0, 0);
    this.#options = options;
    this.#classes = train.classes;
    this.#schedule = options.schedule ?? new ConstantLR();
    for (const [name, dataset] of Object.entries({ train, validation })) {
      if (dataset !== undefined && dataset.classes.length !== model.config.classes) {
        const what = `${model.config.classes} classes, as the model has,`;
        throw new ArgumentError(expected(what, `${name} data`, dataset.classes.length));
      }
    }
    const crop = options.preprocessing?.crop ?? model.inputSize;
    this.#loader = new Loader(train, { batchSize, crop, training: true, seed });
    this.#state = {
      epoch: 0,
      step: 0,
      batchSize,
      seed,
      train: null,
      val: null,
      best: null,
      optimizer: {},
      schedule: {},
    };
  }

  get stepsPerEpoch(): number {
    return this.#loader.batches;
  }

  /** Epochs that are complete. */
  get epoch(): number {
    return this.#state.epoch;
  }

  /**
   * Goes on where a checkpoint was written: weights, optimizer, schedule, random numbers, counters.
   * @throws {FileFormatError} where the checkpoint is of another model or optimizer
   */
  async resume(checkpoint: ModelFile): Promise<void> {
    const { model, optimizer } = this.#options;
    const state = parseTrainingState(checkpoint.info.training, checkpoint.path);
    for (const key of ['batchSize', 'seed'] as const) {
      if (state[key] !== this.#state[key]) {
        throw new ArgumentError(
          `${expected(String(state[key]), key, this.#state[key])}: the checkpoint was made so`,
        );
      }
    }
    await checkpoint.loadWeights(model);
    await checkpoint.loadOptimizer(optimizer);
    optimizer.load(state.optimizer);
    this.#schedule.load(state.schedule);
    if (state.generator !== undefined) model.generator.load(state.generator);
    this.#setInput(checkpoint.info.preprocessing);
    this.#state = state;
  }

  /**
   * Trains until `epochs` epochs are complete.
   * @throws {TrainingError} as soon as a loss is not finite; the checkpoints are those of the last epoch then
   */
  async fit(epochs: number): Promise<EndEvent> {
    expectInteger('epochs', epochs, 1);
    if (this.#options.out !== undefined) await makeFolder(this.#options.out);
    if (this.#input === undefined)
      this.#setInput(this.#options.preprocessing ?? (await this.#defaultPreprocessing()));
    while (this.#state.epoch < epochs) {
      const epochEvent = await this.#epoch();
      this.#options.onEvent?.(epochEvent);
    }
    const { epoch, step, train, val } = this.#state;
    const checkpoint = this.#options.out === undefined ? null : join(this.#options.out, 'last.safetensors');
    const end: EndEvent = { event: 'end', epoch, step, train, val, checkpoint };
    this.#options.onEvent?.(end);
    return end;
  }

  /** Frees what the trainer made; the model and the optimizer are their makers'. */
  dispose(): void {
    this.#input?.dispose();
  }

  async #defaultPreprocessing(): Promise<Preprocessing> {
    const { train, model } = this.#options;
    const mean = await meanColour(train, { limit: 1000 });
    return { resize: 256, crop: model.inputSize, mean, scale: [1 / 60, 1 / 60, 1 / 60] };
  }

  #setInput(preprocessing: Preprocessing): void {
    this.#input?.dispose();
    this.#input = new InputPipeline(preprocessing, this.#options.model.device);
  }

  get #pipeline(): InputPipeline {
    if (this.#input === undefined) throw new TrainingError('Expected a call of fit() before the first step');
    return this.#input;
  }

  async #epoch(): Promise<EpochEvent> {
    const { model, validation } = this.#options;
    model.train();
    let [lossSum, hits, pictures] = [0, 0, 0];
    const inFlight: InFlight[] = [];
    const settleOldest = async (): Promise<void> => {
      const oldest = inFlight.shift();
      if (oldest === undefined) return;
      const [loss, hit] = await this.#settle(oldest);
      lossSum += loss * oldest.count;
      hits += hit;
      pictures += oldest.count;
    };
    this.#lastStepMs = performance.now();
    try {
      for await (const batch of this.#loader.epoch(this.#state.epoch)) {
        inFlight.push(this.#step(batch));
        if (inFlight.length >= STEPS_IN_FLIGHT) await settleOldest();
      }
      while (inFlight.length > 0) await settleOldest();
    } finally {
      await Promise.allSettled(inFlight.map((step) => step.numbers));
    }

    const train = { loss: lossSum / pictures, top1: hits / pictures };
    const val = validation === undefined ? null : await evaluate(model, this.#pipeline, validation);
    if (val !== null && !Number.isFinite(val.loss)) {
      throw new TrainingError(
        `Expected finite validation loss for epoch ${this.#state.epoch + 1} but received ${val.loss}: the learning rate ` +
          'is probably too high; the checkpoints are those of the epoch before',
      );
    }
    return this.#endEpoch(train, val);
  }

  /** Enqueues forward, backward and update of one batch. */
  #step(batch: Batch): InFlight {
    const { model, optimizer } = this.#options;
    const input = this.#pipeline;
    const { epoch, step } = this.#state;
    optimizer.setRate(this.#schedule.rate(step, epoch));
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
    this.#state = { ...this.#state, step: step + 1 };
    return {
      numbers: handled(Promise.all(numbers)),
      count: batch.labels.length,
      event: {
        event: 'step',
        epoch: epoch + 1,
        step: step + 1,
        stepsPerEpoch: this.stepsPerEpoch,
        lr: optimizer.lr,
        waitingMs: batch.waitingMs,
      },
    };
  }

  async #settle({ numbers, count, event }: InFlight): Promise<[loss: number, hits: number]> {
    const [loss, hit] = await numbers;
    if (!Number.isFinite(loss)) {
      throw new TrainingError(
        `Expected finite loss for step ${event.step} but received ${loss}: the learning rate (${event.lr}) is probably ` +
          'too high for this initialisation and input scale',
      );
    }
    const now = performance.now();
    const imagesPerSecond = (count / (now - this.#lastStepMs)) * 1000;
    this.#lastStepMs = now;
    const hits = hit.reduce((sum, one) => sum + one, 0);
    this.#options.onEvent?.({ ...event, loss, top1: hits / count, imagesPerSecond });
    return [loss, hits];
  }

  async #endEpoch(train: { loss: number; top1: number }, evaluated: Metrics | null): Promise<EpochEvent> {
    const { model, optimizer, out, notes } = this.#options;
    const val = evaluated && { loss: evaluated.loss, top1: evaluated.top1, top5: evaluated.top5 };
    this.#schedule.onEpochEnd(1 - (val ?? train).top1);
    const figure = val?.loss ?? train.loss;
    const best = this.#state.best === null || figure < this.#state.best;
    const { step, epoch } = this.#state;
    this.#state = {
      ...this.#state,
      epoch: epoch + 1,
      train,
      val,
      best: best ? figure : this.#state.best,
      optimizer: optimizer.state(),
      schedule: this.#schedule.state(),
      generator: model.generator.state(),
    };
    if (out !== undefined) {
      const info = {
        model: model.config,
        classes: this.#classes,
        preprocessing: this.#pipeline.preprocessing,
      };
      if (best) await saveModelFile(join(out, 'best.safetensors'), info, model);
      const training = { ...this.#state, ...(notes === undefined ? {} : { notes }) };
      await saveModelFile(join(out, 'last.safetensors'), { ...info, training }, model, optimizer);
    }
    return { event: 'epoch', epoch: epoch + 1, step, train, val, best };
  }
}

/** A promise that may reject before anyone awaits it. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
