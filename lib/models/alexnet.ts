import { expectInRange, expectInteger, expectOneOf, expectPositiveInteger } from '../check.js';
import { Device, type DeviceLike } from '../device.js';
import { expected, ShapeError } from '../errors.js';
import {
  Conv2d,
  Dropout,
  Flatten,
  Generator,
  he,
  type Initializer,
  Linear,
  LocalResponseNorm,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
  torchDefault,
} from '../nn/index.js';
import { expectTensors } from '../ops/check.js';
import { STREAMS } from '../random.js';
import type { Tensor } from '../tensor.js';
import { INITS, type Init, type Layer, PRESETS, type Preset, type PresetName } from './presets.js';
import { summarize } from './summary.js';

export interface AlexNetOptions {
  /** How many classes the last layer tells apart. */
  classes: number;
  /** Default `paper`. */
  preset?: PresetName;
  /** How parameters start. Default: as the preset says. */
  init?: Init;
  /** The probability of dropout in both hidden fully connected layers; 0 for none. Default 0.5. */
  dropout?: number;
  /** Of initialisation and dropout. Default 0. */
  seed?: number;
  /** Default `cpu`. */
  device?: DeviceLike;
}

/** What a model file needs to build the model again. */
export interface AlexNetConfig {
  classes: number;
  preset: PresetName;
  init: Init;
  dropout: number;
}

/**
 * The network of "ImageNet Classification with Deep Convolutional Neural Networks" (Krizhevsky, Sutskever and Hinton,
 * 2012) in one of its readings, see {@link PRESETS}: `[N, 227, 227, 3]` → logits `[N, classes]`.
 */
export class AlexNet extends Module {
  readonly config: AlexNetConfig;
  readonly device: Device;
  /** Pixels on each side of the input. */
  readonly inputSize: number;
  /** Pixels on each side of the crop of a picture, which lies at the top left of the input; the rest is 0. */
  readonly cropSize: number;
  /** Draws the numbers of dropout. */
  readonly generator: Generator;
  readonly #preset: Preset;
  readonly #layers: Sequential;

  constructor(options: AlexNetOptions) {
    super();
    const classes = expectPositiveInteger('classes', options.classes);
    const preset = expectOneOf('preset', options.preset ?? 'paper', Object.keys(PRESETS) as PresetName[]);
    const init = expectOneOf('init', options.init ?? PRESETS[preset].init, INITS);
    const dropout = expectInRange('dropout', options.dropout ?? 0.5, 0, 1, true);
    const seed = expectInteger('seed', options.seed ?? 0, 0);
    this.config = { classes, preset, init, dropout };
    this.device = Device.get(options.device);
    this.#preset = PRESETS[preset];
    this.inputSize = this.#preset.inputSize;
    this.cropSize = this.#preset.cropSize;
    this.generator = new Generator(seed, STREAMS.dropout);
    this.#layers = this.#build(new Generator(seed, STREAMS.init));
  }

  /** The layers, by name. */
  override members(): Iterable<readonly [string, Module]> {
    return this.#layers.members();
  }

  /**
   * @param x `[N, inputSize, inputSize, 3]`
   * @returns logits `[N, classes]`
   */
  override forward(x: Tensor): Tensor {
    this.#expectInput(x);
    return this.#layers.forward(x);
  }

  /**
   * What the last hidden layer, fc7, makes of pictures: pictures whose features are near each other show the like (section
   * 6.1 of the paper).
   * @param x `[N, inputSize, inputSize, 3]`
   * @returns `[N, 4096]`, none of them negative
   */
  features(x: Tensor): Tensor {
    this.#expectInput(x);
    return this.#layers.forwardTo('fc7', x);
  }

  #expectInput(x: Tensor): void {
    expectTensors({}, { x });
    const { inputSize } = this;
    const [, height, width, channels] = x.shape;
    if (x.shape.length !== 4 || height !== inputSize || width !== inputSize || channels !== 3) {
      throw new ShapeError(expected(`shape [N, ${inputSize}, ${inputSize}, 3]`, 'x', x.shape));
    }
  }

  get parameterCount(): number {
    let count = 0;
    for (const parameter of this.parameters()) count += parameter.size;
    return count;
  }

  /** Its filters `[K, 11, 11, 3]`, and how many columns share them, an equal part each. */
  get firstConvolution(): { weight: Tensor; columns: number } {
    const [first] = this.namedParameters();
    if (first === undefined) throw new ShapeError('Expected parameters for the model but received none');
    const norm = this.#preset.layers.find((layer) => layer.kind === 'lrn');
    return { weight: first[1], columns: norm?.groups ?? 1 };
  }

  /** A table of the layers: output shape and parameters of each. */
  summary(): string {
    return summarize(this.config, this.#preset, this.parameterCount);
  }

  #build(generator: Generator): Sequential {
    const { classes, dropout } = this.config;
    const layers: Record<string, Module> = {};
    let channels = 3;
    let features = 0;
    for (const layer of this.#preset.layers) {
      const { name } = layer;
      switch (layer.kind) {
        case 'conv': {
          const { filters, kernelSize, stride, padding, groups, relu } = layer;
          const inits = this.#initializers(layer, (channels / groups) * kernelSize ** 2);
          const common = { device: this.device, generator, relu, ...inits };
          layers[name] = new Conv2d(channels, filters, { kernelSize, stride, padding, groups, ...common });
          channels = filters;
          break;
        }
        case 'lrn':
          layers[name] = new LocalResponseNorm(layer);
          break;
        case 'pool':
          layers[name] = new MaxPool2d(layer);
          break;
        case 'relu':
          layers[name] = new ReLU();
          break;
        case 'flatten':
          layers[name] = new Flatten();
          features = channels * layer.size ** 2;
          break;
        case 'dropout':
          layers[name] = new Dropout({ p: dropout, mode: layer.mode, generator: this.generator });
          break;
        case 'linear': {
          const outputs = layer.outputs ?? classes;
          const inits = this.#initializers(layer, features);
          layers[name] = new Linear(features, outputs, {
            device: this.device,
            generator,
            relu: layer.relu,
            ...inits,
          });
          features = outputs;
          break;
        }
      }
    }
    return new Sequential(layers);
  }

  #initializers(
    layer: Extract<Layer, { kind: 'conv' | 'linear' }>,
    fanIn: number,
  ): { weightInit: Initializer; biasInit: Initializer } {
    const small: Initializer = { kind: 'normal', std: 0.01 };
    const constant = (value: number): Initializer => ({ kind: 'constant', value });
    switch (this.config.init) {
      case 'paper':
        return { weightInit: small, biasInit: constant(layer.paperBias) };
      case 'krizhevsky2012': {
        const std = layer.kind === 'conv' ? layer.codeStd : 0.01;
        return { weightInit: { kind: 'normal', std }, biasInit: constant(layer.paperBias) };
      }
      case 'dansuh17':
        if (layer.kind === 'linear') break;
        return { weightInit: small, biasInit: constant(layer.paperBias) };
      case 'he': {
        const isLast = layer.kind === 'linear' && layer.outputs === null;
        return { weightInit: isLast ? small : he(fanIn), biasInit: constant(0) };
      }
      case 'pytorch':
        break;
    }
    return { weightInit: torchDefault(fanIn), biasInit: torchDefault(fanIn) };
  }
}
