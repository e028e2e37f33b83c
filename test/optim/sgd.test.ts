import { expect } from 'chai';
import { Device } from '../../lib/device.js';
import { ArgumentError, NonFiniteError } from '../../lib/errors.js';
import { Adam, SGD } from '../../lib/optim/index.js';
import { Random } from '../../lib/random.js';
import { full, type Tensor, tensor, zeros } from '../../lib/tensor.js';
import { expectClose, expectEqual } from '../support/compare.js';

function parameter(values: readonly number[] | Float32Array, device = 'cpu'): Tensor {
  return tensor(Float32Array.from(values), [values.length], { requiresGrad: true, device });
}

function setGradient(target: Tensor, values: readonly number[] | Float32Array): void {
  target.grad = tensor(Float32Array.from(values), [values.length], { device: target.device });
}

describe('SGD', () => {
  it('keeps the rate inside the velocity: a drop leaves earlier steps as they were', async () => {
    using w = parameter([1]);
    using optimizer = new SGD([['w', w]], { lr: 0.1, momentum: 0.5 });
    // v: −0.1, −0.15, then at a tenth of the rate −0.075 − 0.01, −0.0425 − 0.01. PyTorch's third weight is 0.7325.
    for (const [rate, wanted] of [
      [1, 0.9],
      [1, 0.75],
      [0.1, 0.665],
      [0.1, 0.6125],
    ] as const) {
      optimizer.setLrFactor(rate);
      setGradient(w, [1]);
      optimizer.step();
      optimizer.zeroGrad();
      expect(await w.item()).to.be.closeTo(wanted, 1e-6);
    }
  });

  it('decays weights by weightDecay × rate × weight', async () => {
    using w = parameter([2, -4]);
    using optimizer = new SGD([['w', w]], { lr: 0.1, weightDecay: 0.5 });
    setGradient(w, [0, 1]);
    optimizer.step();
    expectClose('w', await w.data(), [2 - 0.1, -4 + 0.2 - 0.1], 1e-6);
  });

  it('follows the rule in double over 20 steps with two drops', async () => {
    const size = 37;
    const random = new Random(1, 1);
    const draw = () => Float32Array.from({ length: size }, () => random.normal());
    const start = draw();
    using w = parameter(start);
    using optimizer = new SGD([['w', w]], { lr: 0.01, momentum: 0.9, weightDecay: 5e-4 });
    const weights = Float64Array.from(start);
    const velocities = new Float64Array(size);
    for (let step = 0; step < 20; step++) {
      const rate = step < 8 ? 1 : step < 14 ? 0.1 : 0.01;
      const gradient = draw();
      optimizer.setLrFactor(rate);
      setGradient(w, gradient);
      optimizer.step();
      optimizer.zeroGrad();
      for (let i = 0; i < size; i++) {
        const [weight = 0, velocity = 0, g = 0] = [weights[i], velocities[i], gradient[i]];
        velocities[i] = 0.9 * velocity - 5e-4 * 0.01 * rate * weight - 0.01 * rate * g;
        weights[i] = weight + (velocities[i] ?? 0);
      }
    }
    const state = Object.fromEntries(optimizer.stateTensors());
    expectClose('w', await w.data(), weights, 1e-6);
    expectClose('velocity', (await state['velocity/w']?.data()) ?? [], velocities, 1e-6);
  });

  it('is plain gradient descent without options', async () => {
    using w = parameter([1, 2]);
    using optimizer = new SGD([['w', w]], { lr: 0.5 });
    for (let step = 0; step < 2; step++) {
      setGradient(w, [1, -1]);
      optimizer.step();
    }
    expectClose('w', await w.data(), [0, 3], 1e-6);
  });

  it('has a momentum by group, which the settings of a checkpoint name', async () => {
    using usual = parameter([1]);
    using own = parameter([1]);
    using none = parameter([1]);
    using optimizer = new SGD(
      [
        { params: [['usual', usual]] },
        { params: [['own', own]], momentum: 0.5, lr: 0.2 },
        { params: [['none', none]], momentum: 0 },
      ],
      { lr: 0.1, momentum: 0.9, weightDecay: 0.5 },
    );
    expect(optimizer.settings()).to.equal(
      'lr 0.1, weightDecay 0.5; lr 0.2, weightDecay 0.5, momentum 0.5; lr 0.1, weightDecay 0.5, momentum 0; ' +
        'kind SGD; momentum 0.9',
    );
    const all = [
      { w: usual, lr: 0.1, momentum: 0.9 },
      { w: own, lr: 0.2, momentum: 0.5 },
      { w: none, lr: 0.1, momentum: 0 },
    ].map((one) => ({ ...one, weight: 1, velocity: 0 }));
    for (let step = 0; step < 3; step++) {
      for (const { w } of all) setGradient(w, [2]);
      optimizer.step();
      for (const one of all) {
        one.velocity = one.momentum * one.velocity - one.lr * (0.5 * one.weight + 2);
        one.weight += one.velocity;
        expect(await one.w.item()).to.be.closeTo(one.weight, 1e-6);
      }
    }
  });

  it('goes on from its state bit by bit', async () => {
    const options = { lr: 0.01, momentum: 0.9, weightDecay: 5e-4 };
    using w = parameter([0.3, -0.7, 1.1]);
    using optimizer = new SGD([['w', w]], options);
    const steps = (target: Tensor, by: SGD, gradients: readonly number[]) => {
      for (const g of gradients) {
        setGradient(target, [g, 2 * g, -g]);
        by.step();
        by.zeroGrad();
      }
    };
    steps(w, optimizer, [0.1, 0.2]);
    using w2 = parameter(await w.data());
    using resumed = new SGD([['w', w2]], options);
    const saved = new Map(optimizer.stateTensors());
    for (const [name, state] of resumed.stateTensors()) {
      state.write((await saved.get(name)?.data()) ?? new Float32Array());
    }
    resumed.load(JSON.parse(JSON.stringify(optimizer.state())));
    steps(w, optimizer, [0.3, 0.4]);
    steps(w2, resumed, [0.3, 0.4]);
    expectEqual('w', await w2.data(), await w.data());
  });
});

describe('optimizers', () => {
  it('have rates and decays by group, all multiplied by the schedule', async () => {
    using weight = parameter([1]);
    using bias = parameter([1]);
    using usual = parameter([1]);
    using optimizer = new SGD(
      [
        { params: [['weight', weight]], weightDecay: 1 },
        { params: [['bias', bias]], lr: 0.2, weightDecay: 0 },
        { params: [['usual', usual]] },
      ],
      { lr: 0.1, weightDecay: 0.5 },
    );
    expect(optimizer.lr).to.equal(0.1);
    optimizer.setLrFactor(0.5);
    expect(optimizer.lr).to.equal(0.05);
    for (const w of [weight, bias, usual]) setGradient(w, [2]);
    optimizer.step();
    expect(await weight.item()).to.be.closeTo(1 - 0.05 * 2 - 0.05 * 1, 1e-6);
    expect(await bias.item()).to.be.closeTo(1 - 0.1 * 2, 1e-6);
    expect(await usual.item()).to.be.closeTo(1 - 0.05 * 2 - 0.05 * 0.5, 1e-6);
    expect([...optimizer.stateTensors()].map(([name]) => name)).to.deep.equal([
      'velocity/weight',
      'velocity/bias',
      'velocity/usual',
    ]);
  });

  it('name parameters without names by their place', async () => {
    using a = parameter([1]);
    using b = parameter([1]);
    using c = parameter([1]);
    const namesOf = (optimizer: SGD) => [...optimizer.stateTensors()].map(([name]) => name);
    using alone = new SGD([a, b], { lr: 0.1 });
    expect(namesOf(alone)).to.deep.equal(['velocity/0', 'velocity/1']);
    using grouped = new SGD([{ params: [a, ['b', b]] }, { params: [c], lr: 1 }], { lr: 0.1 });
    expect(namesOf(grouped)).to.deep.equal(['velocity/0', 'velocity/b', 'velocity/2']);
    setGradient(c, [1]);
    grouped.step();
    expect(await c.item()).to.equal(0);
  });

  it('skip parameters without a gradient', async () => {
    using a = parameter([1]);
    using b = parameter([1]);
    using optimizer = new SGD([a, b], { lr: 0.5, momentum: 0.9, weightDecay: 1 });
    setGradient(b, [1]);
    optimizer.step();
    expect([await a.item(), await b.item()]).to.deep.equal([1, 0]);
  });

  for (const [name, make] of [
    ['SGD', (w: Tensor) => new SGD([w], { lr: 1 })],
    ['Adam', (w: Tensor) => new Adam([w], { lr: 1, eps: 0 })],
  ] as const) {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      it(`tell that ${name} came to ${value}`, async () => {
        // Past what one thread takes, and past the vectors.
        const gradient = new Float32Array(40_003).fill(1);
        gradient[40_001] = value;
        using w = parameter(new Float32Array(40_003));
        using optimizer = make(w);
        setGradient(w, gradient);
        const failure = await optimizer.step().catch((error: unknown) => error);
        expect(failure).to.be.instanceOf(NonFiniteError);
        expect(String(failure)).to.match(
          /Step failed: Expected finite weights for the tensor of shape \[40003\]/,
        );
        await Device.get()
          .synchronize()
          .catch(() => {});
        expect(await w.data().catch((error: unknown) => error)).to.be.instanceOf(NonFiniteError);
      });
    }
  }

  it('keep gradients until zeroGrad, which frees them', () => {
    using w = parameter([1], 'cpu:2');
    using optimizer = new SGD([w], { lr: 0.5 });
    setGradient(w, [1]);
    const gradient = w.grad;
    optimizer.step();
    expect(w.grad).to.equal(gradient);
    optimizer.zeroGrad();
    expect([w.grad, gradient?.disposed]).to.deep.equal([undefined, true]);
    optimizer.zeroGrad();
  });

  it('make no tensors in a step, and free their state, not the parameters', () => {
    const device = Device.get('cpu:2');
    using w = parameter([1, 2], device.name);
    const start = device.memory().liveBuffers;
    const optimizer = new SGD([w], { lr: 0.5 });
    expect(device.memory().liveBuffers).to.equal(start + 1);
    setGradient(w, [1, 1]);
    optimizer.step();
    expect(device.memory().liveBuffers).to.equal(start + 2);
    optimizer.zeroGrad();
    optimizer.dispose();
    expect(device.memory().liveBuffers).to.equal(start);
    expect(w.disposed).to.equal(false);
  });

  it('leave frozen parameters alone, and the names of the others as they are', async () => {
    using w = parameter([1]);
    using frozen = parameter([2]);
    frozen.requiresGrad = false;
    for (const optimizer of [new SGD([frozen, w], { lr: 1 }), new Adam([frozen, w], { lr: 1 })]) {
      expect([...optimizer.parameters()]).to.deep.equal([w]);
      expect([...optimizer.stateTensors()].map(([name]) => name.split('/')[1]))
        .to.include('1')
        .and.not.to.include('0');
      optimizer.dispose();
    }
    expect(() => new SGD([frozen], { lr: 1 })).to.throw(ArgumentError, /requires a gradient/);
  });

  describe('refuse', () => {
    let w: Tensor;
    before(() => {
      w = full([2], 1, { requiresGrad: true });
    });
    after(() => w.dispose());

    const wrong: [string, () => unknown, RegExp][] = [
      [
        'a model',
        () => new SGD({} as never, { lr: 1 }),
        /iterable of parameters, such as model\.parameters\(\), for params/,
      ],
      [
        'a group without params',
        () => new SGD([{ parameters: [w] } as never], { lr: 1 }),
        /Expected tensor for 0/,
      ],
      [
        'no parameters',
        () => new SGD([], { lr: 1 }),
        /at least one parameter that requires a gradient for params but received 0/,
      ],
      [
        'a name twice',
        () =>
          new SGD(
            [
              ['w', w],
              ['w', zeros([1])],
            ],
            { lr: 1 },
          ),
        /each parameter once for params but received "w"/,
      ],
      ['a tensor twice', () => new SGD([w, w], { lr: 1 }), /each parameter once for params but received "1"/],
      [
        'what is no tensor',
        () => new SGD([['w', [1] as unknown as Tensor]], { lr: 1 }),
        /tensor for w but received \[1\]/,
      ],
      ['a rate of NaN', () => new SGD([w], { lr: Number.NaN }), /for lr but received NaN/],
      ['a negative rate', () => new SGD([{ params: [w], lr: -1 }], { lr: 1 }), /for lr but received -1/],
      [
        "a group's momentum of 2",
        () => new SGD([{ params: [w], momentum: 2 }], { lr: 1 }),
        /for momentum but received 2/,
      ],
      ['a momentum of 2', () => new SGD([w], { lr: 1, momentum: 2 }), /for momentum but received 2/],
      ['a negative decay', () => new SGD([w], { lr: 1, weightDecay: -1 }), /for weightDecay but received -1/],
      [
        'an infinite factor',
        () => new SGD([w], { lr: 1 }).setLrFactor(Number.POSITIVE_INFINITY),
        /for factor but received Infinity/,
      ],
    ];
    for (const [name, make, message] of wrong) {
      it(name, () => {
        expect(make).to.throw(ArgumentError, message);
      });
    }
  });
});
