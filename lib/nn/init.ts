import type { DeviceLike } from '../device.js';
import { unscoped } from '../scope.js';
import { full, rand, randn, type Shape, sizeOf, type Tensor } from '../tensor.js';
import { defaultGenerators, type Generator } from './generator.js';

/** How a parameter is filled. */
export type Initializer =
  | { kind: 'normal'; std: number }
  | { kind: 'uniform'; bound: number }
  | { kind: 'constant'; value: number };

export interface ParameterOptions {
  device?: DeviceLike;
  /** Default: the one that `manualSeed` sets. */
  generator?: Generator;
}

/** PyTorch's default for the weights and biases of convolutions and linear layers: U(−1/√fanIn, 1/√fanIn). */
export function torchDefault(fanIn: number): Initializer {
  return { kind: 'uniform', bound: 1 / Math.sqrt(fanIn) };
}

/** He et al., 2015: N(0, √(2/fanIn)), which keeps the variance through ReLUs. */
export function he(fanIn: number): Initializer {
  return { kind: 'normal', std: Math.sqrt(2 / fanIn) };
}

/** A parameter belongs to its module, not to a scope. */
export function parameter(shape: Shape, initializer: Initializer, options: ParameterOptions): Tensor {
  return unscoped(() => fill(shape, initializer, options));
}

function fill(shape: Shape, initializer: Initializer, options: ParameterOptions): Tensor {
  const { device, generator = defaultGenerators.init } = options;
  const common = { requiresGrad: true, ...(device === undefined ? {} : { device }) };
  switch (initializer.kind) {
    case 'normal':
      return randn(shape, { ...common, ...generator.take(sizeOf(shape)), std: initializer.std });
    case 'uniform': {
      const { bound } = initializer;
      return rand(shape, { ...common, ...generator.take(sizeOf(shape)), low: -bound, high: bound });
    }
    case 'constant':
      return full(shape, initializer.value, common);
  }
}
