import { expect } from 'chai';
import { backward, noGrad } from '../lib/autograd.js';
import { Device } from '../lib/device.js';
import { ArgumentError, DisposedError, ShapeError } from '../lib/errors.js';
import {
  adamStep,
  add,
  conv2d,
  linear,
  lrn,
  matmul,
  maxPool2d,
  relu,
  reshape,
  scale,
  sgdStep,
  softmaxCrossEntropy,
  tanh,
  to,
} from '../lib/ops/index.js';
import { tidy } from '../lib/scope.js';
import { full, rand, type Tensor, tensor } from '../lib/tensor.js';

const leaf = (...values: number[]): Tensor => tensor(values, [values.length], { requiresGrad: true });
const numbers = async (t: Tensor | undefined): Promise<number[]> => Array.from((await t?.data()) ?? []);
const ones = (t: Tensor): Tensor => full(t.shape, 1);
const liveBuffers = (): number => Device.get().memory().liveBuffers;

/** A network of every kind of operation that keeps something for its backward. */
function network(x: Tensor, weights: { filters: Tensor; bias: Tensor; matrix: Tensor }): Tensor {
  const maps = maxPool2d(lrn(conv2d(x, weights.filters, { bias: weights.bias, relu: true, padding: 1 })), {
    kernelSize: 2,
  });
  const features = tanh(reshape(maps, [2, 16]));
  const labels = tensor(Int32Array.of(0, 2));
  return softmaxCrossEntropy(relu(linear(features, weights.matrix)), labels);
}

function makeWeights() {
  const options = { seed: 1, low: -1, requiresGrad: true };
  return {
    filters: rand([4, 3, 3, 3], options),
    bias: rand([4], { ...options, stream: 1 }),
    matrix: rand([3, 16], { ...options, stream: 2 }),
  };
}

const pictures = (): Tensor => rand([2, 4, 4, 3], { seed: 2 });

describe('autograd', () => {
  it('goes through a chain of operations', () =>
    tidy(async () => {
      const x = leaf(-0.5, 0.25, 2);
      const y = scale(tanh(scale(x, 2)), 3);
      backward(y, tensor([1, 10, 100]));
      const slope = (v: number) => 6 * (1 - Math.tanh(2 * v) ** 2);
      const [a = 0, b = 0, c = 0] = await numbers(x.grad);
      expect(a).to.be.closeTo(slope(-0.5), 1e-5);
      expect(b).to.be.closeTo(10 * slope(0.25), 1e-4);
      expect(c).to.be.closeTo(100 * slope(2), 1e-4);
    }));

  it('starts from 1 for a loss of one element', () =>
    tidy(async () => {
      const x = leaf(3);
      backward(scale(x, 5));
      expect(await numbers(x.grad)).to.deep.equal([5]);
    }));

  it('adds up the gradients of an input that is used twice', () =>
    tidy(async () => {
      const x = leaf(1, 2);
      const y = add(x, x);
      backward(y, ones(y));
      expect(await numbers(x.grad)).to.deep.equal([2, 2]);
    }));

  it('adds up the gradients of an intermediate result that is used by several', () =>
    tidy(async () => {
      const x = leaf(1, -2);
      const h = scale(x, 2);
      const y = add(add(scale(h, 3), relu(h)), h);
      backward(y, ones(y));
      expect(await numbers(x.grad)).to.deep.equal([2 * (3 + 1 + 1), 2 * (3 + 0 + 1)]);
    }));

  it('takes one tensor on both sides of a product', () =>
    tidy(async () => {
      const x = tensor([[3]], undefined, { requiresGrad: true });
      backward(matmul(x, x));
      expect(await numbers(x.grad)).to.deep.equal([6]);
    }));

  it('adds to the gradients of an earlier backward', () =>
    tidy(async () => {
      const x = leaf(1, 1);
      for (const factor of [2, 30]) {
        const y = scale(x, factor);
        backward(y, ones(y));
      }
      expect(await numbers(x.grad)).to.deep.equal([32, 32]);
      x.grad?.dispose();
      const y = scale(x, 7);
      backward(y, ones(y));
      expect(await numbers(x.grad), 'after grad was disposed').to.deep.equal([7, 7]);
    }));

  it('gives each leaf a gradient of its own, also where they share memory', () =>
    tidy(async () => {
      const [a, b] = [leaf(1), leaf(2)];
      backward(add(a, b));
      a.grad?.write(Float32Array.of(5));
      expect(await numbers(b.grad)).to.deep.equal([1]);
      a.grad?.dispose();
      expect(await numbers(b.grad)).to.deep.equal([1]);
    }));

  describe('the gradient before a ReLU that is fused', () => {
    const weight = (): Tensor => tensor([[1, 2]], undefined, { requiresGrad: true });
    const made = (): number => Device.get().memory().cacheHits + Device.get().memory().cacheMisses;

    it('takes the memory of the one after it', () =>
      tidy(async () => {
        const w = weight();
        const y = scale(linear(tensor([[1, 1]]), w, { relu: true }), 3);
        const before = made();
        backward(y);
        expect(made() - before, 'the cotangent, the gradient of scale and of w').to.equal(3);
        expect(await numbers(w.grad)).to.deep.equal([3, 3]);
      }));

    it('leaves the cotangent as it is', () =>
      tidy(async () => {
        const w = weight();
        const y = linear(
          tensor([
            [1, 1],
            [-1, -1],
          ]),
          w,
          { relu: true },
        );
        const cotangent = tensor([[5], [7]]);
        backward(y, cotangent);
        expect(await numbers(cotangent)).to.deep.equal([5, 7]);
        expect(await numbers(w.grad)).to.deep.equal([5, 5]);
      }));

    it('leaves that of the other summand as it is', () =>
      tidy(async () => {
        const [w, x] = [weight(), tensor([[-1, -1]], undefined, { requiresGrad: true })];
        const y = add(linear(x, w, { relu: true }), scale(linear(x, w, { relu: false }), 2));
        backward(y);
        expect(await numbers(w.grad)).to.deep.equal([-2, -2]);
        expect(await numbers(x.grad)).to.deep.equal([2, 4]);
      }));
  });

  it('gives no leaf the memory of the cotangent', () =>
    tidy(async () => {
      const [x, dy] = [leaf(1, 2), tensor([[3], [4]])];
      backward(reshape(x, [2, 1]), dy);
      dy.write(Float32Array.of(5, 6));
      expect(await numbers(x.grad)).to.deep.equal([3, 4]);
    }));

  it('gives gradients to leaves that require them, and to nothing else', () =>
    tidy(async () => {
      const [x, w] = [tensor([[1, 2]]), tensor([[3, 4]], undefined, { requiresGrad: true })];
      const h = linear(x, w);
      backward(scale(h, 2));
      expect(await numbers(w.grad)).to.deep.equal([2, 4]);
      expect(x.grad).to.equal(undefined);
      expect(h.grad).to.equal(undefined);
    }));

  it('leaves out what the loss does not depend on', () =>
    tidy(async () => {
      const [x, y] = [leaf(1), leaf(2)];
      const h = scale(x, 3);
      add(h, y);
      backward(scale(h, 2));
      expect(await numbers(x.grad)).to.deep.equal([6]);
      expect(y.grad).to.equal(undefined);
    }));

  it('keeps gradients past the tidy around the backward', async () => {
    using x = leaf(1);
    tidy(() => backward(scale(x, 4)));
    expect(await numbers(x.grad)).to.deep.equal([4]);
  });

  it('keeps what it needs of tensors that were disposed', () =>
    tidy(async () => {
      const x = leaf(0.5);
      const h = tanh(x);
      const y = tanh(h);
      h.dispose();
      backward(y);
      y.dispose();
      const t = Math.tanh(0.5);
      expect((await numbers(x.grad))[0]).to.be.closeTo((1 - t * t) * (1 - Math.tanh(t) ** 2), 1e-6);
    }));

  it('goes through devices and back', () =>
    tidy(async () => {
      const x = leaf(1, 2);
      const there = scale(to(x, 'cpu:1'), 3);
      const y = add(to(there, 'cpu'), x);
      backward(y, ones(y));
      expect(await numbers(x.grad)).to.deep.equal([4, 4]);
      expect(x.grad?.device.name).to.equal('cpu:0');
    }));

  it('takes a graph of 5,000 operations', () =>
    tidy(async () => {
      const x = leaf(1);
      let y = x;
      for (let i = 0; i < 5000; i++) y = scale(y, i % 2 ? 0.5 : 2);
      await y.data();
      backward(y);
      expect(await numbers(x.grad)).to.deep.equal([1]);
    }));

  describe('noGrad', () => {
    it('records nothing', () => {
      tidy(() => {
        const x = leaf(1);
        const y = noGrad(() => scale(x, 2));
        expect(() => backward(y)).to.throw(ArgumentError, 'requires a gradient');
        backward(scale(x, 2));
        expect(x.grad).to.not.equal(undefined);
      });
    });

    it('holds for an async body, and not for what runs beside it', () =>
      tidy(async () => {
        const x = leaf(1);
        const [silent, recorded] = await Promise.all([
          noGrad(async () => {
            await x.data();
            return scale(x, 2);
          }),
          (async () => {
            await x.data();
            return scale(x, 3);
          })(),
        ]);
        expect(() => backward(silent)).to.throw(ArgumentError);
        backward(recorded);
        expect(await numbers(x.grad)).to.deep.equal([3]);
      }));

    it('cuts a graph', () =>
      tidy(async () => {
        const x = leaf(2);
        const h = noGrad(() => scale(x, 10));
        backward(add(h, scale(x, 3)));
        expect(await numbers(x.grad)).to.deep.equal([3]);
      }));
  });

  describe('errors', () => {
    it('a loss of several elements without a cotangent', () => {
      tidy(() => {
        const y = scale(leaf(1, 2), 2);
        expect(() => backward(y)).to.throw(
          ShapeError,
          'Expected cotangent, or a loss of one element for loss',
        );
      });
    });

    it('a cotangent of another shape', () => {
      tidy(() => {
        const y = scale(leaf(1, 2), 2);
        expect(() => backward(y, tensor([[1, 2]]))).to.throw(ShapeError, 'cotangent');
      });
    });

    it('a loss that depends on nothing that requires a gradient', () => {
      tidy(() => {
        expect(() => backward(scale(tensor([1]), 2))).to.throw(ArgumentError, 'requires a gradient');
        expect(() => backward(leaf(1))).to.throw(ArgumentError, 'requires a gradient');
      });
    });

    it('a second backward', () =>
      tidy(async () => {
        const x = leaf(1);
        const y = scale(x, 2);
        backward(y);
        expect(() => backward(y)).to.throw(DisposedError, 'scale');
        expect(await numbers(x.grad)).to.deep.equal([2]);
      }));

    it('a second backward through a part of a graph', () => {
      tidy(() => {
        const x = leaf(1);
        const h = scale(x, 2);
        const [a, b] = [tanh(h), relu(h)];
        const start = liveBuffers();
        backward(a);
        const used = liveBuffers();
        expect(() => backward(b)).to.throw(DisposedError, 'scale');
        expect(liveBuffers(), 'live buffers').to.be.at.most(used);
        expect(used - start, 'one gradient, less what tanh kept').to.be.at.most(1);
      });
    });

    it('a graph that is used up in part: nothing was added anywhere', () =>
      tidy(async () => {
        const [x, w] = [leaf(1), leaf(1)];
        const h = scale(x, 2);
        const [a, b] = [relu(h), add(scale(w, 3), h)];
        backward(a);
        expect(() => backward(b)).to.throw(DisposedError, 'scale');
        expect(w.grad).to.equal(undefined);
        expect(await numbers(x.grad)).to.deep.equal([2]);
      }));

    describe('numbers that changed since they were kept', () => {
      const changes: readonly [string, (x: Tensor) => void][] = [
        ['write', (x) => x.write(Float32Array.of(9), 3)],
        ['write of a reshaped view', (x) => reshape(x, [4]).write(Float32Array.of(9))],
        ['sgdStep', (x) => sgdStep(x, ones(x), ones(x), { lr: 1, momentum: 0, weightDecay: 0 })],
        [
          'adamStep',
          (x) =>
            adamStep(x, ones(x), ones(x), ones(x), {
              lr: 1,
              beta1: 0,
              beta2: 0,
              eps: 1,
              weightDecay: 0,
              step: 1,
            }),
        ],
      ];
      const kept: readonly [string, (x: Tensor) => { y: Tensor; changed: Tensor }][] = [
        [
          'an input',
          (x) => ({
            y: matmul(
              x,
              tensor([
                [1, 2],
                [3, 4],
              ]),
            ),
            changed: x,
          }),
        ],
        ['an output', (x) => output(tanh(x))],
        ['an output of lrn', (x) => output(lrn(reshape(x, [1, 1, 1, 4])))],
        ['an input of lrn', (x) => ({ y: lrn(reshape(x, [1, 1, 1, 4])), changed: x })],
        ['weights', (x) => ({ y: linear(tensor([[1, 2]]), x), changed: x })],
      ];
      const output = (y: Tensor) => ({ y, changed: y });
      for (const [what, change] of changes) {
        for (const [where, compute] of kept) {
          it(`${what}: ${where}`, () => {
            tidy(() => {
              const x = tensor(
                [
                  [1, 2],
                  [3, 4],
                ],
                undefined,
                { requiresGrad: true },
              );
              const { y, changed } = compute(x);
              noGrad(() => change(changed));
              expect(() => backward(y, ones(y))).to.throw(ArgumentError, 'written in place');
              expect(x.grad).to.equal(undefined);
            });
          });
        }
      }

      it('what no backward needs may change', () =>
        tidy(async () => {
          const x = leaf(1, 2);
          const y = scale(x, 3);
          x.write(Float32Array.of(7, 7));
          y.write(Float32Array.of(7, 7));
          backward(y, ones(y));
          expect(await numbers(x.grad)).to.deep.equal([3, 3]);
        }));
    });
  });

  describe('memory', () => {
    it('is back to the start after a training step', () => {
      const start = liveBuffers();
      const weights = makeWeights();
      const before = liveBuffers();
      for (let step = 0; step < 3; step++) {
        tidy(() => backward(network(pictures(), weights)));
        expect(liveBuffers()).to.equal(before + 3);
        for (const weight of Object.values(weights)) weight.grad?.dispose();
        expect(liveBuffers()).to.equal(before);
      }
      for (const weight of Object.values(weights)) weight.dispose();
      expect(liveBuffers()).to.equal(start);
    });

    it('is freed with the output when there is no backward', () => {
      const weights = makeWeights();
      const before = liveBuffers();
      const loss = tidy(() => network(pictures(), weights));
      expect(liveBuffers()).to.be.above(before + 1);
      loss.dispose();
      expect(liveBuffers()).to.equal(before);
      for (const weight of Object.values(weights)) weight.dispose();
    });

    it('is freed when the body of a tidy throws', () => {
      const weights = makeWeights();
      const before = liveBuffers();
      expect(() =>
        tidy(() => {
          network(pictures(), weights);
          throw new Error('thrown');
        }),
      ).to.throw('thrown');
      expect(liveBuffers()).to.equal(before);
      for (const weight of Object.values(weights)) weight.dispose();
    });

    it('holds a shared part as long as one output needs it', () => {
      tidy(() => {
        const x = leaf(1);
        const h = tanh(x);
        const [a, b] = [relu(h), scale(h, 2)];
        h.dispose();
        a.dispose();
        backward(b);
        expect(x.grad).to.not.equal(undefined);
      });
    });

    it('goes with the leaf: its gradient is disposed of too', () => {
      const start = liveBuffers();
      const x = leaf(1);
      tidy(() => backward(scale(x, 2)));
      x.dispose();
      expect(liveBuffers()).to.equal(start);
    });

    it('is not taken for a leaf that was disposed before the backward', () => {
      const start = liveBuffers();
      tidy(() => {
        const x = leaf(1);
        const y = scale(x, 2);
        x.dispose();
        backward(y);
      });
      expect(liveBuffers()).to.equal(start);
    });

    it('without recording is freed as soon as it is disposed of', () => {
      tidy(() => {
        const weights = makeWeights();
        const x = pictures();
        const before = liveBuffers();
        noGrad(() => tidy(() => network(x, weights))).dispose();
        expect(liveBuffers()).to.equal(before);
      });
    });
  });
});
