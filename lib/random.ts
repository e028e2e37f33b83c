import { expectInteger } from './check.js';

/** What is drawn from a seed, each from sequences of its own. Checkpoints rely on these numbers. */
export const STREAMS = { init: 1, dropout: 2, shuffle: 3, crops: 4, shapes: 5, colour: 6 } as const;

const WORD = 2 ** 32;

/** One stream for each `index` of a purpose, such as one for each epoch. */
export function substream(stream: number, index: number): number {
  expectInteger('index of stream', index, 0, 2 ** 21 - 1);
  return index * WORD + stream;
}

/** Four unsigned 32-bit words. */
export type Words = readonly [number, number, number, number];

/**
 * Block `offset` of a sequence: the same numbers as `native/core/philox.h` draws. All three are integers from 0 to
 * 2^53 − 1.
 */
export function philox(seed: number, stream: number, offset: number): Words {
  return philox4x32(
    [offset >>> 0, (offset / WORD) >>> 0, stream >>> 0, (stream / WORD) >>> 0],
    [seed >>> 0, (seed / WORD) >>> 0],
  );
}

/** Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) on 32-bit words. */
export function philox4x32(counter: Words, key: readonly [number, number]): Words {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const n0 = highProduct(0xcd9e8d57, c2) ^ c1 ^ k0;
    const n2 = highProduct(0xd2511f53, c0) ^ c3 ^ k1;
    c1 = Math.imul(0xcd9e8d57, c2);
    c3 = Math.imul(0xd2511f53, c0);
    c0 = n0;
    c2 = n2;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** The upper 32 of the 64 bits of a product of unsigned words. */
function highProduct(a: number, b: number): number {
  const [a0, a1, b0, b1] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16);
  const carry = Math.imul(a0, b1) + (middle & 0xffff);
  return Math.imul(a1, b1) + (middle >>> 16) + (carry >>> 16);
}

/** 24 random bits as a number in [0, 1). */
export function toUniform(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

/** Arrays, typed or not. */
interface Indexed<T> {
  readonly length: number;
  [index: number]: T;
}

/** Draws one number after the other from a Philox sequence. */
export class Random {
  readonly #seed: number;
  readonly #stream: number;
  #offset: number;
  #block: Words = [0, 0, 0, 0];
  #word = 4;
  #spareNormal: number | undefined;

  /** @param offset where to start, in blocks of four numbers */
  constructor(seed: number, stream: number, offset = 0) {
    this.#seed = expectInteger('seed', seed, 0);
    this.#stream = expectInteger('stream', stream, 0);
    this.#offset = expectInteger('offset', offset, 0);
  }

  /** An integer from 0 to 2^32 − 1. */
  uint32(): number {
    if (this.#word === 4) {
      this.#block = philox(this.#seed, this.#stream, this.#offset++);
      this.#word = 0;
    }
    return this.#block[this.#word++] as number;
  }

  /** A number in [0, 1), a multiple of 2^−24. */
  uniform(): number {
    return toUniform(this.uint32());
  }

  /** An integer from 0 to n − 1, each equally likely. n: from 1 to 2^32. */
  integer(n: number): number {
    expectInteger('n', n, 1, WORD);
    const whole = WORD - (WORD % n);
    let word = this.uint32();
    while (word >= whole) word = this.uint32();
    return word % n;
  }

  /** A normal number of mean 0 and variance 1: Box–Muller over two words, which give two numbers. */
  normal(): number {
    const spare = this.#spareNormal;
    if (spare !== undefined) {
      this.#spareNormal = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spareNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Brings an array into random order, each equally likely (Fisher and Yates). Returns that array. */
  shuffle<A extends Indexed<T>, T>(array: A & Indexed<T>): A {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const last = array[i] as T;
      array[i] = array[j] as T;
      array[j] = last;
    }
    return array;
  }
}
