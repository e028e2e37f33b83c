import type { DeviceLike } from '../device.js';
import { Random } from '../random.js';
import { unscoped } from '../scope.js';
import { full, rand, randn, type Shape, sizeOf, type Tensor, tensor } from '../tensor.js';
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
  /** The parameter is some rows of a larger one, and begins as those would. @internal */
  part?: { first: number; of: number };
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
  const [rows = 1] = shape;
  const { first, of } = options.part ?? { first: 0, of: rows };
  const before = (first * sizeOf(shape)) / rows;
  const take = () => {
    const { offset, ...place } = generator.take((of * sizeOf(shape)) / rows);
    return { ...place, offset: offset + Math.floor(before / 4) };
  };
  switch (initializer.kind) {
    case 'normal':
      return randn(shape, { ...common, ...take(), std: initializer.std });
    case 'uniform': {
      const { bound } = initializer;
      // A part that begins within a block of four numbers is short: a bias.
      if (before % 4 > 0) return tensor(uniform(shape, bound, before % 4, take()), shape, common);
      return rand(shape, { ...common, ...take(), low: -bound, high: bound });
    }
    case 'constant':
      return full(shape, initializer.value, common);
  }
}

/** As `rand`, without the first `skipped` numbers. */
function uniform(
  shape: Shape,
  bound: number,
  skipped: number,
  { seed, stream, offset }: { seed: number; stream: number; offset: number },
): Float32Array {
  const random = new Random(seed, stream, offset);
  for (let i = 0; i < skipped; i++) random.uniform();
  return Float32Array.from({ length: sizeOf(shape) }, () => -bound + 2 * bound * random.uniform());
}
