import { LAST_LAYER, PRESETS, type PresetName } from '../models/presets.js';

export const PRESET_NAMES = Object.keys(PRESETS) as PresetName[];
/** The layers with parameters, which all presets name alike, but the last: it has to learn. */
export const FREEZABLE: readonly string[] = PRESETS.paper.layers
  .filter(({ kind, name }) => (kind === 'conv' || kind === 'linear') && name !== LAST_LAYER)
  .map(({ name }) => name);

/** The most that options and a checkpoint's settings may ask for: a checkpoint is not to be trusted. */
export const LIMITS = { epochs: 2 ** 21, batch: 2 ** 16, drawnPictures: 2 ** 20, threads: 1024 } as const;

/** What an optimizer takes that was chosen in place of the recipe's. */
export const DECAYS = { adam: 0, sgd: 5e-4 } as const;

/**
 * What both share that are taken without `--recipe`. He initialisation with a small last layer, inputs of unit variance and a rate that warms up
 * and then falls in a line learn within minutes; the paper's small Gaussians need its weeks, and SGD at its rate dies.
 */
export const COMMON = {
  preset: 'paper',
  init: 'he',
  optimizer: 'adam',
  /** Of SGD: the paper's. */
  momentum: 0.9,
  weightDecay: DECAYS.adam,
  biasRate: 1,
  biasDecay: true,
  schedule: { kind: 'linear', warmupSteps: 20, finalFraction: 0.02 },
  crops: 'random',
  flips: true,
  colourNoise: null,
  mean: 'colour',
  inputScale: 1 / 60,
} as const;

/** Without `--data`: the embedded, drawn shapes. */
export const SHAPES = {
  ...COMMON,
  /** Of the pictures, not of the training: `--seed` leaves the data as they are. */
  dataSeed: 0,
  classes: 10,
  trainPictures: 2400,
  valPictures: 300,
  batch: 32,
  epochs: 3,
  lr: { adam: 3e-4, sgd: 1e-3 },
  dropout: 0,
  /** Known, since they are drawn. */
  resize: 256,
  meanColour: [127, 127, 127],
  scale: [1 / 60, 1 / 60, 1 / 60],
  out: 'runs/shapes',
} as const;

/** With `--data`. Inputs are as `Trainer` makes them: minus the training set's mean colour, times 1/60. */
export const PHOTOS = {
  ...COMMON,
  batch: 128,
  /** Sets too small for so many steps of `batch` an epoch get the power of two that gives as many, or `leastBatch`. */
  stepsPerEpoch: 16,
  leastBatch: 16,
  epochs: 10,
  lr: { adam: 1e-4, sgd: 1e-3 },
  /** The sets that people try first are small: within ten epochs dropout only slows them. */
  dropout: 0,
  out: 'runs/photos',
} as const;

export function photosBatch(pictures: number): number {
  let batch: number = PHOTOS.batch;
  while (batch > PHOTOS.leastBatch && pictures / batch < PHOTOS.stepsPerEpoch) batch /= 2;
  return batch;
}
