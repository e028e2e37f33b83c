import { expectInRange, expectInteger, expectOneOf, expectPositiveInteger } from '../check.js';
import type { Device, DeviceLike } from '../device.js';
import { ArgumentError, DeviceError, expected, ShapeError } from '../errors.js';
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
  type ParameterOptions,
  ReLU,
  torchDefault,
} from '../nn/index.js';
import { expectTensors } from '../ops/check.js';
import { to } from '../ops/index.js';
import { STREAMS } from '../random.js';
import { tidy } from '../scope.js';
import { Tensor } from '../tensor.js';
import { Columns, type PlacedLayer } from './columns.js';
import { type Crossing, crossingsOf } from './crossings.js';
import { type Whole, wholes } from './parameters.js';
import { devicesOf, placed, share } from './placement.js';
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
  /**
   * Instead of `device`, for a preset of two columns: a device for each, as the paper has it (section 3.5). Both are CPU
   * devices or both are CUDA devices. The network computes the same, and model files are the same. Each of two CPU devices
   * takes all cores for an operation unless `device.setThreads` says otherwise; the command line gives each half of them.
   */
  devices?: readonly DeviceLike[];
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
  /** Where logits are computed: the first of {@link devices}. */
  readonly device: Device;
  /** One, or one for each column. */
  readonly devices: readonly [Device, ...Device[]];
  /** Pixels on each side of the input. */
  readonly inputSize: number;
  /** Pixels on each side of the crop of a picture, which lies at the top left of the input; the rest is 0. */
  readonly cropSize: number;
  /** Draws the numbers of dropout. */
  readonly generator: Generator;
  readonly #preset: Preset;
  readonly #layers: Columns;

  constructor(options: AlexNetOptions) {
    super();
    const classes = expectPositiveInteger('classes', options.classes);
    const preset = expectOneOf('preset', options.preset ?? 'paper', Object.keys(PRESETS) as PresetName[]);
    const init = expectOneOf('init', options.init ?? PRESETS[preset].init, INITS);
    const dropout = expectInRange('dropout', options.dropout ?? 0.5, 0, 1, true);
    const seed = expectInteger('seed', options.seed ?? 0, 0);
    this.config = { classes, preset, init, dropout };
    this.devices = devicesOf(options, preset, PRESETS[preset]);
    this.device = this.devices[0];
    if (classes < this.devices.length)
      throw new ArgumentError(expected('at least a class for each device', 'classes', classes));
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
   * @param x `[N, inputSize, inputSize, 3]`. Of a network on two devices one on each; a single tensor is copied
   * @returns logits `[N, classes]`, on the first device
   */
  override forward(x: Tensor | readonly Tensor[]): Tensor {
    return this.#run(x);
  }

  /**
   * What the last hidden layer, fc7, makes of pictures: pictures whose features are near each other show the like (section
   * 6.1 of the paper).
   * @param x as `forward` takes it
   * @returns `[N, 4096]`, none of them negative
   */
  features(x: Tensor | readonly Tensor[]): Tensor {
    return this.#run(x, 'fc7');
  }

  #run(x: Tensor | readonly Tensor[], last?: string): Tensor {
    return tidy(() => {
      const inputs: readonly Tensor[] = Array.isArray(x)
        ? x
        : this.devices.map((device, i) => (i === 0 ? (x as Tensor) : to(x as Tensor, device)));
      this.#expectInputs(inputs);
      return this.#layers.run(inputs, last);
    });
  }

  #expectInputs(inputs: readonly (Tensor | undefined)[]): void {
    const { inputSize, devices } = this;
    if (inputs.length > devices.length)
      throw new ArgumentError(expected(`a tensor on each of ${devices.join(', ')}`, 'x', inputs.length));
    for (const [i, device] of devices.entries()) {
      const x = inputs[i];
      if (!(x instanceof Tensor)) throw new ArgumentError(expected('tensor', 'x', x));
      expectTensors({}, { x });
      if (x.device !== device) throw new DeviceError(expected(`tensor on ${device}`, 'x', x.device.name));
      const [, height, width, channels] = x.shape;
      if (x.shape.length !== 4 || height !== inputSize || width !== inputSize || channels !== 3)
        throw new ShapeError(expected(`shape [N, ${inputSize}, ${inputSize}, 3]`, 'x', x.shape));
    }
  }

  get parameterCount(): number {
    let count = 0;
    for (const parameter of this.parameters()) count += parameter.size;
    return count;
  }

  /** Its filters `[K, 11, 11, 3]`, and how many columns share them, an equal part each. */
  get firstConvolution(): { weight: Whole; columns: number } {
    const [first] = wholes(this.namedParameters()).values();
    if (first === undefined) throw new ShapeError('Expected parameters for the model but received none');
    const norm = this.#preset.layers.find((layer) => layer.kind === 'lrn');
    return { weight: first, columns: norm?.groups ?? 1 };
  }

  /** A table of the layers: output shape and parameters of each, and what crosses between two devices. */
  summary(): string {
    return summarize(this.config, this.#preset, this.parameterCount, this.devices);
  }

  /**
   * What crosses between two devices in a training step, in its order: the outputs of layers that the other column takes,
   * and the gradients of those on the way back. Of a network on one device nothing does.
   * @param batch pictures a step
   */
  crossings(batch: number): Crossing[] {
    return crossingsOf(this.config, this.#preset, this.devices, expectPositiveInteger('batch', batch));
  }

  #build(generator: Generator): Columns {
    const { classes, dropout } = this.config;
    const columns = this.devices.length;
    const layers: PlacedLayer[] = [];
    let channels = 3;
    let features = 0;
    for (const { layer, joins } of placed(this.#preset.layers)) {
      const add = (...modules: PlacedLayer['modules']) => layers.push({ name: layer.name, modules, joins });
      switch (layer.kind) {
        case 'conv': {
          const { filters, kernelSize, stride, padding, groups, relu } = layer;
          const inits = this.#initializers(layer, (channels / groups) * kernelSize ** 2);
          /** Of so many columns each sees its own part of the inputs. */
          const divided = groups > 1 ? columns : 1;
          const [inputs, common] = [channels / divided, { kernelSize, stride, padding, relu, ...inits }];
          add(
            ...this.#split(filters, generator, (share, options) => {
              return new Conv2d(inputs, share, { ...common, ...options, groups: groups / divided });
            }),
          );
          channels = filters;
          break;
        }
        case 'lrn':
          add(new LocalResponseNorm({ ...layer, groups: layer.groups / columns }));
          break;
        case 'pool':
          add(new MaxPool2d(layer));
          break;
        case 'relu':
          add(new ReLU());
          break;
        case 'flatten':
          add(new Flatten());
          features = channels * layer.size ** 2;
          break;
        case 'dropout':
          add(new Dropout({ p: dropout, mode: layer.mode, generator: this.generator }));
          break;
        case 'linear': {
          const outputs = layer.outputs ?? classes;
          const [inputs, inits] = [features, this.#initializers(layer, features)];
          add(
            ...this.#split(outputs, generator, (share, options) => {
              return new Linear(inputs, share, { relu: layer.relu, ...inits, ...options });
            }),
          );
          features = outputs;
          break;
        }
      }
    }
    return new Columns(this.devices, layers);
  }

  /** A module for each device, with its share of a layer's outputs. All begin as the parts of one layer would. */
  #split(
    outputs: number,
    generator: Generator,
    make: (share: number, options: ParameterOptions) => Module,
  ): PlacedLayer['modules'] {
    const state = generator.state();
    const part = (device: Device, column: number): Module => {
      const { first, count } = share(outputs, column, this.devices.length);
      generator.load(state);
      return make(count, { device, generator, part: { first, of: outputs } });
    };
    const [first, ...others] = this.devices;
    return [part(first, 0), ...others.map((device, i) => part(device, i + 1))];
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
