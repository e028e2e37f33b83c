import { expect } from 'chai';
import { Device } from '../../lib/device.js';
import { Conv2d, Dropout, Linear, Module, ReLU } from '../../lib/nn/index.js';
import { tidy } from '../../lib/scope.js';
import { type Tensor, zeros } from '../../lib/tensor.js';

/** Tensors and modules, alone and in an array, in no order of kind. */
class Mixed extends Module {
  readonly last = new Linear(2, 1, { bias: false });
  readonly gain = zeros([2], { requiresGrad: true });
  readonly blocks = [new Linear(2, 3), new ReLU(), new Linear(3, 2)];
  readonly constant = zeros([2]);
  readonly label = 'not a member';
  readonly offset = zeros([1], { requiresGrad: true });

  override forward(x: Tensor): Tensor {
    return this.last.forward(x);
  }
}

class Outer extends Module {
  readonly drop = new Dropout();
  readonly inner = new Mixed();

  override forward(x: Tensor): Tensor {
    return this.inner.forward(x);
  }
}

const MIXED = [
  'last.weight',
  'gain',
  'blocks.0.weight',
  'blocks.0.bias',
  'blocks.2.weight',
  'blocks.2.bias',
  'offset',
];

describe('Module', () => {
  it('names its parameters by path, in the order in which properties were defined', () => {
    using mixed = new Mixed();
    expect([...mixed.namedParameters()].map(([name]) => name)).to.deep.equal(MIXED);
    using outer = new Outer();
    expect([...outer.namedParameters()].map(([name]) => name)).to.deep.equal(
      MIXED.map((name) => `inner.${name}`),
    );
  });

  it('yields the same tensors without names', () => {
    using mixed = new Mixed();
    const parameters = [...mixed.parameters()];
    expect(parameters).to.deep.equal([...mixed.namedParameters()].map(([, parameter]) => parameter));
    expect(parameters[1]).to.equal(mixed.gain);
    expect(parameters.every((parameter) => parameter.requiresGrad)).to.equal(true);
  });

  it('keeps parameters that are frozen, and frees them', () => {
    using mixed = new Mixed();
    for (const parameter of mixed.parameters()) parameter.requiresGrad = false;
    expect([...mixed.namedParameters()].map(([name]) => name)).to.deep.equal(MIXED);
    mixed.dispose();
    expect(mixed.gain.disposed).to.equal(true);
    expect(mixed.constant.disposed).to.equal(false);
  });

  it('has no bias where it is switched off', () => {
    using conv = new Conv2d(1, 1, { kernelSize: 1, bias: false });
    expect(conv.bias).to.equal(null);
    expect([...conv.namedParameters()].map(([name]) => name)).to.deep.equal(['weight']);
  });

  it('passes train and eval on to all in it', () => {
    using outer = new Outer();
    const modes = () => [outer, outer.drop, outer.inner, ...outer.inner.blocks].map((m) => m.training);
    expect(modes()).to.deep.equal([true, true, true, true, true, true]);
    expect(outer.eval()).to.equal(outer);
    expect(modes()).to.deep.equal([false, false, false, false, false, false]);
    expect(outer.train()).to.equal(outer);
    expect(modes()).to.deep.equal([true, true, true, true, true, true]);
    outer.train(false);
    expect(modes()).to.deep.equal([false, false, false, false, false, false]);
  });

  it('frees its parameters and their gradients', () => {
    const device = Device.get('cpu:2');
    const start = device.memory().liveBuffers;
    const layer = new Linear(3, 2, { device });
    layer.weight.grad = zeros([2, 3], { device });
    expect(device.memory().liveBuffers).to.equal(start + 3);
    layer.dispose();
    expect(device.memory().liveBuffers).to.equal(start);
    expect([layer.weight.disposed, layer.bias?.disposed]).to.deep.equal([true, true]);
  });

  it('belongs to no scope', () => {
    const layer = tidy(() => new Linear(3, 2));
    expect(layer.weight.disposed).to.equal(false);
    layer.dispose();
  });
});
