import { expect } from 'chai';
import { backward } from '../../lib/autograd.js';
import { ArgumentError } from '../../lib/errors.js';
import { Dropout, type DropoutLayerOptions, type DropoutMode, Generator } from '../../lib/nn/index.js';
import { STREAMS } from '../../lib/random.js';
import { full, type Tensor } from '../../lib/tensor.js';

const SIZE = 40_000;
const ones = (options = {}) => full([100, SIZE / 100], 1, options);
const generatorOf = (seed: number) => new Generator(seed, STREAMS.dropout);

async function numbers(y: Tensor): Promise<number[]> {
  const data = [...(await y.data())];
  y.dispose();
  return data;
}

describe('Dropout', () => {
  for (const [mode, kept] of [
    ['inverted', 1 / (1 - 0.3)],
    ['paper', 1],
  ] as const) {
    it(`${mode}: zeros with probability p in training, ${mode === 'paper' ? 'the rest as it is' : 'the rest / (1 − p)'}`, async () => {
      using x = ones();
      const y = await numbers(new Dropout({ p: 0.3, mode, generator: generatorOf(1) }).forward(x));
      expect(new Set(y)).to.deep.equal(new Set([0, Math.fround(kept)]));
      // Four standard deviations of the binomial distribution.
      const spread = 4 * Math.sqrt(0.3 * 0.7 * SIZE);
      expect(y.filter((value) => value === 0).length).to.be.closeTo(0.3 * SIZE, spread);
    });
  }

  it('inverted: leaves its input alone in evaluation', () => {
    using x = ones();
    expect(new Dropout({ p: 0.3 }).eval().forward(x)).to.equal(x);
  });

  it('paper: multiplies by 1 − p in evaluation', async () => {
    using x = ones();
    const y = await numbers(new Dropout({ p: 0.3, mode: 'paper' }).eval().forward(x));
    expect(new Set(y)).to.deep.equal(new Set([Math.fround(0.7)]));
  });

  it('drops nothing at p = 0', () => {
    using x = ones();
    for (const mode of ['inverted', 'paper'] as const) {
      const layer = new Dropout({ p: 0, mode });
      expect(layer.forward(x)).to.equal(x);
      expect(layer.eval().forward(x)).to.equal(x);
    }
  });

  it('gives the gradient through what it kept', async () => {
    using x = ones({ requiresGrad: true });
    using cotangent = ones();
    const y = new Dropout({ p: 0.5, generator: generatorOf(2) }).forward(x);
    backward(y, cotangent);
    expect([...((await x.grad?.data()) ?? [])]).to.deep.equal(await numbers(y));
  });

  it('draws anew at each call, and the same again from the same state', async () => {
    using x = ones();
    const generator = generatorOf(3);
    const layer = new Dropout({ generator });
    const draw = () => numbers(layer.forward(x));
    const start = generator.state();
    const first = await draw();
    const middle = generator.state();
    const second = await draw();
    expect(second).to.not.deep.equal(first);
    generator.load(middle);
    expect(await draw()).to.deep.equal(second);
    generator.load(start);
    expect(await draw()).to.deep.equal(first);
    expect(await numbers(new Dropout({ generator: generatorOf(4) }).forward(x))).to.not.deep.equal(first);
  });

  it('draws nothing in evaluation', () => {
    using x = ones();
    const generator = generatorOf(5);
    new Dropout({ mode: 'paper', generator }).eval().forward(x).dispose();
    expect(generator.state()).to.deep.equal({ seed: 5, offset: 0 });
  });

  const wrong: [string, DropoutLayerOptions, RegExp][] = [
    ['p = 1', { p: 1 }, /number in \[0, 1\) for p but received 1/],
    ['p = NaN', { p: Number.NaN }, /for p but received NaN/],
    ['another mode', { mode: 'none' as DropoutMode }, /one of inverted, paper for mode but received "none"/],
  ];
  for (const [name, options, message] of wrong) {
    it(`refuses ${name}`, () => {
      expect(() => new Dropout(options)).to.throw(ArgumentError, message);
    });
  }
});

describe('Generator', () => {
  it('hands out whole blocks of four numbers, none twice', () => {
    const generator = new Generator(9, 2);
    expect([1, 4, 5, 8].map((elements) => generator.take(elements))).to.deep.equal(
      [0, 1, 2, 4].map((offset) => ({ seed: 9, stream: 2, offset })),
    );
    expect(generator.state()).to.deep.equal({ seed: 9, offset: 6 });
  });

  it('goes on from a state', () => {
    const generator = new Generator(0, 2);
    generator.load({ seed: 9, offset: 6 });
    expect(generator.take(1)).to.deep.equal({ seed: 9, stream: 2, offset: 6 });
  });

  it('refuses what is no seed or state', () => {
    expect(() => new Generator(-1, 2)).to.throw(ArgumentError, /for seed but received -1/);
    expect(() => new Generator(0, 2).load({ seed: 0, offset: 0.5 })).to.throw(
      ArgumentError,
      /for offset but received 0.5/,
    );
  });
});
