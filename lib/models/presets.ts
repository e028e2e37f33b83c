import type { DropoutMode } from '../nn/index.js';

/** One layer of a preset. A convolution or fully connected layer may have its ReLU fused. */
export type Layer =
  | {
      kind: 'conv';
      name: string;
      filters: number;
      kernelSize: number;
      stride: number;
      padding: number;
      groups: number;
      relu: boolean;
      /** The bias that section 5 of the paper starts with. */
      paperBias: number;
      /** The standard deviation of the weights that the code of 2012 starts with. */
      codeStd: number;
    }
  | { kind: 'lrn'; name: string; size: number; alpha: number; beta: number; k: number; groups: number }
  | { kind: 'pool'; name: string; kernelSize: number; stride: number }
  | { kind: 'relu'; name: string }
  /** From maps of `size` × `size`. */
  | { kind: 'flatten'; name: string; size: number }
  | { kind: 'dropout'; name: string; mode: DropoutMode }
  /** Without `outputs`: one for each class. */
  | { kind: 'linear'; name: string; outputs: number | null; relu: boolean; paperBias: number };

export interface Preset {
  inputSize: number;
  /** The crop of a picture that it takes. It lies at the top left of the input, the rest of which is 0. */
  cropSize: number;
  /** How its parameters start where nothing else is asked for. */
  init: Init;
  layers: readonly Layer[];
}

/**
 * `paper`, `krizhevsky2012` and `dansuh17`: as these presets have it; `he`: see {@link he}, zero biases, a small last
 * layer.
 */
export const INITS = ['paper', 'krizhevsky2012', 'dansuh17', 'he', 'pytorch'] as const;
export type Init = (typeof INITS)[number];

type Conv = Extract<Layer, { kind: 'conv' }>;
const conv = (
  name: string,
  filters: number,
  kernelSize: number,
  given: Partial<Omit<Conv, 'kind' | 'name'>>,
): Conv => ({
  kind: 'conv',
  name,
  filters,
  kernelSize,
  stride: 1,
  padding: 0,
  groups: 1,
  relu: true,
  paperBias: 0,
  codeStd: 0.01,
  ...given,
});
const pool = (name: string): Layer => ({ kind: 'pool', name, kernelSize: 3, stride: 2 });
const lrn = (name: string, alpha: number, groups: number): Layer => ({
  kind: 'lrn',
  name,
  size: 5,
  alpha,
  beta: 0.75,
  k: 2,
  groups,
});
const hidden = (name: string): Layer => ({ kind: 'linear', name, outputs: 4096, relu: true, paperBias: 1 });

/** The five convolutions: section 3.5. `groups` are the columns of the two GPUs. */
function features(groups: number, alpha: number): Layer[] {
  return [
    conv('conv1', 96, 11, { stride: 4 }),
    lrn('norm1', alpha, groups),
    pool('pool1'),
    ...later(groups, alpha),
  ];
}

/** All after the first. */
function later(groups: number, alpha: number): Layer[] {
  return [
    conv('conv2', 256, 5, { padding: 2, groups, paperBias: 1 }),
    lrn('norm2', alpha, groups),
    pool('pool2'),
    conv('conv3', 384, 3, { padding: 1, codeStd: 0.03 }),
    conv('conv4', 384, 3, { padding: 1, groups, paperBias: 1, codeStd: 0.03 }),
    conv('conv5', 256, 3, { padding: 1, groups, paperBias: 1, codeStd: 0.03 }),
    pool('pool5'),
    { kind: 'flatten', name: 'flatten', size: 6 },
  ];
}

/** What follows section 4.2: dropout after both hidden layers. */
const hiddenLayers: readonly Layer[] = [
  hidden('fc6'),
  { kind: 'dropout', name: 'drop6', mode: 'paper' },
  hidden('fc7'),
  { kind: 'dropout', name: 'drop7', mode: 'paper' },
];

/** Of every preset. */
export const LAST_LAYER = 'fc8';
const output: Layer = { kind: 'linear', name: LAST_LAYER, outputs: null, relu: false, paperBias: 0 };

export const PRESETS = {
  /**
   * The paper as printed, in one process: conv2, 4 and 5 in two groups, normalisation inside each column. Its alpha of
   * 1e-4 multiplies the sum; ours is divided by size, hence 5e-4. Dropout follows both hidden layers (section 4.2).
   * 227 pixels, since 224 do not give the 55 × 55 maps of the paper's figure.
   */
  paper: {
    inputSize: 227,
    cropSize: 227,
    init: 'paper',
    layers: [...features(2, 5e-4), ...hiddenLayers, output],
  },
  /**
   * The code that was run in 2012, github.com/computerhistory/AlexNet-Source-Code, `layers/layers-145.cfg`, in one
   * process as `paper`. It differs from the paper: the first convolution is normalised and pooled before its ReLU, alpha
   * is divided by size, crops have 224 pixels (the convolution counts an output that reaches over the edge by three
   * pixels, which is as if the picture, less its mean, went on with zeros to 227), and the weights of conv3 to conv5
   * start with 0.03. The ReLU of conv5 comes after its pooling there, which is the same. `cnorm2`, a normalisation
   * within each map after norm2 that the paper does not have, is left out.
   */
  krizhevsky2012: {
    inputSize: 227,
    cropSize: 224,
    init: 'krizhevsky2012',
    layers: [
      conv('conv1', 96, 11, { stride: 4, relu: false }),
      lrn('norm1', 1e-4, 2),
      pool('pool1'),
      { kind: 'relu', name: 'relu1' },
      ...later(2, 1e-4),
      ...hiddenLayers,
      output,
    ],
  },
  /** github.com/dansuh17/alexnet-pytorch: one column, alpha divided by size, dropout before both hidden layers. */
  dansuh17: {
    inputSize: 227,
    cropSize: 227,
    init: 'dansuh17',
    layers: [
      ...features(1, 1e-4),
      { kind: 'dropout', name: 'drop6', mode: 'inverted' },
      hidden('fc6'),
      { kind: 'dropout', name: 'drop7', mode: 'inverted' },
      hidden('fc7'),
      output,
    ],
  },
  /**
   * torchvision's `alexnet`: the network of "One weird trick for parallelizing convolutional neural networks" (2014), in
   * one column and without normalisation, for the weights that people have. At 224 pixels its adaptive pooling, which
   * comes before the fully connected layers, changes nothing.
   */
  torchvision: {
    inputSize: 224,
    cropSize: 224,
    init: 'pytorch',
    layers: [
      conv('conv1', 64, 11, { stride: 4, padding: 2 }),
      pool('pool1'),
      conv('conv2', 192, 5, { padding: 2 }),
      pool('pool2'),
      conv('conv3', 384, 3, { padding: 1 }),
      conv('conv4', 256, 3, { padding: 1 }),
      conv('conv5', 256, 3, { padding: 1 }),
      pool('pool5'),
      { kind: 'flatten', name: 'flatten', size: 6 },
      { kind: 'dropout', name: 'drop6', mode: 'inverted' },
      hidden('fc6'),
      { kind: 'dropout', name: 'drop7', mode: 'inverted' },
      hidden('fc7'),
      output,
    ],
  },
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof PRESETS;
