import { expectInRange, expectOneOf, expectPair, expectPositiveInteger, type Pair } from '../check.js';
import { expected, ShapeError } from '../errors.js';
import {
  conv2d,
  dropout,
  type LrnOptions,
  linear,
  lrn,
  type MaxPool2dOptions,
  maxPool2d,
  relu,
  reshape,
  scale,
  tanh,
} from '../ops/index.js';
import type { Tensor } from '../tensor.js';
import { defaultGenerators, type Generator } from './generator.js';
import { type Initializer, type ParameterOptions, parameter, torchDefault } from './init.js';
import { Module } from './module.js';

export interface LayerOptions extends ParameterOptions {
  /** Default true. */
  bias?: boolean;
  /** A ReLU fused into the layer. Default false. */
  relu?: boolean;
  /** Default: PyTorch's, uniform in ±1/√fanIn, for both. */
  weightInit?: Initializer;
  biasInit?: Initializer;
}

export interface Conv2dLayerOptions extends LayerOptions {
  kernelSize: Pair;
  stride?: Pair;
  padding?: Pair;
  dilation?: Pair;
  groups?: number;
}

/** {@link conv2d} with parameters: `weight` `[outChannels, R, S, inChannels / groups]` and `bias`. */
export class Conv2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly #options: Conv2dLayerOptions;

  constructor(inChannels: number, outChannels: number, options: Conv2dLayerOptions) {
    super();
    const [kernelH, kernelW] = expectPair('kernelSize', options.kernelSize, 1);
    const groups = expectPositiveInteger('groups', options.groups ?? 1);
    for (const [name, channels] of Object.entries({ inChannels, outChannels })) {
      if (expectPositiveInteger(name, channels) % groups !== 0)
        throw new ShapeError(expected(`multiple of ${groups} groups`, name, channels));
    }
    const inside = inChannels / groups;
    const fallback = torchDefault(inside * kernelH * kernelW);
    const shape = [outChannels, kernelH, kernelW, inside];
    this.#options = options;
    this.weight = parameter(shape, options.weightInit ?? fallback, options);
    this.bias =
      options.bias === false ? null : parameter([outChannels], options.biasInit ?? fallback, options);
  }

  override forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, { ...this.#options, bias: this.bias });
  }
}

/** {@link linear} with parameters: `weight` `[outFeatures, inFeatures]` and `bias`. */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly #relu: boolean;

  constructor(inFeatures: number, outFeatures: number, options: LayerOptions = {}) {
    super();
    const fallback = torchDefault(expectPositiveInteger('inFeatures', inFeatures));
    const shape = [expectPositiveInteger('outFeatures', outFeatures), inFeatures];
    this.#relu = options.relu ?? false;
    this.weight = parameter(shape, options.weightInit ?? fallback, options);
    this.bias =
      options.bias === false ? null : parameter([outFeatures], options.biasInit ?? fallback, options);
  }

  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, { bias: this.bias, relu: this.#relu });
  }
}

/** {@link lrn} */
export class LocalResponseNorm extends Module {
  readonly #options: LrnOptions;

  constructor(options: LrnOptions = {}) {
    super();
    this.#options = options;
  }

  override forward(x: Tensor): Tensor {
    return lrn(x, this.#options);
  }
}

/** {@link maxPool2d} */
export class MaxPool2d extends Module {
  readonly #options: MaxPool2dOptions;

  constructor(options: MaxPool2dOptions) {
    super();
    this.#options = options;
  }

  override forward(x: Tensor): Tensor {
    return maxPool2d(x, this.#options);
  }
}

export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return relu(x);
  }
}

export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return tanh(x);
  }
}

/** `[N, …]` → `[N, product of the rest]`, columns in the order of the memory (H, W, C). */
export class Flatten extends Module {
  override forward(x: Tensor): Tensor {
    const [batch = 1] = x.shape;
    return reshape(x, [batch, x.size / batch]);
  }
}

export type DropoutMode = 'inverted' | 'paper';

export interface DropoutLayerOptions {
  /** The probability that an element becomes 0. Default 0.5. */
  p?: number;
  /**
   * `inverted` (default) scales by 1/(1 − p) in training; `paper` (section 4.2) scales by 1 − p in evaluation, where
   * its outputs are those of `inverted` times that factor.
   */
  mode?: DropoutMode;
  /** Default: the one that `manualSeed` sets. */
  generator?: Generator;
}

/** Random zeros in training; each call draws anew. */
export class Dropout extends Module {
  readonly #p: number;
  readonly #mode: DropoutMode;
  readonly #generator: Generator;

  constructor(options: DropoutLayerOptions = {}) {
    super();
    this.#p = expectInRange('p', options.p ?? 0.5, 0, 1, true);
    this.#mode = expectOneOf('mode', options.mode ?? 'inverted', ['inverted', 'paper']);
    this.#generator = options.generator ?? defaultGenerators.dropout;
  }

  override forward(x: Tensor): Tensor {
    const [y = x] = this.forwardColumns([x]);
    return y;
  }

  /**
   * As forward of the columns side by side, each of which may be on a device of its own.
   * @param columns `[N, C]` each, C a multiple of 4
   */
  forwardColumns(columns: readonly Tensor[]): Tensor[] {
    const p = this.#p;
    if (p === 0) return [...columns];
    if (!this.training) return columns.map((x) => (this.#mode === 'paper' ? scale(x, 1 - p) : x));
    const factor = this.#mode === 'inverted' ? 1 / (1 - p) : 1;
    const widths = columns.map(({ shape }) => shape.at(-1) ?? 1);
    const place = this.#generator.take(sum(columns.map(({ size }) => size)));
    return columns.map((x, i) => {
      const options = { p, scale: factor, ...place };
      if (columns.length === 1) return dropout(x, options);
      const offset = place.offset + sum(widths.slice(0, i)) / 4;
      return dropout(x, { ...options, offset, width: widths[i] ?? 1, stride: sum(widths) });
    });
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
