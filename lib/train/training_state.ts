import {
  expectBoolean,
  expectFinite,
  expectInteger,
  expectObject,
  expectOneOf,
  expectString,
} from '../check.js';
import { type ColourNoise, expectColourNoise } from '../data/colour.js';
import type { Dataset } from '../data/dataset.js';
import { FileFormatError, reasonOf } from '../errors.js';
import type { Metrics } from './evaluate.js';
import { type Augmentation, CROPS } from './recipes.js';

/** How far training has come. */
export interface Progress {
  /** Complete epochs. */
  epoch: number;
  /** Complete steps, of all epochs. */
  step: number;
  /** Over the steps of the epoch that is not complete: of the pictures' losses, and of those whose class was guessed. */
  sums: { loss: number; hits: number; pictures: number };
  /** The figures of the last complete epoch. */
  train: { loss: number; top1: number } | null;
  val: Metrics | null;
  /** The lowest validation loss so far (training loss where there is no validation). */
  best: number | null;
}

/** What tells one data set from another. */
export interface DataIdentity {
  pictures: number;
  fingerprint: string | null;
}

/** What a checkpoint holds beside tensors, so that training can go on exactly. Fit for JSON. */
export interface TrainingState extends Progress {
  batchSize: number;
  seed: number;
  colourNoise: ColourNoise | null;
  augmentation: Augmentation;
  data: { train: DataIdentity; validation: DataIdentity | null };
  /** What else decides over the bits of the results, by name. */
  facts: Readonly<Record<string, string>>;
  /** What autotune chose on the model's device. */
  choices: Readonly<Record<string, string>>;
  optimizer: Readonly<Record<string, number>>;
  schedule: Readonly<Record<string, number>>;
  generator: { seed: number; offset: number };
}

/** The default. */
export const AUGMENTED: Augmentation = { crops: 'random', flips: true };

export const NO_SUMS: Progress['sums'] = { loss: 0, hits: 0, pictures: 0 };

export function identityOf(dataset: Dataset): DataIdentity {
  return { pictures: dataset.length, fingerprint: dataset.fingerprint ?? null };
}

/** @throws {FileFormatError} where the file has no training state, or a broken one */
export function parseTrainingState(value: unknown, path: string): TrainingState {
  if (value === undefined) {
    throw new FileFormatError(
      `Expected checkpoint for ${path} but received a model without the state of its training, which only the last.safetensors of a run has`,
    );
  }
  try {
    const state = expectObject('training', value);
    const data = expectObject('data', state.data);
    return {
      epoch: expectInteger('epoch', state.epoch, 0),
      step: expectInteger('step', state.step, 0),
      sums: parseSums(state.sums),
      train: state.train === null ? null : pick('train', state.train, ['loss', 'top1']),
      val: state.val === null ? null : pick('val', state.val, ['loss', 'top1', 'top5']),
      best: state.best === null ? null : expectFinite('best', state.best),
      batchSize: expectInteger('batchSize', state.batchSize, 1),
      seed: expectInteger('seed', state.seed, 0),
      colourNoise: state.colourNoise === null ? null : expectColourNoise('colourNoise', state.colourNoise),
      augmentation: expectAugmentation(state.augmentation),
      data: {
        train: identity('data.train', data.train),
        validation: data.validation === null ? null : identity('data.validation', data.validation),
      },
      facts: members('facts', state.facts, expectString),
      choices: members('choices', state.choices, expectString),
      optimizer: members('optimizer', state.optimizer, expectFinite),
      schedule: members('schedule', state.schedule, expectFinite),
      generator: parseGenerator(state.generator),
    };
  } catch (cause) {
    const reason = reasonOf(cause);
    throw new FileFormatError(`Expected checkpoint for ${path} but received another file: ${reason}`, {
      cause,
    });
  }
}

function parseSums(value: unknown): Progress['sums'] {
  const { loss, hits, pictures } = expectObject('sums', value);
  return {
    loss: expectFinite('sums.loss', loss),
    hits: expectInteger('sums.hits', hits, 0),
    pictures: expectInteger('sums.pictures', pictures, 0),
  };
}

function parseGenerator(value: unknown): TrainingState['generator'] {
  const { seed, offset } = expectObject('generator', value);
  return {
    seed: expectInteger('generator.seed', seed, 0),
    offset: expectInteger('generator.offset', offset, 0),
  };
}

function expectAugmentation(value: unknown): Augmentation {
  const { crops, flips } = expectObject('augmentation', value);
  return {
    crops: expectOneOf('augmentation.crops', crops, CROPS),
    flips: expectBoolean('augmentation.flips', flips),
  };
}

function identity(name: string, value: unknown): DataIdentity {
  const { pictures, fingerprint } = expectObject(name, value);
  return {
    pictures: expectInteger(`${name}.pictures`, pictures, 1),
    fingerprint: fingerprint === null ? null : expectString(`${name}.fingerprint`, fingerprint),
  };
}

function members<T>(
  name: string,
  value: unknown,
  expectMember: (name: string, value: unknown) => T,
): Record<string, T> {
  const entries = Object.entries(expectObject(name, value));
  return Object.fromEntries(entries.map(([key, member]) => [key, expectMember(`${name}.${key}`, member)]));
}

function pick<K extends string>(name: string, value: unknown, keys: readonly K[]): Record<K, number> {
  const from = expectObject(name, value);
  const entries = keys.map((key) => [key, expectFinite(`${name}.${key}`, from[key])]);
  return Object.fromEntries(entries) as Record<K, number>;
}
