import { cpuBackend } from './native.js';

// An addon that is missing is said at once, not at the first tensor.
cpuBackend();

export { backward, noGrad } from './autograd.js';
export type { Pair } from './check.js';
export type { Dataset, Sample, SkipOptions, SkippedFile, SkippedSample } from './data/dataset.js';
export { ImageFolder } from './data/folder.js';
export { Shapes } from './data/shapes.js';
export { Device, type DeviceLike } from './device.js';
export * from './errors.js';
export { AlexNet } from './models/alexnet.js';
export type { DType, MemoryStats, TypedArray } from './native.js';
export * from './nn/index.js';
export * from './ops/index.js';
export * from './optim/index.js';
export { keep, tidy } from './scope.js';
export { empty, full, rand, randn, type Shape, Tensor, type TensorOptions, tensor, zeros } from './tensor.js';
export { Classifier, loadModel, type Prediction } from './train/classifier.js';
export type { Evaluation, Metrics } from './train/evaluate.js';
export type { EndEvent, EpochEvent, SkipEvent, StepEvent, TrainEvent } from './train/events.js';
export type { Preprocessing } from './train/preprocessing.js';
export { Trainer, type TrainerOptions } from './train/trainer.js';
