import { noGrad } from '../autograd.js';
import type { Dataset, SkipOptions } from '../data/dataset.js';
import { type Batch, Loader } from '../data/loader.js';
import { ArgumentError, DataError, expected } from '../errors.js';
import type { AlexNet } from '../models/alexnet.js';
import { tidy } from '../scope.js';
import { centreCrops, decodingOf, type InputPipeline, tenCrops } from './preprocessing.js';
import { averageScores, rankOf, type Scores } from './scores.js';
import { untilAborted } from './until_aborted.js';

/** Fractions are 0…1. */
export interface Metrics {
  /** Mean cross-entropy per picture. */
  loss: number;
  /** The fraction whose class was the first guess. */
  top1: number;
  /** The fraction whose class was among the first five guesses (or all, of fewer classes). */
  top5: number;
}

export interface ClassMetrics {
  class: string;
  count: number;
  top1: number;
  top5: number;
}

export interface Evaluation extends Metrics {
  /** So many pictures could not be read, or were no pictures. The figures are of the others. */
  skipped: number;
  /** In the order of the model's classes; fractions of a class without pictures are 0. */
  perClass: ClassMetrics[];
}

/** What was found of one picture. */
export interface Judgement {
  /** Of the picture in the data set. */
  index: number;
  label: number;
  /** Of each class. */
  probabilities: Float64Array;
  /** Of each class, by each of the models alone. */
  members: readonly Float64Array[];
}

export interface EvaluateOptions extends SkipOptions {
  /**
   * Average over ten crops instead of taking the centre: the four corners and the centre, and their reflections (section
   * 4.1 of the paper). In one pass of the device: a batch's pictures cross to it once, and all ten crops are cut and computed there
   * in a row, with one wait at the end. One after the other, so that they take the memory of one.
   */
  tenCrop?: boolean;
  /** Called for each picture, in order. */
  onPicture?: (judgement: Judgement) => void;
}

/** A model and how it takes pictures. */
export interface Member {
  model: AlexNet;
  input: InputPipeline;
}

/** The same for every use, so that the same weights give the same figures. */
const BATCH = 64;

/**
 * Figures over a whole data set, in evaluation mode; restores the models' modes. Of several models, and of several crops,
 * the probabilities are averaged.
 * @throws {ArgumentError} where the models do not take the same pictures
 * @throws {DataError} for an empty data set, one of which no picture can be read, or where strict, for the first
 *   that cannot be read
 * @throws the reason of `signal`, where that is aborted before the end
 */
export async function evaluate(
  members: readonly [Member, ...Member[]],
  dataset: Dataset,
  {
    signal,
    tenCrop = false,
    onPicture,
    ...reading
  }: EvaluateOptions & { signal?: AbortSignal | undefined } = {},
): Promise<Evaluation> {
  if (dataset.length === 0) throw new DataError(expected('at least one picture', 'data set', 0));
  expectSamePictures(members);
  const perClass = dataset.classes.map((name) => ({ class: name, count: 0, top1: 0, top5: 0 }));
  const modes = members.map(({ model }) => model.training);
  for (const { model } of members) model.eval();
  let [lossSum, pictures] = [0, 0];
  try {
    const crop = Math.max(...members.map(({ input }) => input.preprocessing.crop));
    const loader = new Loader(dataset, { ...reading, batchSize: BATCH, crop, training: false });
    for await (const batch of untilAborted(loader.epoch(0), signal)) {
      const scores: Scores[][] = [];
      for (const member of members) scores.push(await logitsOf(member, batch, tenCrop));
      const averaged = (some: Scores[]) => averageScores(some, batch.labels, dataset.classes.length);
      const all = averaged(scores.flat());
      const { losses, probabilities } = all;
      const alone =
        onPicture === undefined ? [] : scores.map((own) => (scores.length === 1 ? all : averaged(own)));
      batch.labels.forEach((label, i) => {
        const row = perClass[label];
        const own = probabilities[i];
        if (row === undefined || own === undefined) return;
        const rank = rankOf(label, own);
        lossSum += losses[i] ?? Number.NaN;
        pictures++;
        row.count++;
        row.top1 += Number(rank < 1);
        row.top5 += Number(rank < 5);
        onPicture?.({
          index: batch.indices[i] ?? -1,
          label,
          probabilities: own,
          members: alone.map((member) => member.probabilities[i] ?? own),
        });
      });
    }
    signal?.throwIfAborted();
  } finally {
    members.forEach(({ model }, i) => {
      model.train(modes[i] ?? true);
    });
  }
  const total = (key: 'top1' | 'top5') => perClass.reduce((sum, row) => sum + row[key], 0) / pictures;
  return {
    loss: lossSum / pictures,
    top1: total('top1'),
    top5: total('top5'),
    skipped: (dataset.skipped?.length ?? 0) + dataset.length - pictures,
    perClass: perClass.map((row) => ({
      ...row,
      top1: row.count === 0 ? 0 : row.top1 / row.count,
      top5: row.count === 0 ? 0 : row.top5 / row.count,
    })),
  };
}

function expectSamePictures([first, ...others]: readonly [Member, ...Member[]]): void {
  const wanted = JSON.stringify(decodingOf(first.input.preprocessing));
  for (const { input } of others) {
    const received = JSON.stringify(decodingOf(input.preprocessing));
    if (received !== wanted)
      throw new ArgumentError(`Expected pictures of ${wanted} for every model but received ${received}`);
  }
}

/** Of each crop: the logits of all pictures. They are uploaded once, and waited for once. */
async function logitsOf({ model, input }: Member, batch: Batch, tenCrop: boolean): Promise<Scores[]> {
  return noGrad(() =>
    tidy(() => {
      const { height, width, pixels } = batch;
      const images = input.upload(batch);
      const { crop } = input.preprocessing;
      const crops = tenCrop
        ? tenCrops(pixels.length, [height, width], crop)
        : [centreCrops(pixels.length, [height, width], crop)];
      return Promise.all(
        // One crop's activations after the other take the same memory.
        crops.map((places) => tidy(() => model.forward(input.prepare(images, places))).data<Float32Array>()),
      );
    }),
  );
}
