import { cpuBackend } from './native.js';

// An addon that is missing is said at once, not at the first tensor.
cpuBackend();

export { backward, noGrad } from './autograd.js';
export type { Pair } from './check.js';
export { Cifar10, type Cifar10Options } from './data/cifar10.js';
export type { Colour, ColourAxes, ColourNoise } from './data/colour.js';
export type {
  Dataset,
  Sample,
  SkipOptions,
  SkippedFile,
  SkippedSample,
  TensorSample,
} from './data/dataset.js';
export type { DecodeOptions } from './data/decode.js';
export { ImageFolder, type ImageFolderOptions } from './data/folder.js';
export type { ListingOptions } from './data/listing.js';
export { type PictureStore, type Prepared, type PrepareOptions, prepare } from './data/prepared.js';
export type { ResizeKernel } from './data/resize.js';
export { Shapes, type ShapesOptions } from './data/shapes.js';
export { type Statistics, statisticsOf } from './data/statistics.js';
export { type ConvolutionOptions, Device, type DeviceLike } from './device.js';
export {
  AddonError,
  ArgumentError,
  CudaError,
  DataError,
  DeviceError,
  DisposedError,
  FileFormatError,
  FileWriteError,
  NodeCudnnError,
  NonFiniteError,
  OperationError,
  OutOfMemoryError,
  QueueFullError,
  ShapeError,
  TrainingError,
} from './errors.js';
export { AlexNet, type AlexNetConfig, type AlexNetOptions } from './models/alexnet.js';
export type { Crossing } from './models/crossings.js';
export type { Whole } from './models/parameters.js';
export type { Init, PresetName } from './models/presets.js';
export type { TorchPreset } from './models/torch_names.js';
export type { AdamParams, DType, MemoryStats, SgdParams, TypedArray } from './native.js';
export * from './nn/index.js';
export * from './ops/index.js';
export * from './optim/index.js';
export { type Disposable, keep, tidy } from './scope.js';
export {
  empty,
  full,
  type NestedNumbers,
  type RandomOptions,
  rand,
  randn,
  type Shape,
  Tensor,
  type TensorOptions,
  tensor,
  zeros,
} from './tensor.js';
export {
  Classifier,
  evaluateTogether,
  type Features,
  type ImageSource,
  loadModel,
  type Prediction,
} from './train/classifier.js';
export type { ClassMetrics, EvaluateOptions, Evaluation, Judgement, Metrics } from './train/evaluate.js';
export type { EndEvent, EpochEvent, SkipEvent, StepEvent, TrainEvent } from './train/events.js';
export { optimizerOf, scheduleOf } from './train/from_recipe.js';
export { ModelFile, saveModelFile } from './train/model_file.js';
export type { ModelInfo } from './train/model_info.js';
export type { Preprocessing } from './train/preprocessing.js';
export {
  type Augmentation,
  type MeanKind,
  type OptimizerName,
  RECIPES,
  type Recipe,
  type RecipeName,
  recipeFor,
  type ScheduleSettings,
} from './train/recipes.js';
export { loadStatistics, saveStatistics } from './train/statistics_file.js';
export { exportTorch, type Imported, type ImportOptions, importTorch } from './train/torch_files.js';
export { type Resumed, Trainer } from './train/trainer.js';
export type { TrainerOptions } from './train/trainer_options.js';
