import { noGrad } from '../autograd.js';
import type { Dataset, SkipOptions } from '../data/dataset.js';
import { Loader } from '../data/loader.js';
import { DataError, expected } from '../errors.js';
import type { Module } from '../nn/index.js';
import { softmaxCrossEntropy, topKHits } from '../ops/index.js';
import { tidy } from '../scope.js';
import { tensor } from '../tensor.js';
import type { InputPipeline } from './preprocessing.js';
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

/** The same for every use, so that the same weights give the same figures. */
const BATCH = 64;

/**
 * The centre crop's figures over a whole data set, in evaluation mode; restores the model's mode.
 * @throws {DataError} for an empty data set, one of which hardly any picture can be read, or where strict, for the first
 *   that cannot be read
 * @throws the reason of `signal`, where that is aborted before the end
 */
export async function evaluate(
  model: Module,
  input: InputPipeline,
  dataset: Dataset,
  { signal, ...options }: SkipOptions & { signal?: AbortSignal | undefined } = {},
): Promise<Evaluation> {
  if (dataset.length === 0) throw new DataError(expected('at least one picture', 'data set', 0));
  const perClass = dataset.classes.map((name) => ({ class: name, count: 0, top1: 0, top5: 0 }));
  const guesses = Math.min(5, dataset.classes.length);
  const wasTraining = model.training;
  model.eval();
  let [lossSum, pictures] = [0, 0];
  try {
    const { crop } = input.preprocessing;
    const loader = new Loader(dataset, { ...options, batchSize: BATCH, crop, training: false });
    for await (const batch of untilAborted(loader.epoch(0), signal)) {
      const [loss, top1, top5] = await noGrad(() =>
        tidy(() => {
          const labels = tensor(batch.labels, [batch.labels.length], { device: input.device });
          const logits = model.forward(input.prepare(batch));
          return Promise.all([
            softmaxCrossEntropy(logits, labels).item(),
            topKHits(logits, labels, 1).data<Int32Array>(),
            topKHits(logits, labels, guesses).data<Int32Array>(),
          ]);
        }),
      );
      lossSum += loss * batch.labels.length;
      pictures += batch.labels.length;
      batch.labels.forEach((label, i) => {
        const row = perClass[label];
        if (row === undefined) return;
        row.count++;
        row.top1 += top1[i] ?? 0;
        row.top5 += top5[i] ?? 0;
      });
    }
    signal?.throwIfAborted();
  } finally {
    model.train(wasTraining);
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
