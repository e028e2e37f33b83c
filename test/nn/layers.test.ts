import { expect } from 'chai';
import { Device } from '../../lib/device.js';
import { ArgumentError, ShapeError } from '../../lib/errors.js';
import {
  Conv2d,
  Flatten,
  Generator,
  he,
  Linear,
  LocalResponseNorm,
  MaxPool2d,
  type Module,
  manualSeed,
  ReLU,
  Tanh,
} from '../../lib/nn/index.js';
import { conv2d, linear, lrn, maxPool2d, relu, tanh } from '../../lib/ops/index.js';
import { STREAMS } from '../../lib/random.js';
import { randn, type Tensor, tensor } from '../../lib/tensor.js';
import { expectEqual } from '../support/compare.js';
import { statistics } from '../support/statistics.js';

async function expectSame(actual: Tensor, wanted: Tensor): Promise<void> {
  expect(actual.shape).to.deep.equal(wanted.shape);
  expectEqual('y', await actual.data(), await wanted.data());
  actual.dispose();
  wanted.dispose();
}

async function bitsOf(module: Module): Promise<number[][]> {
  const bits = [];
  for (const parameter of module.parameters()) bits.push([...(await parameter.data())]);
  return bits;
}

const generatorOf = (seed: number) => new Generator(seed, STREAMS.init);

describe('layers', () => {
  it('Conv2d is conv2d with all its options', async () => {
    const options = { stride: [2, 1], padding: 1, dilation: 2, groups: 2, relu: true } as const;
    using layer = new Conv2d(4, 6, { kernelSize: [3, 2], ...options });
    using x = randn([2, 9, 8, 4], { seed: 1 });
    expect(layer.weight.shape).to.deep.equal([6, 3, 2, 2]);
    expect(layer.bias?.shape).to.deep.equal([6]);
    await expectSame(layer.forward(x), conv2d(x, layer.weight, { ...options, bias: layer.bias }));
  });

  it('Linear is linear, with a bias and a ReLU or without', async () => {
    using x = randn([3, 5], { seed: 1 });
    using both = new Linear(5, 7, { relu: true });
    expect([both.weight.shape, both.bias?.shape]).to.deep.equal([[7, 5], [7]]);
    await expectSame(both.forward(x), linear(x, both.weight, { bias: both.bias, relu: true }));
    using neither = new Linear(5, 7, { bias: false });
    await expectSame(neither.forward(x), linear(x, neither.weight));
  });

  it('LocalResponseNorm, MaxPool2d, ReLU and Tanh are their operations', async () => {
    using x = randn([2, 5, 6, 8], { seed: 1 });
    const norm = { size: 3, alpha: 0.3, beta: 0.6, k: 2, groups: 2 };
    await expectSame(new LocalResponseNorm(norm).forward(x), lrn(x, norm));
    await expectSame(new LocalResponseNorm().forward(x), lrn(x));
    const pool = { kernelSize: [3, 2], stride: 1, padding: 1 } as const;
    await expectSame(new MaxPool2d(pool).forward(x), maxPool2d(x, pool));
    await expectSame(new ReLU().forward(x), relu(x));
    await expectSame(new Tanh().forward(x), tanh(x));
  });

  it('Flatten keeps the order of the memory', async () => {
    using x = tensor(
      Float32Array.from({ length: 24 }, (_, i) => i),
      [2, 2, 3, 2],
    );
    using y = new Flatten().forward(x);
    expect(y.shape).to.deep.equal([2, 12]);
    expect([...(await y.data())]).to.deep.equal(Array.from({ length: 24 }, (_, i) => i));
  });

  it('makes parameters on the device of its options', () => {
    const device = Device.get('cpu:1');
    using layer = new Linear(2, 2, { device });
    expect([layer.weight.device, layer.bias?.device]).to.deep.equal([device, device]);
  });
});

describe('initialisation of layers', () => {
  it("is PyTorch's: uniform in ±1/√fanIn, weights and biases, groups counted", async () => {
    using conv = new Conv2d(32, 64, { kernelSize: [5, 3], groups: 4, generator: generatorOf(1) });
    using fc = new Linear(400, 300, { generator: generatorOf(2) });
    for (const [layer, fanIn] of [
      [conv, 8 * 5 * 3],
      [fc, 400],
    ] as const) {
      const bound = 1 / Math.sqrt(fanIn);
      const weights = statistics(await layer.weight.data());
      const biases = statistics((await layer.bias?.data()) ?? new Float32Array());
      for (const { low, high } of [weights, biases]) {
        expect(low).to.be.within(-bound, -0.9 * bound);
        expect(high).to.be.within(0.9 * bound, bound);
      }
      expect(weights.mean).to.be.closeTo(0, 0.02 * bound);
      expect(weights.std).to.be.closeTo(bound / Math.sqrt(3), 0.02 * bound);
    }
  });

  it('can be given', async () => {
    const biasInit = { kind: 'constant', value: 0.5 } as const;
    using fc = new Linear(200, 500, { weightInit: he(200), biasInit, generator: generatorOf(3) });
    const { mean, std } = statistics(await fc.weight.data());
    expect(mean).to.be.closeTo(0, 0.002);
    expect(std).to.be.closeTo(0.1, 0.001);
    expect(new Set(await fc.bias?.data())).to.deep.equal(new Set([0.5]));
  });

  it('draws different numbers for each parameter, and equal ones from equal seeds', async () => {
    const layersOf = (seed: number) => {
      const generator = generatorOf(seed);
      return [new Linear(3, 3, { generator }), new Linear(3, 3, { generator })];
    };
    const drawn = async (seed: number) => {
      const layers = layersOf(seed);
      const bits = (await Promise.all(layers.map(bitsOf))).flat();
      for (const layer of layers) layer.dispose();
      return bits;
    };
    const first = await drawn(7);
    expect(await drawn(7)).to.deep.equal(first);
    expect(new Set([...first.flat(), ...(await drawn(8)).flat()]).size).to.equal(2 * 2 * 12);
  });

  it('starts anew with manualSeed', async () => {
    const drawn = async () => {
      using layer = new Linear(3, 3);
      return await bitsOf(layer);
    };
    manualSeed(5);
    const first = await drawn();
    expect(await drawn()).to.not.deep.equal(first);
    manualSeed(5);
    expect(await drawn()).to.deep.equal(first);
    manualSeed(6);
    expect(await drawn()).to.not.deep.equal(first);
    manualSeed(0);
  });
});

describe('layers refuse', () => {
  const wrong: [string, () => unknown, typeof ArgumentError, string][] = [
    [
      'no input channels',
      () => new Conv2d(0, 1, { kernelSize: 1 }),
      ArgumentError,
      'Expected positive integer for inChannels but received 0 of type number',
    ],
    [
      'half a filter',
      () => new Conv2d(1, 1.5, { kernelSize: 1 }),
      ArgumentError,
      'Expected positive integer for outChannels but received 1.5 of type number',
    ],
    [
      'a kernel of 0',
      () => new Conv2d(1, 1, { kernelSize: [1, 0] }),
      ArgumentError,
      'Expected positive integer for kernelSize[1] but received 0 of type number',
    ],
    [
      'groups of 0',
      () => new Conv2d(1, 1, { kernelSize: 1, groups: 0 }),
      ArgumentError,
      'Expected positive integer for groups but received 0 of type number',
    ],
    [
      'channels that groups do not divide',
      () => new Conv2d(3, 4, { kernelSize: 1, groups: 2 }),
      ShapeError,
      'Expected multiple of 2 groups for inChannels but received 3 of type number',
    ],
    [
      'filters that groups do not divide',
      () => new Conv2d(4, 3, { kernelSize: 1, groups: 2 }),
      ShapeError,
      'Expected multiple of 2 groups for outChannels but received 3 of type number',
    ],
    [
      'no features',
      () => new Linear(4, 0),
      ArgumentError,
      'Expected positive integer for outFeatures but received 0 of type number',
    ],
  ];
  for (const [name, make, error, message] of wrong) {
    it(name, () => {
      expect(make).to.throw(error, message);
    });
  }
});
