import { expect } from 'chai';
import { ArgumentError } from '../lib/errors.js';
import { philox, philox4x32, Random, STREAMS, substream } from '../lib/random.js';

/** The same in 64-bit integers, as native/core/philox.h has it. */
function philoxOf(seed: number, stream: number, offset: number): number[] {
  const word = (value: number, at: bigint) => (BigInt(value) >> (32n * at)) & 0xffffffffn;
  let [c0, c1, c2, c3] = [word(offset, 0n), word(offset, 1n), word(stream, 0n), word(stream, 1n)];
  let [k0, k1] = [word(seed, 0n), word(seed, 1n)];
  for (let round = 0; round < 10; round++) {
    const [p0, p1] = [0xd2511f53n * c0, 0xcd9e8d57n * c2];
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & 0xffffffffn, (p0 >> 32n) ^ c3 ^ k1, p0 & 0xffffffffn];
    [k0, k1] = [(k0 + 0x9e3779b9n) & 0xffffffffn, (k1 + 0xbb67ae85n) & 0xffffffffn];
  }
  return [c0, c1, c2, c3].map(Number);
}

const hex = (words: readonly number[]) => words.map((word) => word.toString(16).padStart(8, '0')).join(' ');

describe('Philox', () => {
  it('gives the known answers of its authors', () => {
    const ones = 0xffffffff;
    expect(hex(philox4x32([0, 0, 0, 0], [0, 0]))).to.equal('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    expect(hex(philox4x32([ones, ones, ones, ones], [ones, ones]))).to.equal(
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    );
    expect(
      hex(philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])),
    ).to.equal('d16cfe09 94fdcceb 5001e420 24126ea1');
  });

  it('splits seed, stream and offset into words, the lower first', () => {
    expect(philox(7 + 5 * 2 ** 32, 3 + 2 ** 33, 11 + 2 ** 34)).to.deep.equal(
      philox4x32([11, 4, 3, 2], [7, 5]),
    );
  });

  it('agrees with 64-bit arithmetic', () => {
    for (let i = 0; i < 200; i++) {
      const [seed, stream, offset] = [i * 0x1234567 * 1001, i * 0x89abcd * 7777, i * 0x7654321 * 99];
      expect(philox(seed, stream, offset)).to.deep.equal(philoxOf(seed, stream, offset));
    }
  });
});

describe('Random', () => {
  it('gives word i % 4 of block i / 4, from the block asked for', () => {
    const random = new Random(9, STREAMS.init, 5);
    const words = Array.from({ length: 8 }, () => random.uint32());
    expect(words).to.deep.equal([...philox(9, STREAMS.init, 5), ...philox(9, STREAMS.init, 6)]);
    expect(new Random(9, STREAMS.init, 5).uniform()).to.equal(Math.floor((words[0] ?? 0) / 256) / 2 ** 24);
  });

  it('has streams that differ, and a substream for each index', () => {
    const streams = [
      ...Object.values(STREAMS),
      substream(STREAMS.init, 1),
      substream(STREAMS.init, 2 ** 21 - 1),
    ];
    const firsts = streams.map((stream) => new Random(0, stream).uint32());
    expect(new Set(firsts).size).to.equal(streams.length);
    expect(() => substream(STREAMS.init, 2 ** 21)).to.throw(ArgumentError);
  });

  it('draws integers evenly, and the ends among them', () => {
    const random = new Random(1, 2);
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 6000; i++) {
      const drawn = random.integer(6);
      counts[drawn] = (counts[drawn] ?? 0) + 1;
    }
    expect(counts).to.have.length(6);
    for (const count of counts) expect(count).to.be.within(850, 1150);
    expect(random.integer(1)).to.equal(0);
    expect(random.integer(2 ** 32)).to.be.within(0, 2 ** 32 - 1);
  });

  it('draws normal numbers', () => {
    const random = new Random(1, 3);
    const drawn = Array.from({ length: 20_000 }, () => random.normal());
    const moment = (power: number) => drawn.reduce((sum, x) => sum + x ** power, 0) / drawn.length;
    expect(moment(1)).to.be.closeTo(0, 0.03);
    expect(moment(2)).to.be.closeTo(1, 0.04);
    expect(moment(3)).to.be.closeTo(0, 0.1);
    expect(moment(4)).to.be.closeTo(3, 0.25);
  });

  it('shuffles evenly and in place', () => {
    const random = new Random(4, 4);
    const orders = new Map<string, number>();
    for (let i = 0; i < 2400; i++) {
      const array = [1, 2, 3, 4];
      expect(random.shuffle(array)).to.equal(array);
      orders.set(array.join(''), (orders.get(array.join('')) ?? 0) + 1);
    }
    expect(orders.size).to.equal(24);
    for (const count of orders.values()) expect(count).to.be.within(60, 145);
    expect(random.shuffle(Int32Array.of(5))).to.deep.equal(Int32Array.of(5));
  });

  it('refuses what is no seed', () => {
    for (const seed of [-1, 1.5, Number.NaN, 2 ** 53])
      expect(() => new Random(seed, 0)).to.throw(ArgumentError, 'seed');
    expect(() => new Random(0, 0).integer(0)).to.throw(ArgumentError);
  });
});
