import { expectInRange, expectMembers, expectObject, expectOneOf, expectPositiveInteger } from '../check.js';
import { ArgumentError, expected } from '../errors.js';
import type { AlexNetConfig } from '../models/alexnet.js';
import { INITS, PRESETS, type PresetName } from '../models/presets.js';
import { expectPreprocessing, type Preprocessing } from './preprocessing.js';

/**
 * What a model file says of itself, each member a JSON string in the safetensors metadata. The tensors are the model's
 * parameters by name (filters KRSC, the first fully connected layer's columns in HWC order), and in a checkpoint the
 * optimizer's as `optimizer/…`. A mean image is the tensor {@link MEAN_IMAGE}, `[resize, resize, 3]`.
 */
export interface ModelInfo {
  model: AlexNetConfig;
  /** The names of the model's classes, in the order of its outputs. */
  classes: readonly string[];
  preprocessing: Preprocessing;
  /** The trainer's `notes`: of `alexnet train` the recipe, and all its options. */
  notes?: Readonly<Record<string, unknown>>;
  /** Of a checkpoint: all that training needs to go on. */
  training?: unknown;
}

/** The mean image, where the preprocessing has one: in the metadata its mean is this name. */
export const MEAN_IMAGE = 'preprocessing/mean';

type Metadata = Readonly<Record<string, string>>;

const FORMAT = 'node-cudnn model 1';
/** JSON takes up to some sixty times its length in memory once parsed. */
const MAX_JSON_LENGTH = 4 * 2 ** 20;

/** @throws {ArgumentError} where {@link parseInfo} would not read it back */
export function formatInfo(info: ModelInfo): Metadata {
  const metadata: Record<string, string> = { format: JSON.stringify(FORMAT) };
  const { mean } = info.preprocessing;
  const meanImage = mean instanceof Float32Array ? mean : undefined;
  const preprocessing =
    meanImage === undefined ? info.preprocessing : { ...info.preprocessing, mean: MEAN_IMAGE };
  for (const [key, value] of Object.entries({ ...info, preprocessing }))
    if (value !== undefined) metadata[key] = JSON.stringify(value);
  parseInfo(metadata, meanImage);
  return metadata;
}

/**
 * Members of `model` and `preprocessing` that are not known are refused, not ignored: a later version's might change
 * what the network computes.
 * @param meanImage the tensor {@link MEAN_IMAGE}, if there is one
 * @throws {ArgumentError}
 */
export function parseInfo(metadata: Metadata, meanImage: Float32Array | undefined): ModelInfo {
  // The first files had it without JSON's quotes.
  if (metadata.format !== JSON.stringify(FORMAT) && metadata.format !== FORMAT)
    throw new ArgumentError(expected(`"${FORMAT}"`, 'format', metadata.format));
  const model = parseConfig(parse(metadata, 'model'));
  const classes = expectStrings('classes', parse(metadata, 'classes'));
  if (classes.length !== model.classes) {
    throw new ArgumentError(expected(`${model.classes} names`, 'classes', classes.length));
  }
  const members = expectObject('preprocessing', parse(metadata, 'preprocessing'));
  const preprocessing = expectPreprocessing(
    members.mean === MEAN_IMAGE ? { ...members, mean: meanImage } : members,
  );
  const { cropSize } = PRESETS[model.preset];
  if (preprocessing.crop !== cropSize) {
    const what = `${cropSize}, the preset's crop,`;
    throw new ArgumentError(expected(what, 'preprocessing.crop', preprocessing.crop));
  }
  const notes =
    metadata.notes === undefined ? {} : { notes: expectObject('notes', parse(metadata, 'notes')) };
  const training = metadata.training === undefined ? {} : { training: parse(metadata, 'training') };
  return { model, classes, preprocessing, ...notes, ...training };
}

function parseConfig(value: unknown): AlexNetConfig {
  const { classes, preset, init, dropout } = expectMembers('model', value, [
    'classes',
    'preset',
    'init',
    'dropout',
  ]);
  return {
    classes: expectPositiveInteger('model.classes', classes),
    preset: expectOneOf('model.preset', preset, Object.keys(PRESETS) as PresetName[]),
    init: expectOneOf('model.init', init, INITS),
    dropout: expectInRange('model.dropout', dropout, 0, 1, true),
  };
}

function parse(metadata: Metadata, key: string): unknown {
  const text = metadata[key];
  if (text === undefined) throw new ArgumentError(expected('JSON', key, text));
  if (text.length > MAX_JSON_LENGTH) {
    throw new ArgumentError(expected(`JSON of at most ${MAX_JSON_LENGTH} characters`, key, text.length));
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ArgumentError(expected('JSON', key, text), { cause });
  }
}

function expectStrings(name: string, value: unknown): string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new ArgumentError(expected('array of strings', name, value));
}
