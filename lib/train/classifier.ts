import { noGrad } from '../autograd.js';
import { expectInteger } from '../check.js';
import { type Dataset, expectClasses, type SkipOptions } from '../data/dataset.js';
import { decodeImage } from '../data/decode.js';
import { Loader } from '../data/loader.js';
import type { Device, DeviceLike } from '../device.js';
import { ArgumentError, expected } from '../errors.js';
import type { AlexNet } from '../models/alexnet.js';
import { softmax } from '../ops/index.js';
import { tidy } from '../scope.js';
import { type EvaluateOptions, type Evaluation, evaluate, type Member } from './evaluate.js';
import { ModelFile } from './model_file.js';
import { centreCrops, decodingOf, InputPipeline, type Preprocessing } from './preprocessing.js';
import { bestOf } from './scores.js';

/** A file's path, or its content. */
export type ImageSource = string | Uint8Array;

export interface Prediction {
  class: string;
  index: number;
  probability: number;
}

/** Of a batch of pictures. */
export interface Features {
  /** Which pictures of the data set they are. */
  indices: number[];
  /** A row of 4096 numbers for each. */
  values: Float32Array;
}

/** So many pictures are decoded and classified at a time. */
const BATCH = 32;

/**
 * A trained model, ready to use.
 * @param path a model file, or a folder of checkpoints: its last one
 * @throws {FileFormatError}
 */
export async function loadModel(path: string, options: { device?: DeviceLike } = {}): Promise<Classifier> {
  await using file = await ModelFile.open(path);
  const { classes, preprocessing } = file.info;
  return new Classifier(await file.loadModel(options.device), classes, preprocessing);
}

/**
 * As {@link Classifier.evaluate}, of several models whose probabilities are averaged (the paper's five CNNs).
 * @throws {ArgumentError} where the classes of one of them are not those of the data set, or one takes other pictures
 */
export async function evaluateTogether(
  classifiers: readonly [Classifier, ...Classifier[]],
  dataset: Dataset,
  options?: EvaluateOptions,
): Promise<Evaluation> {
  const [first, ...others] = classifiers;
  if (first === undefined)
    throw new ArgumentError(expected('at least one Classifier', 'classifiers', classifiers));
  for (const classifier of classifiers) {
    if (!(classifier instanceof Classifier))
      throw new ArgumentError(expected('Classifier', 'classifiers', classifier));
    if (JSON.stringify(classifier.classes) !== JSON.stringify(first.classes)) {
      const what = `classes [${first.classes.join(', ')}], as the first model has,`;
      throw new ArgumentError(expected(what, 'another model', classifier.classes));
    }
  }
  expectClasses('dataset', dataset, first.classes);
  return evaluate([first.member, ...others.map(({ member }) => member)], dataset, options);
}

/** A model, in evaluation mode from here on, with the names of its classes and the preprocessing of its training. */
export class Classifier {
  readonly #input: InputPipeline;

  constructor(
    readonly model: AlexNet,
    readonly classes: readonly string[],
    preprocessing: Preprocessing,
  ) {
    model.eval();
    this.#input = new InputPipeline(preprocessing, model);
  }

  get preprocessing(): Preprocessing {
    return this.#input.preprocessing;
  }

  get device(): Device {
    return this.model.device;
  }

  /**
   * The most probable classes of each picture, the first the likeliest. May be called while other calls run.
   * @param images one file or its content, or several
   * @param options.topK how many classes, at most those that there are; default 5, or all where there are fewer
   * @throws {ArgumentError} for what is no {@link ImageSource}
   * @returns for one image its predictions, for several an array of them
   * @throws {DataError} for a picture that cannot be decoded
   */
  predict(image: ImageSource, options?: { topK?: number }): Promise<Prediction[]>;
  predict(images: readonly ImageSource[], options?: { topK?: number }): Promise<Prediction[][]>;
  async predict(
    images: ImageSource | readonly ImageSource[],
    options: { topK?: number } = {},
  ): Promise<Prediction[] | Prediction[][]> {
    const single = !Array.isArray(images);
    const predictions: Prediction[][] = [];
    for await (const result of this.#results(single ? [images as ImageSource] : images, options)) {
      if (result.status === 'rejected') throw result.reason;
      predictions.push(result.value);
    }
    return single ? (predictions[0] ?? []) : predictions;
  }

  /**
   * As `predict`, where a picture that cannot be decoded costs no other its predictions.
   * @returns for each picture what `Promise.allSettled` would give; the reason of a rejection is a DataError
   */
  async predictSettled(
    images: readonly ImageSource[],
    options: { topK?: number } = {},
  ): Promise<PromiseSettledResult<Prediction[]>[]> {
    const results: PromiseSettledResult<Prediction[]>[] = [];
    for await (const result of this.#results(images, options)) results.push(result);
    return results;
  }

  /**
   * Loss, top-1 and top-5 over a data set.
   * @throws {ArgumentError} where its classes are not those of the model
   * @throws {DataError} where no picture can be read, or where strict, for the first that cannot be read
   */
  async evaluate(dataset: Dataset, options?: EvaluateOptions): Promise<Evaluation> {
    return evaluateTogether([this], dataset, options);
  }

  /**
   * What the last hidden layer makes of each picture that can be read, in order, batch by batch: see
   * {@link AlexNet.features}.
   * @throws {DataError} where no picture can be read, or where strict, for the first that cannot be read
   */
  async *features(dataset: Dataset, options: SkipOptions = {}): AsyncGenerator<Features, void, undefined> {
    const { crop } = this.preprocessing;
    const loader = new Loader(dataset, { ...options, batchSize: BATCH, crop, training: false });
    for await (const batch of loader.epoch(0)) {
      const values = await noGrad(() =>
        tidy(() =>
          this.model
            .features(this.#input.prepare(this.#input.upload(batch), batch.crops))
            .data<Float32Array>(),
        ),
      );
      yield { indices: batch.indices, values };
    }
  }

  /** @internal */
  get member(): Member {
    return { model: this.model, input: this.#input };
  }

  async *#results(
    images: readonly ImageSource[],
    options: { topK?: number },
  ): AsyncGenerator<PromiseSettledResult<Prediction[]>, void, undefined> {
    for (const [i, image] of images.entries()) {
      if (typeof image === 'string' || image instanceof Uint8Array) continue;
      throw new ArgumentError(expected('path or Uint8Array', `images[${i}]`, image));
    }
    const decoding = decodingOf(this.preprocessing);
    const count = this.classes.length;
    const topK = expectInteger('topK', options.topK ?? Math.min(5, count), 1, count);
    for (let start = 0; start < images.length; start += BATCH) {
      const batch = images.slice(start, start + BATCH);
      const decoded = await Promise.allSettled(batch.map((image) => decodeImage(image, decoding)));
      const pictures = decoded.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      const predictions = await this.#classify(
        pictures.map(({ pixels }) => pixels),
        topK,
      );
      for (const result of decoded) {
        yield result.status === 'rejected'
          ? result
          : { status: 'fulfilled', value: predictions.shift() ?? [] };
      }
    }
  }

  async #classify(pixels: readonly Uint8Array[], topK: number): Promise<Prediction[][]> {
    if (pixels.length === 0) return [];
    const { resize, crop } = this.preprocessing;
    const crops = centreCrops(pixels.length, [resize, resize], crop);
    const probabilities = await noGrad(() =>
      tidy(() => {
        const images = this.#input.upload({ pixels, height: resize, width: resize });
        return softmax(this.model.forward(this.#input.prepare(images, crops))).data<Float32Array>();
      }),
    );
    const count = this.classes.length;
    return pixels.map((_, i) => this.#rank(probabilities.subarray(i * count, (i + 1) * count), topK));
  }

  #rank(probabilities: Float32Array, topK: number): Prediction[] {
    return bestOf(topK, probabilities).map((index) => ({
      class: this.classes[index] ?? String(index),
      index,
      probability: probabilities[index] ?? Number.NaN,
    }));
  }

  dispose(): void {
    this.#input.dispose();
    this.model.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
