import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildCudaCommand, cudaAddon } from './cuda.js';
import {
  AddonError,
  ArgumentError,
  CudaError,
  NonFiniteError,
  OperationError,
  OutOfMemoryError,
  QueueFullError,
  reasonOf,
} from './errors.js';

export type DType = 'float32' | 'int32' | 'uint8';
export type TypedArray = Float32Array | Int32Array | Uint8Array;

/** The order is that of `DType` in native/core/tensor.h. */
export const DTYPES: readonly DType[] = ['float32', 'int32', 'uint8'];

declare const handleBrand: unique symbol;
declare const savedBrand: unique symbol;
/** A tensor's memory on a device: a type-tagged external. */
export interface Handle {
  readonly [handleBrand]: true;
}
/** What a forward keeps for its backward; only the backend looks inside. */
export interface Saved {
  readonly [savedBrand]: true;
}

export interface MemoryStats {
  /** Bytes of all tensors and saved state. */
  readonly liveBytes: number;
  readonly liveBuffers: number;
  /** Bytes that operations compute in; kept from one to the next. */
  readonly workspaceBytes: number;
  /** Bytes that were freed and are kept for the next tensors. */
  readonly cachedBytes: number;
  /** The largest sum of the three so far. */
  readonly peakBytes: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
}

export interface Conv2dParams {
  strideH: number;
  strideW: number;
  padH: number;
  padW: number;
  dilationH: number;
  dilationW: number;
  groups: number;
  relu: boolean;
}
export interface LrnParams {
  size: number;
  alpha: number;
  beta: number;
  k: number;
  groups: number;
}
export interface MaxPool2dParams {
  kernelH: number;
  kernelW: number;
  strideH: number;
  strideW: number;
  padH: number;
  padW: number;
}
export interface RandomParams {
  a: number;
  b: number;
  seed: number;
  stream: number;
  offset: number;
}
export interface DropoutParams {
  p: number;
  scale: number;
  seed: number;
  stream: number;
  offset: number;
  width: number;
  stride: number;
}
export interface SgdParams {
  lr: number;
  momentum: number;
  weightDecay: number;
}
export interface AdamParams {
  lr: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  step: number;
}

/** What an operation took of its device's time, on the clock of `process.hrtime`. */
export interface Span {
  readonly op: string;
  /** That of `label`. */
  readonly label: string;
  /** Which implementation computed; empty where there is only one. */
  readonly implementation: string;
  readonly enqueuedNs: number;
  readonly startNs: number;
  readonly endNs: number;
  /** Of a copy from another device of the backend: that one's index, and how much. Otherwise -1 and 0. */
  readonly from: number;
  readonly bytes: number;
}

/**
 * A backend's addon. Operations take the handles of their inputs and outputs in the order of native/core/ops.h,
 * enqueue and return.
 */
export interface NativeBackend {
  initialize(makeError: (code: number, message: string, op: string) => Error): void;
  /** Ends all streams, for good. */
  stop(): void;
  describe(): Record<string, string>;
  empty(device: number, dtype: number, shape: readonly number[]): Handle;
  view(handle: Handle, shape: readonly number[]): Handle;
  release(handle: Handle | Saved): void;
  write(handle: Handle, offset: number, data: TypedArray, whole: boolean): void;
  /** Into that array, which is of the tensor's size. */
  read<T extends TypedArray>(handle: Handle, into: T): Promise<T>;
  transfer(source: Handle, target: Handle): void;
  /** Of tensors of one device: where one comes from an operation that failed, none is valid. */
  together(handles: readonly Handle[]): void;
  /** Of tensors of one device: rejects where one comes from an operation that failed. */
  check(handles: readonly Handle[]): Promise<void>;
  synchronize(device: number): Promise<void>;
  memory(device: number): MemoryStats;
  emptyCache(device: number): void;
  /** For tests: the `count`-th allocation of a tensor, or of workspace, from now on fails; 0: none does. */
  failAllocation(device: number, workspace: boolean, count: number): void;
  queued(device: number): number;
  setOption(device: number, name: string, value: number): void;
  trace(device: number, on: boolean): void;
  /** What spans of operations that are enqueued from now on carry. */
  label(device: number, text: string): void;
  /** What was traced before the last synchronize, once. */
  takeSpans(device: number): Span[];
  /** What autotune chose: implementations by what they serve. */
  choices(device: number): Record<string, string>;
  choose(device: number, choices: Readonly<Record<string, string>>): void;

  conv2d(params: Conv2dParams, x: Handle, w: Handle, bias: Handle | null, y: Handle): void;
  conv2dBackwardData(params: Conv2dParams, dy: Handle, w: Handle, dx: Handle): void;
  conv2dBackwardFilter(params: Conv2dParams, x: Handle, dy: Handle, dw: Handle): void;
  biasReluBackward(y: Handle | null, dy: Handle, dz: Handle | null, dbias: Handle | null): void;
  lrnSave(params: LrnParams, x: Handle, y: Handle): Saved;
  lrn(params: LrnParams, x: Handle, y: Handle, saved: Saved | null): void;
  lrnBackward(params: LrnParams, saved: Saved, dy: Handle, dx: Handle): void;
  maxPool2dSave(params: MaxPool2dParams, x: Handle, y: Handle): Saved;
  maxPool2d(params: MaxPool2dParams, x: Handle, y: Handle, saved: Saved | null): void;
  maxPool2dBackward(params: MaxPool2dParams, saved: Saved, dy: Handle, dx: Handle): void;
  linear(params: { relu: boolean }, x: Handle, w: Handle, bias: Handle | null, y: Handle): void;
  linearBackwardData(dy: Handle, w: Handle, dx: Handle): void;
  linearBackwardWeight(x: Handle, dy: Handle, dw: Handle): void;
  matmul(params: { transposeA: boolean; transposeB: boolean }, a: Handle, b: Handle, y: Handle): void;
  relu(x: Handle, y: Handle): void;
  reluBackward(y: Handle, dy: Handle, dx: Handle): void;
  tanh(x: Handle, y: Handle): void;
  tanhBackward(y: Handle, dy: Handle, dx: Handle): void;
  add(a: Handle, b: Handle, y: Handle): void;
  cat(a: Handle, b: Handle, y: Handle): void;
  catBackward(dy: Handle, da: Handle | null, db: Handle | null): void;
  scale(params: { factor: number }, x: Handle, y: Handle): void;
  fill(params: { value: number }, y: Handle): void;
  dropout(params: DropoutParams, x: Handle, y: Handle): void;
  randomUniform(params: RandomParams, y: Handle): void;
  randomNormal(params: RandomParams, y: Handle): void;
  softmax(x: Handle, y: Handle): void;
  softmaxBackward(y: Handle, dy: Handle, dx: Handle): void;
  softmaxCrossEntropy(logits: Handle, labels: Handle, loss: Handle, probabilities: Handle): void;
  softmaxCrossEntropyBackward(probabilities: Handle, labels: Handle, dloss: Handle, dlogits: Handle): void;
  topKHits(params: { k: number }, logits: Handle, labels: Handle, hits: Handle): void;
  sgdStep(params: SgdParams, g: Handle, w: Handle, v: Handle): void;
  adamStep(params: AdamParams, g: Handle, w: Handle, m: Handle, v: Handle): void;
  prepareImages(
    params: { cropH: number; cropW: number },
    images: Handle,
    crops: Handle,
    mean: Handle,
    scale: Handle,
    shift: Handle | null,
    y: Handle,
  ): void;
}

/** For `initialize`. The order is that of `ErrorCode` in native/core/error.h. */
export function makeError(code: number, message: string, op: string): Error {
  const cause = op === '' ? message : `${op} failed: ${message}`;
  switch (code) {
    case 1:
      return new OutOfMemoryError(cause, op);
    case 2:
      return new QueueFullError(message);
    case 3:
      return op === '' ? new ArgumentError(message) : new OperationError(cause, op);
    case 4:
      return new NonFiniteError(cause, op);
    case 5:
      return new CudaError(cause, op);
    default:
      return new OperationError(cause, op);
  }
}

const root = new URL('../', import.meta.url);
/** Right under every package manager, whatever it thinks of install scripts. */
const buildCommand = `node "${fileURLToPath(new URL('native/install.mjs', root))}"`;
let cpu: NativeBackend | undefined;
let cuda: NativeBackend | undefined;

/**
 * The CPU backend.
 * @throws {AddonError} where the addon was not built or does not load, with what to do.
 */
export function cpuBackend(): NativeBackend {
  if (cpu !== undefined) return cpu;
  const file = fileURLToPath(new URL('build/Release/node_cudnn.node', root));
  if (!existsSync(file)) {
    throw new AddonError(`addon not built: install scripts were skipped. This builds it: ${buildCommand}`);
  }
  cpu = load(file, 'addon', `another oneDNN. This builds it anew: ${buildCommand}`);
  return cpu;
}

/**
 * The CUDA backend, for a machine of which `cudaReport` says that it works: a broken one may end the process.
 * @throws {AddonError} where it does not load all the same.
 */
export function cudaBackend(): NativeBackend {
  cuda ??= load(cudaAddon, 'CUDA addon', `another CUDA. This builds it anew: ${buildCudaCommand}`);
  return cuda;
}

function load(file: string, what: string, advice: string): NativeBackend {
  try {
    // Not by require, which would hand two copies of this package one addon, and both the errors of the second.
    const module = { exports: {} as NativeBackend };
    process.dlopen(module, file);
    module.exports.initialize(makeError);
    // exit() destroys what libraries hold, whatever threads still use of it.
    process.once('exit', () => module.exports.stop());
    return module.exports;
  } catch (cause) {
    throw new AddonError(
      `${what} does not load: ${reasonOf(cause)}. It may have been built for another machine or ${advice}`,
      { cause },
    );
  }
}
