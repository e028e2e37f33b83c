import type { ColourNoise } from '../data/colour.js';
import type { Dataset } from '../data/dataset.js';
import { ArgumentError, DataError, expected, FileFormatError } from '../errors.js';
import type { AlexNet } from '../models/alexnet.js';
import type { ModelFile } from './model_file.js';
import { expectPreprocessing, type Preprocessing } from './preprocessing.js';
import type { Augmentation } from './recipes.js';
import { identityOf, type TrainingState } from './training_state.js';

/** What decides over a run beside its checkpoint. */
export interface RunDescription {
  model: AlexNet;
  train: Dataset;
  validation: Dataset | undefined;
  batchSize: number;
  seed: number;
  preprocessing: Preprocessing | undefined;
  colourNoise: ColourNoise | null;
  augmentation: Augmentation;
  stepsPerEpoch: number;
}

/**
 * @throws {ArgumentError} {@link DataError} that name what may not change when a run goes on, and did
 * @throws {FileFormatError} where the file's counters do not go together
 */
export function expectSameRun(file: ModelFile, state: TrainingState, run: RunDescription): void {
  const { info } = file;
  same(DataError, 'classes', info.classes, run.train.classes);
  for (const name of ['preset', 'classes', 'dropout'] as const) {
    same(ArgumentError, name, info.model[name], run.model.config[name]);
  }
  same(ArgumentError, 'batchSize', state.batchSize, run.batchSize);
  same(ArgumentError, 'seed', state.seed, run.seed);
  same(ArgumentError, 'colourNoise', state.colourNoise, run.colourNoise);
  for (const name of ['crops', 'flips'] as const)
    same(ArgumentError, `augmentation.${name}`, state.augmentation[name], run.augmentation[name]);
  if (run.preprocessing !== undefined) {
    const preprocessing = expectPreprocessing(run.preprocessing);
    const [was, is] = [info.preprocessing.mean, preprocessing.mean];
    const isSame = was.length === is.length && was.every((value, i) => value === is[i]);
    if (!isSame) same(ArgumentError, 'preprocessing.mean', describeMean(was), describeMean(is, 'another'));
    for (const name of ['resize', 'kernel', 'crop', 'scale'] as const) {
      same(ArgumentError, `preprocessing.${name}`, info.preprocessing[name], preprocessing[name]);
    }
  }
  for (const [name, saved, dataset] of [
    ['training data', state.data.train, run.train],
    ['validation data', state.data.validation, run.validation],
  ] as const) {
    const now = dataset === undefined ? null : identityOf(dataset);
    same(DataError, `pictures of the ${name}`, saved?.pictures ?? null, now?.pictures ?? null);
    if ((saved?.fingerprint ?? null) !== (now?.fingerprint ?? null)) {
      const what = `the same pictures, by paths and lengths, for the ${name}`;
      throw new DataError(`Expected ${what} but received others: they may not change on resuming`);
    }
  }
  const stepOfEpoch = state.step - state.epoch * run.stepsPerEpoch;
  if (stepOfEpoch < 0 || stepOfEpoch > run.stepsPerEpoch || stepOfEpoch > 0 !== state.sums.pictures > 0) {
    const what = `a step of epoch ${state.epoch + 1}, of ${run.stepsPerEpoch} steps,`;
    throw new FileFormatError(`${expected(what, 'step', state.step)} in ${file.path}`);
  }
}

function describeMean(mean: Preprocessing['mean'], which = 'a'): unknown {
  return mean instanceof Float32Array ? `${which} mean image` : mean;
}

function same(error: new (message: string) => Error, name: string, saved: unknown, now: unknown): void {
  const [was, is] = [saved, now].map((value) => JSON.stringify(value));
  if (was !== is)
    throw new error(`Expected ${was} for ${name} but received ${is}: it may not change on resuming`);
}

/** Which of the named facts are no longer as they were. */
export function differences(
  was: Readonly<Record<string, string>>,
  is: Readonly<Record<string, string>>,
): string[] {
  const names = [...new Set([...Object.keys(was), ...Object.keys(is)])];
  return names
    .filter((name) => was[name] !== is[name])
    .map((name) => `${name}: ${is[name] ?? 'none'} instead of ${was[name] ?? 'none'}`);
}
