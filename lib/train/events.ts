import type { SkippedSample } from '../data/dataset.js';
import type { Metrics } from './evaluate.js';

/** One of these for every step, in order. A step of which no picture can be read has none: its number is passed over. */
export interface StepEvent {
  event: 'step';
  /** Counted from 1, like `step`, which goes on over the epochs. */
  epoch: number;
  step: number;
  stepsPerEpoch: number;
  /** How many pictures the step learnt from: fewer than a batch where some were left out. */
  images: number;
  loss: number;
  /** Of the step's pictures, with augmentation and dropout. */
  top1: number;
  lr: number;
  imagesPerSecond: number;
  /** How long the device had nothing to do, because the step's pictures were not decoded yet. */
  waitingMs: number;
}

/** A picture that cannot be read and is left out: told once, when its turn comes for the first time. */
export interface SkipEvent extends SkippedSample {
  event: 'skip';
  data: 'train' | 'validation';
}

/** After each epoch, when its checkpoint is on the disk. Fractions are 0…1. */
export interface EpochEvent {
  event: 'epoch';
  epoch: number;
  step: number;
  /** Means over the epoch's steps, with augmentation and dropout. */
  train: { loss: number; top1: number };
  /** Of centre crops; null without validation data. */
  val: Metrics | null;
  /** Whether `best.safetensors` is of this epoch: the lowest validation loss so far. */
  best: boolean;
  /** So many files were left out so far, of training and validation data, since the program began: each counts once. */
  skipped: number;
}

/** The figures are those of the last complete epoch. */
export interface EndEvent {
  event: 'end';
  /** False where training was stopped before all its epochs; `step` may be in the middle of the epoch after `epoch`. */
  complete: boolean;
  epoch: number;
  step: number;
  train: { loss: number; top1: number } | null;
  val: Metrics | null;
  /** The newest, from which training can go on. */
  checkpoint: string | null;
  /** As in `epoch`. */
  skipped: number;
}

export type TrainEvent = StepEvent | SkipEvent | EpochEvent | EndEvent;
