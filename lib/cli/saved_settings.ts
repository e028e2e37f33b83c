import {
  expectBoolean,
  expectFinite,
  expectInRange,
  expectInteger,
  expectObject,
  expectOneOf,
  expectString,
} from '../check.js';
import { expectColourNoise } from '../data/colour.js';
import { ArgumentError, expected, FileFormatError, reasonOf } from '../errors.js';
import { INITS } from '../models/presets.js';
import { CROPS, MEANS, OPTIMIZERS, RECIPE_NAMES } from '../train/recipes.js';
import { FREEZABLE, LIMITS, PRESET_NAMES } from './recipes.js';
import { parseSchedule } from './schedule.js';
import type { Settings } from './settings.js';

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
      classes: nullOr(notes.classes, (value) => parseStrings('classes', value)),
      trainPictures: parsePictures('trainPictures', notes),
      valPictures: parsePictures('valPictures', notes),
      stats: nullOr(notes.stats, (value) => expectString('stats', value)),
      from: nullOr(notes.from, (value) => expectString('from', value)),
      freeze: parseLayers(notes.freeze),
      recipe: nullOr(notes.recipe, (value) => expectOneOf('recipe', value, RECIPE_NAMES)),
      deviations: parseStrings('deviations', notes.deviations),
      preset: expectOneOf('preset', notes.preset, PRESET_NAMES),
      init: expectOneOf('init', notes.init, INITS),
      dropout: expectInRange('dropout', notes.dropout, 0, 1, true),
      epochs: expectInteger('epochs', notes.epochs, 1, LIMITS.epochs),
      batch: expectInteger('batch', notes.batch, 1, LIMITS.batch),
      optimizer: expectOneOf('optimizer', notes.optimizer, OPTIMIZERS),
      lr: expectFinite('lr', notes.lr),
      momentum: expectFinite('momentum', notes.momentum),
      weightDecay: expectFinite('weightDecay', notes.weightDecay),
      biasRate: expectFinite('biasRate', notes.biasRate),
      biasDecay: expectBoolean('biasDecay', notes.biasDecay),
      schedule: parseSchedule(notes.schedule),
      crops: expectOneOf('crops', notes.crops, CROPS),
      flips: expectBoolean('flips', notes.flips),
      mean: nullOr(notes.mean, (value) => expectOneOf('mean', value, MEANS)),
      inputScale: nullOr(notes.inputScale, (value) => expectFinite('inputScale', value)),
      seed: expectInteger('seed', notes.seed, 0),
      colourNoise: nullOr(notes.colourNoise, (value) => expectColourNoise('colourNoise', value)),
      threads: nullOr(notes.threads, (value) => expectInteger('threads', value, 1, LIMITS.threads)),
      device: expectString('device', notes.device),
      convolutions: parseConvolutions(notes.convolutions),
      strict: expectBoolean('strict', notes.strict),
    };
  } catch (cause) {
    throw new FileFormatError(`${reasonOf(cause)} in the settings of ${path}`, { cause });
  }
}

/** Without folders so many are drawn; those of folders are counted there. */
function parsePictures(
  name: 'trainPictures' | 'valPictures',
  notes: Readonly<Record<string, unknown>>,
): number {
  const areDrawn = notes.data === null || notes.val === null;
  return expectInteger(name, notes[name], 1, areDrawn ? LIMITS.drawnPictures : undefined);
}

function parseStrings(name: string, value: unknown): string[] {
  if (!Array.isArray(value)) throw new ArgumentError(expected('array of strings', name, value));
  return value.map((line, i) => expectString(`${name}[${i}]`, line));
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
