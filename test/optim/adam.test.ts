import { expect } from 'chai';
import { ArgumentError } from '../../lib/errors.js';
import { Adam } from '../../lib/optim/index.js';
import { Random } from '../../lib/random.js';
import { type Tensor, tensor } from '../../lib/tensor.js';
import { expectClose, expectEqual } from '../support/compare.js';

function parameter(values: readonly number[] | Float32Array): Tensor {
  return tensor(Float32Array.from(values), [values.length], { requiresGrad: true });
}

function step(optimizer: Adam, target: Tensor, gradient: readonly number[] | Float32Array): void {
  target.grad = tensor(Float32Array.from(gradient));
  optimizer.step();
  optimizer.zeroGrad();
}

describe('Adam', () => {
  it('makes first steps of the size of the rate, whatever the gradient', async () => {
    using w = parameter([1, 1, 1]);
    using optimizer = new Adam([w], { lr: 0.01 });
    step(optimizer, w, [5, -1e-3, 0]);
    expectClose('w', await w.data(), [0.99, 1.01, 1], 1e-6);
  });

  for (const [name, options] of [
    ["PyTorch's defaults", {}],
    ['decay and other moments', { beta1: 0.8, beta2: 0.95, eps: 1e-3, weightDecay: 0.1 }],
  ] as const) {
    it(`follows the paper in double over 20 steps: ${name}`, async () => {
      const { beta1, beta2, eps, weightDecay } = {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weightDecay: 0,
        ...options,
      };
      const size = 37;
      const random = new Random(2, 1);
      const draw = () => Float32Array.from({ length: size }, () => random.normal());
      const start = draw();
      using w = parameter(start);
      using optimizer = new Adam([['w', w]], { lr: 0.02, ...options });
      const weights = Float64Array.from(start);
      const m = new Float64Array(size);
      const v = new Float64Array(size);
      for (let t = 1; t <= 20; t++) {
        const rate = t <= 12 ? 1 : 0.1;
        const gradient = draw();
        optimizer.setLrFactor(rate);
        step(optimizer, w, gradient);
        for (let i = 0; i < size; i++) {
          const weight = weights[i] ?? 0;
          const g = (gradient[i] ?? 0) + weightDecay * weight;
          const first = beta1 * (m[i] ?? 0) + (1 - beta1) * g;
          const second = beta2 * (v[i] ?? 0) + (1 - beta2) * g * g;
          m[i] = first;
          v[i] = second;
          const [mHat, vHat] = [first / (1 - beta1 ** t), second / (1 - beta2 ** t)];
          weights[i] = weight - (0.02 * rate * mHat) / (Math.sqrt(vHat) + eps);
        }
      }
      const state = Object.fromEntries(optimizer.stateTensors());
      expectClose('w', await w.data(), weights, 2e-6);
      expectClose('m', (await state['m/w']?.data()) ?? [], m, 2e-6);
      expectClose('v', (await state['v/w']?.data()) ?? [], v, 2e-6);
    });
  }

  it('goes on from its state bit by bit', async () => {
    using w = parameter([0.3, -0.7]);
    using optimizer = new Adam([['w', w]], { lr: 0.01 });
    for (const g of [0.1, -0.2, 0.3]) step(optimizer, w, [g, 1]);
    expect(optimizer.state()).to.deep.equal({ step: 3 });

    using w2 = parameter(await w.data());
    using resumed = new Adam([['w', w2]], { lr: 0.01 });
    const saved = new Map(optimizer.stateTensors());
    expect([...saved.keys()]).to.deep.equal(['m/w', 'v/w']);
    for (const [name, state] of resumed.stateTensors()) {
      state.write((await saved.get(name)?.data()) ?? new Float32Array());
    }
    resumed.load(JSON.parse(JSON.stringify(optimizer.state())));
    for (const g of [0.4, -0.5]) {
      step(optimizer, w, [g, 1]);
      step(resumed, w2, [g, 1]);
    }
    expectEqual('w', await w2.data(), await w.data());
    expect(resumed.state()).to.deep.equal({ step: 5 });
  });

  describe('refuses', () => {
    const wrong: [string, (w: Tensor) => unknown, RegExp][] = [
      ['beta1 = 1', (w) => new Adam([w], { lr: 1, beta1: 1 }), /\[0, 1\) for beta1 but received 1/],
      ['beta2 = −1', (w) => new Adam([w], { lr: 1, beta2: -1 }), /\[0, 1\) for beta2 but received -1/],
      ['eps = NaN', (w) => new Adam([w], { lr: 1, eps: Number.NaN }), /for eps but received NaN/],
      ['a state without step', (w) => new Adam([w], { lr: 1 }).load({}), /for step but received undefined/],
    ];
    for (const [name, make, message] of wrong) {
      it(name, () => {
        using w = parameter([1]);
        expect(() => make(w)).to.throw(ArgumentError, message);
      });
    }
  });
});
