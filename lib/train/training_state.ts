import { expectFinite, expectInteger } from '../check.js';
import { expected, FileFormatError } from '../errors.js';
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
    const state = object('training', value);
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
      ...(state.notes === undefined ? {} : { notes: object('notes', state.notes) }),
    };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FileFormatError(`Expected checkpoint for ${path} but received another file: ${reason}`, {
      cause,
    });
  }
}

function object(name: string, value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new FileFormatError(expected('object', name, value));
}

function numbers(name: string, value: unknown): Record<string, number> {
  return Object.fromEntries(
    Object.entries(object(name, value)).map(([key, number]) => [key, expectFinite(`${name}.${key}`, number)]),
  );
}

function pick<K extends string>(name: string, value: unknown, keys: readonly K[]): Record<K, number> {
  const from = object(name, value);
  return Object.fromEntries(keys.map((key) => [key, expectFinite(`${name}.${key}`, from[key])])) as Record<
    K,
    number
  >;
}
