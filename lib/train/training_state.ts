import { expectFinite, expectInteger, expectObject } from '../check.js';
import { FileFormatError, reasonOf } from '../errors.js';
import type { Metrics } from './evaluate.js';

/** What a checkpoint holds beside tensors, so that training can go on exactly. Fit for JSON. */
export interface TrainingState {
  /** Complete epochs and steps. */
  epoch: number;
  step: number;
  batchSize: number;
  seed: number;
  /** The figures of the last epoch. */
  train: { loss: number; top1: number } | null;
  val: Metrics | null;
  /** The lowest validation loss so far (training loss where there is no validation). */
  best: number | null;
  optimizer: Readonly<Record<string, number>>;
  schedule: Readonly<Record<string, number>>;
  generator?: { seed: number; offset: number };
  /** The caller's own. */
  notes?: Readonly<Record<string, unknown>>;
}

/** @throws {FileFormatError} where the file has no training state, or a broken one */
export function parseTrainingState(value: unknown, path: string): TrainingState {
  try {
    const state = expectObject('training', value);
    return {
      epoch: expectInteger('epoch', state.epoch, 0),
      step: expectInteger('step', state.step, 0),
      batchSize: expectInteger('batchSize', state.batchSize, 1),
      seed: expectInteger('seed', state.seed, 0),
      train: state.train === null ? null : pick('train', state.train, ['loss', 'top1']),
      val: state.val === null ? null : pick('val', state.val, ['loss', 'top1', 'top5']),
      best: state.best === null ? null : expectFinite('best', state.best),
      optimizer: numbers('optimizer', state.optimizer),
      schedule: numbers('schedule', state.schedule),
      ...(state.generator === undefined
        ? {}
        : { generator: pick('generator', state.generator, ['seed', 'offset']) }),
      ...(state.notes === undefined ? {} : { notes: expectObject('notes', state.notes) }),
    };
  } catch (cause) {
    throw new FileFormatError(
      `Expected checkpoint for ${path} but received another file: ${reasonOf(cause)}`,
      {
        cause,
      },
    );
  }
}

function numbers(name: string, value: unknown): Record<string, number> {
  return Object.fromEntries(
    Object.entries(expectObject(name, value)).map(([key, number]) => [
      key,
      expectFinite(`${name}.${key}`, number),
    ]),
  );
}

function pick<K extends string>(name: string, value: unknown, keys: readonly K[]): Record<K, number> {
  const from = expectObject(name, value);
  return Object.fromEntries(keys.map((key) => [key, expectFinite(`${name}.${key}`, from[key])])) as Record<
    K,
    number
  >;
}
