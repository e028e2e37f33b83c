import { resolve } from 'node:path';
import {
  expectBoolean,
  expectFinite,
  expectInRange,
  expectInteger,
  expectObject,
  expectOneOf,
  expectString,
} from '../check.js';
import { type ColourNoise, expectColourNoise } from '../data/colour.js';
import { CONVOLUTION_DEFAULTS, type ConvolutionOptions } from '../device.js';
import { ArgumentError, expected, FileFormatError, reasonOf } from '../errors.js';
import type { AlexNetConfig } from '../models/alexnet.js';
import { INITS, type Init, type PresetName } from '../models/presets.js';
import {
  FREEZABLE,
  OPTIMIZERS,
  type OptimizerName,
  PHOTOS,
  PRESET_NAMES,
  photosBatch,
  SHAPES,
} from './recipes.js';
import type { TrainOptions } from './train.js';

/**
 * All that decides over a run, so that `--resume` needs no other option: a checkpoint keeps it as its training state's
 * `notes`. Members that are named as options are those.
 */
export interface Settings {
  /** Absolute; null for the drawn shapes. */
  data: string | null;
  val: string | null;
  trainPictures: number;
  valPictures: number;
  /** The model that it started from, absolute; null for none. */
  from: string | null;
  /** Layers that keep their weights. */
  freeze: readonly string[];
  preset: PresetName;
  init: Init;
  dropout: number;
  epochs: number;
  batch: number;
  optimizer: OptimizerName;
  lr: number;
  /** Of SGD. */
  momentum: number;
  weightDecay: number;
  warmupSteps: number;
  finalFraction: number;
  seed: number;
  colourNoise: ColourNoise | null;
  /** Null for all cores. */
  threads: number | null;
  device: string;
  /** How the device computes convolutions. */
  convolutions: Required<ConvolutionOptions>;
}

export interface DataFolders {
  data: string;
  val: string;
}

/**
 * The folders that the options name; null for the drawn shapes.
 * @throws {ArgumentError} for one without the other
 */
export function foldersOf({ data, val }: TrainOptions): DataFolders | null {
  if (data === undefined && val === undefined) return null;
  if (data === undefined)
    throw new ArgumentError('--val needs --data: the drawn shapes have their own validation part');
  if (val === undefined) {
    throw new ArgumentError(
      '--data needs --val, a folder of other pictures of the same classes: without, nobody knows what was learnt',
    );
  }
  return { data: resolve(data), val: resolve(val) };
}

/**
 * The settings of a new run: what was given, and the recipe for the rest.
 * @param start the model of `--from`
 * @throws {ArgumentError} for options that do not go together
 */
export function newSettings(
  given: TrainOptions,
  folders: DataFolders | null,
  pictures: Pick<Settings, 'trainPictures' | 'valPictures'>,
  start?: Pick<AlexNetConfig, 'preset' | 'dropout'>,
  colourNoise: ColourNoise | null = null,
): Settings {
  if (given.freeze !== undefined && start === undefined)
    throw new ArgumentError(
      '--freeze needs --from: layers that were never trained would stay as they were drawn',
    );
  if (start !== undefined && given.preset !== undefined && given.preset !== start.preset)
    throw new ArgumentError(
      expected(`${start.preset}, as the model of --from has,`, '--preset', given.preset),
    );
  const recipe = folders === null ? SHAPES : { ...PHOTOS, batch: photosBatch(pictures.trainPictures) };
  const optimizer = given.optimizer ?? recipe.optimizer;
  return {
    data: folders?.data ?? null,
    val: folders?.val ?? null,
    trainPictures: pictures.trainPictures,
    valPictures: pictures.valPictures,
    from: given.from === undefined ? null : resolve(given.from),
    freeze: given.freeze ?? [],
    preset: start?.preset ?? given.preset ?? recipe.preset,
    init: given.init ?? recipe.init,
    dropout: start?.dropout ?? recipe.dropout,
    epochs: given.epochs ?? recipe.epochs,
    batch: given.batch ?? recipe.batch,
    optimizer,
    lr: given.lr ?? recipe.lr[optimizer],
    momentum: recipe.momentum,
    weightDecay: recipe.weightDecay,
    warmupSteps: recipe.warmupSteps,
    finalFraction: recipe.finalFraction,
    seed: given.seed ?? recipe.seed,
    colourNoise,
    threads: given.threads ?? null,
    device: given.device ?? 'cpu',
    convolutions: withGiven(CONVOLUTION_DEFAULTS, given),
  };
}

/** On the command line each of them can only leave its default. */
function withGiven(
  { tf32, deterministic, autotune }: Settings['convolutions'],
  given: TrainOptions,
): Settings['convolutions'] {
  return {
    tf32: tf32 && given.tf32 !== false,
    deterministic: deterministic || given.deterministic === true,
    autotune: autotune || given.autotune === true,
  };
}

/** What changes the numbers, so that it may not change on the way. */
const FIXED = ['preset', 'init', 'batch', 'optimizer', 'lr', 'seed'] as const;

function unchangeable(name: string, saved: unknown, given: unknown): ArgumentError {
  return new ArgumentError(
    `${expected(String(saved ?? 'none'), `--${name}`, given)}: it may not change on --resume`,
  );
}

/**
 * The settings of a run that goes on, and which of them changed.
 * @throws {ArgumentError} that names an option that may not change
 */
export function resumedSettings(
  given: TrainOptions,
  saved: Settings,
): { settings: Settings; changes: string[] } {
  for (const name of FIXED) {
    if (given[name] !== undefined && given[name] !== saved[name]) {
      throw unchangeable(name, saved[name], given[name]);
    }
  }
  if (given.colourNoise !== undefined && given.colourNoise !== saved.colourNoise?.kind)
    throw unchangeable('colour-noise', saved.colourNoise?.kind ?? null, given.colourNoise);
  if (given.from !== undefined && resolve(given.from) !== saved.from)
    throw unchangeable('from', saved.from, given.from);
  if (given.freeze !== undefined && given.freeze.join() !== saved.freeze.join())
    throw unchangeable('freeze', saved.freeze.join() || null, given.freeze.join());
  if (saved.data === null && (given.data !== undefined || given.val !== undefined)) {
    throw new ArgumentError(
      'The run to resume learns the drawn shapes: --data and --val may not change on --resume',
    );
  }
  if (given.epochs !== undefined && given.epochs < saved.epochs) {
    throw new ArgumentError(
      `${expected(`at least ${saved.epochs}`, '--epochs', given.epochs)}: it may only be raised on --resume`,
    );
  }
  const device = given.device ?? saved.device;
  const settings: Settings = {
    ...saved,
    data: given.data === undefined ? saved.data : resolve(given.data),
    val: given.val === undefined ? saved.val : resolve(given.val),
    epochs: given.epochs ?? saved.epochs,
    threads: given.threads ?? saved.threads,
    device,
    convolutions: withGiven(
      device.startsWith('cuda')
        ? saved.convolutions
        : { ...CONVOLUTION_DEFAULTS, autotune: saved.convolutions.autotune },
      given,
    ),
  };
  const changes = (['data', 'val', 'epochs', 'device'] as const)
    .filter((name) => settings[name] !== saved[name])
    .map((name) => `${name}: ${settings[name]} instead of ${saved[name]}`);
  return { settings, changes };
}

/** @throws {FileFormatError} where a checkpoint has no settings, or broken ones */
export function parseSettings(notes: Readonly<Record<string, unknown>> | undefined, path: string): Settings {
  if (notes === undefined) {
    throw new FileFormatError(
      `Expected checkpoint of "alexnet train" for ${path} but received one of another program`,
    );
  }
  try {
    return {
      data: nullOr(notes.data, (value) => expectString('data', value)),
      val: nullOr(notes.val, (value) => expectString('val', value)),
      trainPictures: expectInteger('trainPictures', notes.trainPictures, 1),
      valPictures: expectInteger('valPictures', notes.valPictures, 1),
      from: nullOr(notes.from, (value) => expectString('from', value)),
      freeze: parseLayers(notes.freeze),
      preset: expectOneOf('preset', notes.preset, PRESET_NAMES),
      init: expectOneOf('init', notes.init, INITS),
      dropout: expectInRange('dropout', notes.dropout, 0, 1, true),
      epochs: expectInteger('epochs', notes.epochs, 1),
      batch: expectInteger('batch', notes.batch, 1),
      optimizer: expectOneOf('optimizer', notes.optimizer, OPTIMIZERS),
      lr: expectFinite('lr', notes.lr),
      momentum: expectFinite('momentum', notes.momentum),
      weightDecay: expectFinite('weightDecay', notes.weightDecay),
      warmupSteps: expectInteger('warmupSteps', notes.warmupSteps, 0),
      finalFraction: expectFinite('finalFraction', notes.finalFraction),
      seed: expectInteger('seed', notes.seed, 0),
      colourNoise: nullOr(notes.colourNoise, (value) => expectColourNoise('colourNoise', value)),
      threads: nullOr(notes.threads, (value) => expectInteger('threads', value, 1)),
      device: expectString('device', notes.device),
      convolutions: parseConvolutions(notes.convolutions),
    };
  } catch (cause) {
    throw new FileFormatError(`${reasonOf(cause)} in the settings of ${path}`, { cause });
  }
}

function parseLayers(value: unknown): string[] {
  if (!Array.isArray(value)) throw new ArgumentError(expected('array of layers', 'freeze', value));
  return value.map((name, i) => expectOneOf(`freeze[${i}]`, name, FREEZABLE));
}

function parseConvolutions(value: unknown): Settings['convolutions'] {
  const { tf32, deterministic, autotune } = expectObject('convolutions', value);
  return {
    tf32: expectBoolean('tf32', tf32),
    deterministic: expectBoolean('deterministic', deterministic),
    autotune: expectBoolean('autotune', autotune),
  };
}

function nullOr<T>(value: unknown, parse: (value: unknown) => T): T | null {
  return value === null ? null : parse(value);
}
