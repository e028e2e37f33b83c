import { resolve } from 'node:path';
import type { ColourNoise } from '../data/colour.js';
import { CONVOLUTION_DEFAULTS, type ConvolutionOptions } from '../device.js';
import { ArgumentError, expected } from '../errors.js';
import type { AlexNetConfig } from '../models/alexnet.js';
import {
  type MeanKind,
  presetDeviations,
  RECIPES,
  type Recipe,
  type RecipeName,
  recipeFor,
  type ScheduleSettings,
} from '../train/recipes.js';
import { COMMON, DECAYS, PHOTOS, photosBatch, SHAPES } from './recipes.js';
import type { TrainOptions } from './train.js';

/**
 * All that decides over a run, so that `--resume` needs no other option: a checkpoint keeps it as its training state's
 * `notes`. Members that are named as options are those.
 */
export interface Settings extends Omit<Recipe, 'colourNoise' | 'mean'> {
  /** Absolute; null for the drawn shapes. */
  data: string | null;
  val: string | null;
  /** Of the class folders only these; null for all. */
  classes: readonly string[] | null;
  trainPictures: number;
  valPictures: number;
  /** The file of `--stats`, absolute; null for that of the folder, or none. */
  stats: string | null;
  /** The model that it started from, absolute; null for none. */
  from: string | null;
  /** Layers that keep their weights. */
  freeze: readonly string[];
  /** The one that was asked for. */
  recipe: RecipeName | null;
  /** In what the run differs from the recipe's source, a line each. */
  deviations: readonly string[];
  /** Null for the preprocessing of `from`. */
  mean: MeanKind | null;
  seed: number;
  colourNoise: ColourNoise | null;
  /** Null for all cores. */
  threads: number | null;
  device: string;
  /** How the device computes convolutions. */
  convolutions: Required<ConvolutionOptions>;
  /** Whether a file that is no picture, or cannot be read, ends the run. */
  strict: boolean;
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

/** A recipe, and in what it differs from its source. */
interface Resolved {
  recipe: Recipe;
  deviations: string[];
}

/** Of the training pictures. */
interface DataSize {
  classes: number;
  pictures: number;
}

/** What of a recipe an option says. */
function ownOf(given: TrainOptions): Partial<Recipe> {
  const own: Partial<Recipe> = {};
  const byDefault = given.recipe === undefined ? COMMON : RECIPES[given.recipe];
  const wanted = { ...given, schedule: scheduleWanted(given, byDefault.schedule) };
  for (const name of RECIPE_OPTIONS)
    if (wanted[name] !== undefined) Object.assign(own, { [name]: wanted[name] });
  if (given.colourNoise === 'none') own.colourNoise = null;
  return own;
}

/** What `--schedule` and `--patience` say; undefined for neither. @throws {ArgumentError} for patience of another than plateau */
function scheduleWanted(
  { schedule, patience }: TrainOptions,
  byDefault: ScheduleSettings,
): ScheduleSettings | undefined {
  if (patience === undefined) return schedule;
  const wanted = schedule ?? byDefault;
  if (wanted.kind === 'plateau') return { ...wanted, patience };
  throw new ArgumentError(`--patience needs --schedule plateau: the schedule ${wanted.kind} does not wait`);
}

/** What of a recipe changes the numbers, so that it may not change on the way. */
const FIXED_BY_RECIPE = [
  'preset',
  'init',
  'dropout',
  'batch',
  'optimizer',
  'lr',
  'momentum',
  'weightDecay',
  'biasRate',
  'biasDecay',
  'schedule',
  'crops',
  'flips',
  'mean',
  'inputScale',
] as const;

/** What may be given, and is of the recipe where it is not. */
const RECIPE_OPTIONS = [...FIXED_BY_RECIPE, 'epochs', 'colourNoise'] as const satisfies (keyof Recipe &
  keyof TrainOptions)[];

/**
 * The recipe of a new run, with what was given, and in what it differs from its source. Without `--recipe` that of drawn
 * shapes or of photos.
 * @param data null for the drawn shapes
 * @param start the model of `--from`
 * @throws {ArgumentError} for options that do not go together
 */
export function resolveRecipe(
  given: TrainOptions,
  data: DataSize | null,
  start?: Pick<AlexNetConfig, 'preset' | 'dropout'>,
): Resolved {
  if (start !== undefined && given.preset !== undefined && given.preset !== start.preset)
    throw new ArgumentError(
      expected(`${start.preset}, as the model of --from has,`, '--preset', given.preset),
    );
  for (const [name, value] of Object.entries({ '--mean': given.mean, '--input-scale': given.inputScale })) {
    if (start !== undefined && value !== undefined)
      throw new ArgumentError(`${name} does not go with --from: the model has its preprocessing`);
  }
  const ofStart =
    start === undefined ? {} : { preset: start.preset, inputScale: null, dropout: start.dropout };
  const own = { ...ofStart, ...ownOf(given) };
  const { recipe, deviations } =
    given.recipe === undefined ? quickRecipe(data, own) : namedRecipe(given.recipe, data, own);
  const isMeasured = start === undefined && recipe.mean !== 'imagenet' && recipe.inputScale === null;
  return { recipe: isMeasured ? { ...recipe, inputScale: COMMON.inputScale } : recipe, deviations };
}

/** What is taken without `--recipe`. */
function quickRecipe(data: DataSize | null, own: Partial<Recipe>): Resolved {
  const { lr, ...common } = data === null ? SHAPES : { ...PHOTOS, batch: photosBatch(data.pictures) };
  const optimizer = own.optimizer ?? common.optimizer;
  // What torchvision's weights take.
  const input = data !== null && own.preset === 'torchvision' ? IMAGENET : {};
  const recipe = { ...common, lr: lr[optimizer], weightDecay: DECAYS[optimizer], ...input, ...own };
  return { recipe, deviations: presetDeviations(recipe.preset) };
}

const IMAGENET = { mean: 'imagenet', inputScale: null } as const;

function namedRecipe(name: RecipeName, data: DataSize | null, own: Partial<Recipe>): Resolved {
  const { optimizer = RECIPES[name].optimizer } = own;
  const ofAnother =
    optimizer === RECIPES[name].optimizer
      ? {}
      : { lr: PHOTOS.lr[optimizer], momentum: PHOTOS.momentum, weightDecay: DECAYS[optimizer] };
  const ofShapes = data === null ? ({ mean: 'colour', colourNoise: null } as const) : {};
  const changes: Partial<Recipe> = { ...ofAnother, ...ofShapes, ...own };
  // With ImageNet's mean go its deviations: another mean has none.
  const isMeasured = (changes.mean ?? RECIPES[name].mean) !== 'imagenet';
  if (isMeasured && !('inputScale' in changes) && RECIPES[name].inputScale === null)
    changes.inputScale = COMMON.inputScale;
  return recipeFor(name, data?.classes ?? SHAPES.classes, changes);
}

/**
 * The settings of a new run: what was given, and the recipe for the rest.
 * @param start the model of `--from`
 * @param colourNoise along the axes of the training set, where the recipe wants some
 * @throws {ArgumentError} for options that do not go together
 */
export function newSettings(
  given: TrainOptions,
  folders: DataFolders | null,
  { classes, ...pictures }: Pick<Settings, 'trainPictures' | 'valPictures'> & { classes: number },
  start?: Pick<AlexNetConfig, 'preset' | 'dropout'>,
  colourNoise: ColourNoise | null = null,
): Settings {
  if (given.freeze !== undefined && start === undefined)
    throw new ArgumentError(
      '--freeze needs --from: layers that were never trained would stay as they were drawn',
    );
  const data = folders === null ? null : { classes, pictures: pictures.trainPictures };
  const { recipe, deviations } = resolveRecipe(given, data, start);
  const { preset, init, dropout, epochs, batch, optimizer, lr, momentum, weightDecay } = recipe;
  const { biasRate, biasDecay, schedule, crops, flips, mean, inputScale } = recipe;
  return {
    data: folders?.data ?? null,
    val: folders?.val ?? null,
    classes: given.classes ?? null,
    trainPictures: pictures.trainPictures,
    valPictures: pictures.valPictures,
    stats: given.stats === undefined ? null : resolve(given.stats),
    from: given.from === undefined ? null : resolve(given.from),
    freeze: given.freeze ?? [],
    recipe: given.recipe ?? null,
    deviations,
    preset,
    init,
    dropout,
    epochs,
    batch,
    optimizer,
    lr,
    momentum,
    weightDecay,
    biasRate,
    biasDecay,
    schedule,
    crops,
    flips,
    mean: start === undefined ? mean : null,
    inputScale: start === undefined ? inputScale : null,
    seed: given.seed ?? 0,
    colourNoise,
    threads: given.threads ?? null,
    device: devicesOf(given) ?? 'cpu',
    convolutions: withGiven(CONVOLUTION_DEFAULTS, given),
    strict: given.strict ?? false,
  };
}

/** The names that were given, with commas between. */
export function devicesOf({ device, devices }: TrainOptions): string | undefined {
  if (device !== undefined && devices !== undefined)
    throw new ArgumentError('--devices goes without --device: it names both');
  if (devices !== undefined && devices.split(',').length !== 2)
    throw new ArgumentError(expected('two, with a comma between,', '--devices', devices));
  if (device?.includes(','))
    throw new ArgumentError(expected('one, as --devices takes two,', '--device', device));
  return devices ?? device;
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

const FIXED = ['recipe', ...FIXED_BY_RECIPE, 'seed'] as const;

/** `weightDecay` → `--weight-decay`. */
function optionOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function unchangeable(name: string, saved: unknown, given: unknown): ArgumentError {
  return new ArgumentError(
    `${expected(typeof saved === 'object' ? JSON.stringify(saved ?? 'none') : String(saved), optionOf(name), given)}: it may not change on --resume`,
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
  const schedule = scheduleWanted(given, saved.schedule);
  for (const [name, wanted] of FIXED.map((name) => [name, { ...given, schedule }[name]] as const)) {
    const [was, is] = [saved[name], wanted].map((value) => JSON.stringify(value));
    if (is !== undefined && is !== was) throw unchangeable(name, saved[name], wanted);
  }
  if (given.colourNoise !== undefined && given.colourNoise !== (saved.colourNoise?.kind ?? 'none'))
    throw unchangeable('colourNoise', saved.colourNoise?.kind ?? null, given.colourNoise);
  for (const name of ['from', 'stats'] as const) {
    const path = given[name];
    if (path !== undefined && resolve(path) !== saved[name]) throw unchangeable(name, saved[name], path);
  }
  if (given.classes !== undefined && given.classes.join() !== saved.classes?.join())
    throw unchangeable('classes', saved.classes?.join() ?? null, given.classes.join());
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
  const device = devicesOf(given) ?? saved.device;
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
    strict: given.strict ?? saved.strict,
  };
  const changes = (['data', 'val', 'epochs', 'device', 'strict'] as const)
    .filter((name) => settings[name] !== saved[name])
    .map((name) => `${name}: ${settings[name]} instead of ${saved[name]}`);
  return { settings, changes };
}
