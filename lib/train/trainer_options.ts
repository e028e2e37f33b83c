import { expectObject } from '../check.js';
import { type ColourNoise, expectColourNoise } from '../data/colour.js';
import { type Dataset, expectClasses } from '../data/dataset.js';
import { ArgumentError, expected, reasonOf } from '../errors.js';
import { AlexNet } from '../models/alexnet.js';
import type { Optimizer } from '../optim/optimizer.js';
import type { Schedule } from '../optim/schedule.js';
import type { Judgement } from './evaluate.js';
import type { TrainEvent } from './events.js';
import type { Preprocessing } from './preprocessing.js';
import type { Augmentation } from './recipes.js';

export interface TrainerOptions {
  model: AlexNet;
  optimizer: Optimizer;
  /** Default: the optimizer's own rate throughout. */
  schedule?: Schedule;
  train: Dataset;
  validation?: Dataset;
  /** Pictures a step. Default 128. */
  batchSize?: number;
  /** Of shuffling, crops and mirroring. Default 0. */
  seed?: number;
  /** How pictures become inputs. Default: crops as the model takes, minus the training set's mean colour, times 1/60. */
  preprocessing?: Preprocessing;
  /** Where `preprocessing` is left to the default: what it multiplies with. Default 1/60. */
  inputScale?: number;
  /** Default: random crops, half of them mirrored. */
  augmentation?: Augmentation;
  /** Colours that are added to training pictures, as section 4.1 of the paper has it. Default: none. */
  colourNoise?: ColourNoise | undefined;
  /** Folder of the checkpoints `last.safetensors` and `best.safetensors`; made if missing. Default: none are written. */
  out?: string;
  /** Anything JSON that should be found again in the model files, such as where the data came from. */
  notes?: Readonly<Record<string, unknown>>;
  /** Ends the training at the first picture that cannot be read. Default false: such pictures are left out, and told. */
  strict?: boolean;
  /** Called in order; a `step` event as soon as its loss is known. */
  onEvent?: (event: TrainEvent) => void;
  /** Called for each validation picture that can be read, in order, before the `epoch` event. */
  onJudgement?: (judgement: Judgement) => void;
}

/**
 * The options, with a copy of their notes.
 * @throws {ArgumentError} where they do not go together
 */
export function checkOptions(options: TrainerOptions): TrainerOptions {
  const { model, optimizer, train, validation, colourNoise, notes } = options;
  if (!(model instanceof AlexNet)) throw new ArgumentError(expected('AlexNet', 'model', model));
  const parameters = new Set(model.parameters());
  for (const parameter of optimizer.parameters()) {
    if (parameters.has(parameter)) continue;
    throw new ArgumentError(`Expected parameters of the model for optimizer but received ${parameter}`);
  }
  if (train.classes.length !== model.config.classes) {
    const what = `${model.config.classes} classes, as the model has,`;
    throw new ArgumentError(expected(what, 'train data', train.classes.length));
  }
  if (colourNoise !== undefined) expectColourNoise('colourNoise', colourNoise);
  if (validation !== undefined) expectClasses('validation data', validation, train.classes);
  return notes === undefined ? options : { ...options, notes: copyOfJson(notes) };
}

/** With the other metadata they must stay under what a model file may have. */
const MAX_NOTES_LENGTH = 2 ** 20;

function copyOfJson(notes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  let text: string;
  try {
    text = JSON.stringify(expectObject('notes', notes));
  } catch (cause) {
    throw new ArgumentError(`Expected what JSON can say for notes but received ${reasonOf(cause)}`, {
      cause,
    });
  }
  if (text.length > MAX_NOTES_LENGTH) {
    throw new ArgumentError(expected(`at most ${MAX_NOTES_LENGTH} characters of JSON`, 'notes', text.length));
  }
  return JSON.parse(text);
}
