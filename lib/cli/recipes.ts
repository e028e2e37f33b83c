import { LAST_LAYER, PRESETS, type PresetName } from '../models/presets.js';

export type OptimizerName = 'adam' | 'sgd';

export const PRESET_NAMES = Object.keys(PRESETS) as PresetName[];
/** The layers with parameters, which all presets name alike, but the last: it has to learn. */
export const FREEZABLE: readonly string[] = PRESETS.paper.layers
  .filter(({ kind, name }) => (kind === 'conv' || kind === 'linear') && name !== LAST_LAYER)
  .map(({ name }) => name);
export const OPTIMIZERS: readonly OptimizerName[] = ['adam', 'sgd'];

/**
 * What both recipes share. He initialisation with a small last layer, inputs of unit variance and a rate that warms up
 * and then falls in a line learn within minutes; the paper's small Gaussians need its weeks, and SGD at its rate dies.
 */
const COMMON = {
  preset: 'paper',
  init: 'he',
  optimizer: 'adam',
  /** Of SGD: the paper's. */
  momentum: 0.9,
  weightDecay: 5e-4,
  /** At most so many, and no more than a tenth of all. */
  warmupSteps: 20,
  /** What is left of the rate at the last step. */
  finalFraction: 0.02,
  seed: 0,
} as const;

/** Without `--data`: the embedded, drawn shapes. */
export const SHAPES = {
  ...COMMON,
  /** Of the pictures, not of the training: `--seed` leaves the data as they are. */
  dataSeed: 0,
  trainPictures: 2400,
  valPictures: 300,
  batch: 32,
  epochs: 3,
  lr: { adam: 3e-4, sgd: 1e-3 },
  dropout: 0,
  preprocessing: { resize: 256, crop: 227, mean: [127, 127, 127], scale: [1 / 60, 1 / 60, 1 / 60] },
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
