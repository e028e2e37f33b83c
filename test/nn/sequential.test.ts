import { expect } from 'chai';
import { backward, noGrad } from '../../lib/autograd.js';
import { Device } from '../../lib/device.js';
import { ArgumentError } from '../../lib/errors.js';
import {
  Conv2d,
  Dropout,
  Flatten,
  Linear,
  LocalResponseNorm,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
} from '../../lib/nn/index.js';
import { conv2d, linear, lrn, maxPool2d, relu, reshape, scale } from '../../lib/ops/index.js';
import { tidy } from '../../lib/scope.js';
import { randn, type Tensor } from '../../lib/tensor.js';
import { expectEqual } from '../support/compare.js';

/** Of these tests alone, so that nobody else's buffers are counted. */
const device = Device.get('cpu:2');
const live = () => device.memory().liveBuffers;

/** ×2, and the number of live buffers when it was called. */
class Probe extends Module {
  seen = 0;

  override forward(x: Tensor): Tensor {
    this.seen = live();
    return scale(x, 2);
  }
}

class Failing extends Module {
  override forward(x: Tensor): Tensor {
    scale(x, 3);
    throw new Error('thrown');
  }
}

function network(): Sequential {
  return new Sequential({
    conv: new Conv2d(3, 8, { kernelSize: 3, padding: 1, relu: true, device }),
    norm: new LocalResponseNorm({ size: 3, alpha: 0.5 }),
    drop: new Dropout({ p: 0 }),
    pool: new MaxPool2d({ kernelSize: 3, stride: 2 }),
    flat: new Flatten(),
    fc: new Linear(8 * 3 * 3, 5, { device }),
    relu: new ReLU(),
  });
}

describe('Sequential', () => {
  it('names its layers as given, in an object or a list', () => {
    const a = new Linear(2, 2, { bias: false });
    const b = new Linear(2, 2, { bias: false });
    const namesOf = (net: Sequential) => [...net.namedParameters()].map(([name]) => name);
    expect(namesOf(new Sequential({ b, a }))).to.deep.equal(['b.weight', 'a.weight']);
    expect(
      namesOf(
        new Sequential([
          ['10', a],
          ['9', new Sequential({ inner: b })],
        ]),
      ),
    ).to.deep.equal(['10.weight', '9.inner.weight']);
    a.dispose();
    b.dispose();
  });

  it('applies them in that order', async () => {
    using net = network();
    using x = randn([2, 7, 7, 3], { seed: 1, device });
    const [conv, , , , , fc] = [...net.members()].map(([, layer]) => layer) as [
      Conv2d,
      Module,
      Module,
      Module,
      Module,
      Linear,
    ];
    const wanted = tidy(() => {
      const features = lrn(conv2d(x, conv.weight, { bias: conv.bias, padding: 1, relu: true }), {
        size: 3,
        alpha: 0.5,
      });
      const pooled = maxPool2d(features, { kernelSize: 3, stride: 2 });
      return relu(linear(reshape(pooled, [2, 72]), fc.weight, { bias: fc.bias }));
    });
    using y = net.forward(x);
    expectEqual('y', await y.data(), await wanted.data());
    wanted.dispose();
  });

  it('disposes of each intermediate result when the next layer has taken it', () => {
    using x = randn([4], { seed: 1, device });
    const start = live();
    const probes = [new Probe(), new Probe(), new Probe(), new Probe()];
    const net = new Sequential(probes.map((probe, i) => [`probe${i}`, probe]));
    const y = noGrad(() => net.forward(x));
    expect(probes.map((probe) => probe.seen - start)).to.deep.equal([0, 1, 1, 1]);
    expect(live()).to.equal(start + 1);
    expect(x.disposed).to.equal(false);
    y.dispose();
    expect(live()).to.equal(start);
  });

  it('keeps what the tape keeps: gradients are those of the undisposed chain', async () => {
    using net = network();
    using x = randn([2, 7, 7, 3], { seed: 1, device, requiresGrad: true });
    using cotangent = randn([2, 5], { seed: 2, device });
    const gradients = async () => {
      const found = [];
      for (const leaf of [x, ...net.parameters()]) {
        found.push((await leaf.grad?.data()) ?? new Float32Array());
        leaf.grad?.dispose();
        leaf.grad = undefined;
      }
      return found;
    };
    {
      using y = net.forward(x);
      backward(y, cotangent);
    }
    const actual = await gradients();
    const made: Tensor[] = [x];
    for (const [, layer] of net.members()) made.push(layer.forward(made.at(-1) ?? x));
    backward(made.at(-1) ?? x, cotangent);
    const wanted = await gradients();
    for (const t of new Set(made)) if (t !== x) t.dispose();
    expect(actual.length).to.equal(5);
    for (const [i, gradient] of wanted.entries()) {
      expect(gradient.some((value) => value !== 0)).to.equal(true);
      expectEqual(`gradient ${i}`, actual[i] ?? [], gradient);
    }
  });

  it('leaves no buffer behind after forward and backward', () => {
    using net = network();
    using x = randn([2, 7, 7, 3], { seed: 1, device });
    using cotangent = randn([2, 5], { seed: 2, device });
    const start = live();
    const y = net.forward(x);
    backward(y, cotangent);
    y.dispose();
    for (const parameter of net.parameters()) {
      parameter.grad?.dispose();
      parameter.grad = undefined;
    }
    expect(live()).to.equal(start);
  });

  it('leaves no buffer behind where nobody asks for the backward', () => {
    using net = network();
    using x = randn([2, 7, 7, 3], { seed: 1, device });
    const start = live();
    net.forward(x).dispose();
    expect(live()).to.equal(start);
  });

  it('returns its input where all layers do, and disposes of it never', () => {
    using x = randn([4], { seed: 1, device });
    expect(new Sequential({}).forward(x)).to.equal(x);
    const net = new Sequential({ a: new Dropout({ p: 0 }), b: new Dropout() }).eval();
    expect(tidy(() => net.forward(x))).to.equal(x);
    const start = live();
    using y = new Sequential({ a: net, b: new Probe(), c: net }).eval().forward(x);
    expect(live()).to.equal(start + 1);
    expect([x.disposed, y.disposed]).to.deep.equal([false, false]);
  });

  it('leaves its output to the scope around', () => {
    using x = randn([4], { seed: 1, device });
    const start = live();
    let y: Tensor | undefined;
    tidy(() => {
      y = new Sequential({ a: new ReLU(), b: new ReLU() }).forward(x);
      expect(y.disposed).to.equal(false);
    });
    expect(y?.disposed).to.equal(true);
    expect(live()).to.equal(start);
  });

  it('leaves nothing behind when a layer throws, not even what that layer made', () => {
    using x = randn([2, 7, 7, 3], { seed: 1, device, requiresGrad: true });
    const start = live();
    const net = new Sequential({ a: new ReLU(), norm: new LocalResponseNorm(), fails: new Failing() });
    expect(() => net.forward(x)).to.throw('thrown');
    expect(() => new Sequential({ fails: new Failing() }).forward(x)).to.throw('thrown');
    const wrongShape = new Sequential({
      a: new ReLU(),
      b: new ReLU(),
      pool: new MaxPool2d({ kernelSize: 8 }),
    });
    expect(() => wrongShape.forward(x)).to.throw(ArgumentError, /height of x but received 7/);
    expect(live()).to.equal(start);
    expect(x.disposed).to.equal(false);
  });

  it('refuses what is no module, and a name twice', () => {
    expect(() => new Sequential({ a: 'relu' as unknown as Module })).to.throw(
      ArgumentError,
      'Expected module for a but received "relu" of type string',
    );
    expect(() => new Sequential([new ReLU()] as never)).to.throw(ArgumentError, '[name, module] for a layer');
    const twice: [string, Module][] = [
      ['a', new ReLU()],
      ['a', new ReLU()],
    ];
    expect(() => new Sequential(twice)).to.throw(ArgumentError, /each name once for layers but received "a"/);
  });
});
