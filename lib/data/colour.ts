import { expectMembers, expectOneOf, expectTriple } from '../check.js';
import { Random, STREAMS, substream } from '../random.js';

export type Colour = [red: number, green: number, blue: number];
type Matrix = readonly [Readonly<Colour>, Readonly<Colour>, Readonly<Colour>];

/** Eigenvalues of a covariance of colours in 0…1, the largest first, and the eigenvector of each, of length 1. */
export interface ColourAxes {
  values: Colour;
  vectors: readonly [Colour, Colour, Colour];
}

/** By Jacobi's rotations: each makes one pair of symmetric elements zero. */
export function principalAxes(matrix: Matrix): ColourAxes {
  const a = matrix.map((row) => [...row]);
  const v = [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ];
  const at = (m: number[][], i: number, j: number): number => m[i]?.[j] ?? 0;
  const set = (m: number[][], i: number, j: number, value: number): void => {
    const row = m[i];
    if (row !== undefined) row[j] = value;
  };
  const rotate = (p: number, q: number): void => {
    if (at(a, p, q) === 0) return;
    const theta = 0.5 * Math.atan2(2 * at(a, p, q), at(a, q, q) - at(a, p, p));
    const [c, s] = [Math.cos(theta), Math.sin(theta)];
    for (let k = 0; k < 3; k++) {
      const [kp, kq] = [at(a, k, p), at(a, k, q)];
      set(a, k, p, c * kp - s * kq);
      set(a, k, q, s * kp + c * kq);
    }
    for (let k = 0; k < 3; k++) {
      const [pk, qk] = [at(a, p, k), at(a, q, k)];
      set(a, p, k, c * pk - s * qk);
      set(a, q, k, s * pk + c * qk);
      const [vp, vq] = [at(v, k, p), at(v, k, q)];
      set(v, k, p, c * vp - s * vq);
      set(v, k, q, s * vp + c * vq);
    }
  };
  for (let sweep = 0; sweep < 12; sweep++)
    for (const [p, q] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const)
      rotate(p, q);
  const order = [0, 1, 2].sort((i, j) => at(a, j, j) - at(a, i, i));
  // The sign is free: the largest element is positive.
  const vector = (i: number): Colour => {
    const found: Colour = [at(v, 0, i), at(v, 1, i), at(v, 2, i)];
    const sign = Math.max(...found) >= -Math.min(...found) ? 1 : -1;
    return [sign * found[0], sign * found[1], sign * found[2]];
  };
  const [first = 0, second = 1, third = 2] = order;
  return {
    values: [at(a, first, first), at(a, second, second), at(a, third, third)],
    vectors: [vector(first), vector(second), vector(third)],
  };
}

/**
 * Whose units the noise has: `paper`, as section 4.1 prints it, Σ pᵢ·αᵢ·λᵢ with λ of pixels in 0…1: a few grey levels;
 * `krizhevsky2012`, as the released code has it, Σ pᵢ·αᵢ·√λᵢ, some ten times that, after which inputs are divided by 1.1.
 */
export const COLOUR_NOISES = ['paper', 'krizhevsky2012'] as const;

/** Section 4.1: a colour that is added to all pixels of a picture, along the axes of the training set's colours. */
export interface ColourNoise {
  kind: (typeof COLOUR_NOISES)[number];
  axes: ColourAxes;
}

/** What training inputs are multiplied with beside, so that the noise leaves their variance as it was. */
export const NOISE_GAINS = { paper: 1, krizhevsky2012: 1 / 1.1 } as const;

/** @throws {ArgumentError} for anything else than a {@link ColourNoise} */
export function expectColourNoise(name: string, value: unknown): ColourNoise {
  const { kind, axes } = expectMembers(name, value, ['kind', 'axes']);
  const { values, vectors } = expectMembers(`${name}.axes`, axes, ['values', 'vectors']);
  const rows = Array.isArray(vectors) ? vectors : [];
  const vector = (i: number) => expectTriple(`${name}.axes.vectors[${i}]`, rows[i]);
  return {
    kind: expectOneOf(`${name}.kind`, kind, COLOUR_NOISES),
    axes: {
      values: expectTriple(`${name}.axes.values`, values),
      vectors: [vector(0), vector(1), vector(2)],
    },
  };
}

/** Of the α of each axis. */
const DEVIATION = 0.1;

/**
 * What is added to the picture `index` in an epoch, in grey levels of 0…255: the same at each call.
 */
export function colourShift({ kind, axes }: ColourNoise, seed: number, epoch: number, index: number): Colour {
  const random = new Random(seed, substream(STREAMS.colour, epoch), index);
  const shift: Colour = [0, 0, 0];
  axes.vectors.forEach((vector, i) => {
    const value = Math.max(0, axes.values[i] ?? 0);
    const length = 255 * DEVIATION * random.normal() * (kind === 'paper' ? value : Math.sqrt(value));
    vector.forEach((part, channel) => {
      shift[channel] = (shift[channel] ?? 0) + part * length;
    });
  });
  return shift;
}
