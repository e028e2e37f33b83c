import type { DType, TypedArray } from '../../lib/native.js';
import { Random } from '../../lib/random.js';

/** How the numbers of an input are drawn. All are exact in float32, so every program starts from the same. */
export interface Fill {
  readonly dtype: DType;
  /** The step of finite differences that crosses no kink. */
  readonly step: number;
  values(size: number, random: () => number): TypedArray;
}

const STEP = 2 ** -8;
/** The grid of `spaced`, and its distance from 0. */
const SPACING = 2 ** -5;
const GAP = 2 ** -2;

export function uniform(low: number, high: number): Fill {
  return {
    dtype: 'float32',
    step: ((high - low) / 2) * STEP,
    values: (size, random) => Float32Array.from({ length: size }, () => low + (high - low) * random()),
  };
}

/** All different, none near 0: for operations with kinks at 0 or where two inputs are equal. */
export const spaced: Fill = {
  dtype: 'float32',
  step: SPACING / 4,
  values: (size, random) => {
    const values = Float32Array.from(
      { length: size },
      (_, i) => (i % 2 ? 1 : -1) * (GAP + SPACING * (i >> 1)),
    );
    for (let i = size - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [values[i], values[j]] = [values[j] ?? 0, values[i] ?? 0];
    }
    return values;
  },
};

/** k · unit in [−1, 1]. Sums of products of such numbers are exact, and are multiples themselves. */
export function multiplesOf(unit: number): Fill {
  const most = Math.round(1 / unit);
  return {
    dtype: 'float32',
    step: STEP,
    values: (size, random) =>
      Float32Array.from({ length: size }, () => (Math.floor(random() * (2 * most + 1)) - most) * unit),
  };
}

/** (2k + 1) · unit in (−1, 1): added to multiples of 2 · unit they keep all sums away from 0. */
export function oddMultiplesOf(unit: number): Fill {
  const most = Math.round(1 / unit / 2);
  return {
    dtype: 'float32',
    step: STEP,
    values: (size, random) =>
      Float32Array.from({ length: size }, () => (2 * (Math.floor(random() * 2 * most) - most) + 1) * unit),
  };
}

/** int32 in [0, classes). */
export function labels(classes: number): Fill {
  return {
    dtype: 'int32',
    step: 0,
    values: (size, random) => Int32Array.from({ length: size }, () => Math.floor(random() * classes)),
  };
}

/** uint8 in [0, 255]. */
export const bytes: Fill = {
  dtype: 'uint8',
  step: 0,
  values: (size, random) => Uint8Array.from({ length: size }, () => Math.floor(random() * 256)),
};

export function these(values: Float32Array | Int32Array): Fill {
  return { dtype: values instanceof Float32Array ? 'float32' : 'int32', step: STEP, values: () => values };
}

/** The numbers of one input; `name` says which, such as `conv2d/batch 1/x`. */
export function draw(fill: Fill, name: string, size: number): TypedArray {
  const random = new Random(seedOf(name), 0);
  return fill.values(size, () => random.uniform());
}

/** FNV-1a of the name. */
export function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
