import { expectOneOf } from '../check.js';
import type { COLOUR_NOISES } from '../data/colour.js';
import type { Init, PresetName } from '../models/presets.js';

export const OPTIMIZERS = ['adam', 'sgd'] as const;
/** `sgd` by the paper's rule, see {@link SGD}. */
export type OptimizerName = (typeof OPTIMIZERS)[number];

/** What becomes of the rate. */
export type ScheduleSettings =
  | { kind: 'constant' }
  /** Up in at most so many steps, and no more than a tenth of all, then down to that fraction at the last step. */
  | { kind: 'linear'; warmupSteps: number; finalFraction: number }
  /** Divided by 10 so many times, each time that the validation error did not improve for more than `patience` epochs. */
  | { kind: 'plateau'; patience: number; times: number }
  /** Divided by 10 at each of these epochs, of which the first is 0. */
  | { kind: 'milestones'; epochs: readonly number[] }
  /** Divided by 10 after each so many epochs. */
  | { kind: 'every'; epochs: number };

export const CROPS = ['random', 'centre'] as const;
/** Where crops of training pictures lie, and whether half of them are mirrored. */
export interface Augmentation {
  crops: (typeof CROPS)[number];
  flips: boolean;
}

export const MEANS = ['image', 'colour', 'imagenet'] as const;
/** What is subtracted: the mean image or colour of the training set, or the mean colour of ImageNet as torchvision has it. */
export type MeanKind = (typeof MEANS)[number];

/** How a network is trained. */
export interface Recipe extends Augmentation {
  preset: PresetName;
  init: Init;
  dropout: number;
  epochs: number;
  /** Pictures a step; the last of an epoch that do not make a batch are left out, others each time. */
  batch: number;
  optimizer: OptimizerName;
  lr: number;
  /** Of SGD. */
  momentum: number;
  weightDecay: number;
  /** The rate of biases is so many times that of weights. */
  biasRate: number;
  /** Whether biases decay too. */
  biasDecay: boolean;
  schedule: ScheduleSettings;
  colourNoise: (typeof COLOUR_NOISES)[number] | null;
  mean: MeanKind;
  /** What pixels of 0…255 less the mean are multiplied with; null with the mean `imagenet`, for its deviations. */
  inputScale: number | null;
}

export const RECIPES = {
  /**
   * Section 5 of the paper, and 2 and 4 for the pictures: /10 three times, whenever the validation error stops improving,
   * "roughly 90 cycles". For how long it may not improve is left to the eye there; 5 epochs here.
   */
  paper: {
    preset: 'paper',
    init: 'paper',
    dropout: 0.5,
    epochs: 90,
    batch: 128,
    optimizer: 'sgd',
    lr: 0.01,
    momentum: 0.9,
    weightDecay: 5e-4,
    biasRate: 1,
    biasDecay: true,
    schedule: { kind: 'plateau', patience: 5, times: 3 },
    crops: 'random',
    flips: true,
    colourNoise: 'paper',
    mean: 'image',
    inputScale: 1,
  },
  /**
   * As the code was run in 2012: github.com/computerhistory/AlexNet-Source-Code, `layers/layer-params-145.cfg` and the log
   * at its end, and `convdata_jpeg.py`.
   */
  krizhevsky2012: {
    preset: 'krizhevsky2012',
    init: 'krizhevsky2012',
    dropout: 0.5,
    epochs: 90,
    batch: 128,
    optimizer: 'sgd',
    lr: 0.01,
    momentum: 0.9,
    weightDecay: 5e-4,
    biasRate: 2,
    biasDecay: false,
    schedule: { kind: 'milestones', epochs: [25, 51, 79] },
    crops: 'random',
    flips: true,
    colourNoise: 'krizhevsky2012',
    mean: 'image',
    inputScale: 1,
  },
  /** github.com/dansuh17/alexnet-pytorch, `model.py`. */
  dansuh17: {
    preset: 'dansuh17',
    init: 'dansuh17',
    dropout: 0.5,
    epochs: 90,
    batch: 128,
    optimizer: 'adam',
    lr: 1e-4,
    momentum: 0,
    weightDecay: 0,
    biasRate: 1,
    biasDecay: true,
    schedule: { kind: 'every', epochs: 30 },
    crops: 'centre',
    flips: false,
    colourNoise: null,
    mean: 'imagenet',
    inputScale: null,
  },
} as const satisfies Record<string, Recipe>;

export type RecipeName = keyof typeof RECIPES;
export const RECIPE_NAMES = Object.keys(RECIPES) as RecipeName[];

/** In what our network of a preset differs from its source. */
const PRESET_DEVIATIONS: Partial<Record<PresetName, string>> = {
  krizhevsky2012: 'cnorm2, a normalisation within each map after norm2, is left out, as in the paper',
};

/** A line each, for people. */
export function presetDeviations(preset: PresetName): string[] {
  const deviation = PRESET_DEVIATIONS[preset];
  return deviation === undefined ? [] : [deviation];
}

/** In what our training by a recipe differs from its source, whatever the data. */
const DEVIATIONS: Record<RecipeName, readonly string[]> = {
  paper: [],
  krizhevsky2012: [
    'crop and mirroring are drawn for each picture, not for 32 together',
    "to the end, colours are added and conv1 learns, and the biases' rate falls with that of the weights",
  ],
  dansuh17: ['the shorter side of pictures becomes 256 pixels before their centre is cut out'],
};

/** Of ImageNet, for which the paper's recipe was made. */
const PAPER_CLASSES = 1000;

/**
 * What of the paper's recipe has to change for fewer classes than ImageNet's 1000, or it stays at the loss of guessing: with
 * biases of 1 all pictures have nearly the same features, so that the numbers of each class in a batch move the logits by
 * some rate · 4096 / √(batch · classes) a step, and ten times that with momentum: little among 1000 classes, too much
 * among ten. He et al.'s initialisation has biases of 0 and keeps the variance of inputs that have one of about 1.
 */
export function changesForFewClasses(classes: number): Partial<Recipe> {
  return classes < PAPER_CLASSES ? { init: 'he', inputScale: 1 / 60 } : {};
}

/**
 * A recipe for data of so many classes, and in what it differs from its source: a line each, for people.
 * @param own members that are wanted otherwise
 * @throws {ArgumentError} for a name that is none
 */
export function recipeFor(
  name: RecipeName,
  classes: number,
  own: Partial<Recipe> = {},
): { recipe: Recipe; deviations: string[] } {
  const original: Recipe = RECIPES[expectOneOf('recipe', name, RECIPE_NAMES)];
  const changes = name === 'paper' ? changesForFewClasses(classes) : {};
  const recipe = { ...original, ...changes, ...own };
  const told = (keys: readonly string[]) =>
    (keys as readonly (keyof Recipe)[])
      .map((key) => [key, written(recipe[key]), written(original[key])])
      .filter(([, now, before]) => now !== before)
      .map(([key, now, before]) => `${key} ${now} instead of ${before}`)
      .join(', ');
  const forClasses = told(Object.keys(changes).filter((key) => !(key in own)));
  const wanted = told(Object.keys(own));
  return {
    recipe,
    deviations: [
      ...presetDeviations(recipe.preset),
      ...DEVIATIONS[name],
      ...(forClasses === '' ? [] : [`for ${classes} classes, not 1000: ${forClasses}`]),
      ...(wanted === '' ? [] : [`as wanted: ${wanted}`]),
    ],
  };
}

function written(value: Recipe[keyof Recipe]): string {
  if (value === null) return 'none';
  if (typeof value === 'object') {
    const { kind, ...members } = value;
    return [kind, ...Object.values(members)].join(' ');
  }
  return String(typeof value === 'number' ? Number(value.toPrecision(4)) : value);
}
