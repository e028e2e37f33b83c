import { expect } from 'chai';
import { Device } from '../../lib/device.js';
import { ArgumentError, DeviceError } from '../../lib/errors.js';
import { AlexNet, type AlexNetOptions } from '../../lib/models/alexnet.js';
import { INITS } from '../../lib/models/presets.js';
import { rand, zeros } from '../../lib/tensor.js';
import { difference, expectClose, expectEqual } from '../support/compare.js';
import { readWholes, type Step, type Training, train } from '../support/train.js';

const [BATCH, STEPS] = [2, 10];
const TOLERANCE = 1e-5;
/**
 * What differs is the order of some sums. Where two numbers of a window are as good as equal such a bit decides which of
 * them is the maximum, and a large rate makes more of that with each step. So it is on one device where a last bit of the
 * weights is another: after ten steps at this rate that moves velocities of convolutions by 2e-2 of the maximum, their
 * biases, which begin at zero, by 8e-3, and weights by 3e-6.
 */
const LR = 5e-5;

async function traced(devices: readonly string[]): Promise<Training & { steps: Step[] }> {
  const steps: Step[] = [];
  const onStep = (step: Step) => {
    if (steps.length < 2) steps.push(step);
  };
  return { ...(await train(devices, BATCH, STEPS, { lr: LR, onStep })), steps };
}

describe('AlexNet, its columns on two devices', function () {
  this.timeout(300_000);
  let one: Training & { steps: Step[] };
  let two: Training & { steps: Step[] };
  before(async () => {
    one = await traced(['cpu']);
    two = await traced(['cpu', 'cpu:1']);
  });

  it('computes the logits of the network on one device', () => {
    expect(one.steps).to.have.lengthOf(2);
    for (const [i, { logits }] of one.steps.entries())
      expectClose(`step ${i + 1}`, two.steps[i]?.logits ?? [], logits, TOLERANCE);
  });

  it('computes every gradient', () => {
    for (const [i, { gradients }] of one.steps.entries()) {
      expect([...(two.steps[i]?.gradients.keys() ?? [])]).to.deep.equal([...gradients.keys()]);
      expect(gradients.size).to.equal(16);
      for (const [name, wanted] of gradients)
        expectClose(`step ${i + 1}, ${name}`, two.steps[i]?.gradients.get(name) ?? [], wanted, TOLERANCE);
    }
  });

  it(`has the weights after ${STEPS} steps`, async () => {
    expectClose('losses', two.losses, one.losses, TOLERANCE);
    expect(new Set(one.losses).size).to.equal(STEPS);
    expect([...two.weights.keys()]).to.deep.equal([...one.weights.keys()]);
    const { weights: before } = await train('cpu', BATCH, 0);
    for (const [name, wanted] of one.weights) {
      expectClose(name, two.weights.get(name) ?? [], wanted, TOLERANCE);
      expect(difference(before.get(name) ?? [], wanted).relative, `${name} has learnt`).to.be.above(
        5 * TOLERANCE,
      );
    }
    expect(two.biases.size).to.equal(8);
    for (const [name, wanted] of one.biases)
      if (name.startsWith('fc')) expectClose(name, two.biases.get(name) ?? [], wanted, TOLERANCE);
  });

  it('does so bit for bit again', async () => {
    const again = await train(['cpu', 'cpu:1'], BATCH, STEPS, { lr: LR });
    expectEqual('losses', again.losses, two.losses);
    for (const [name, wanted] of two.weights) expectEqual(name, again.weights.get(name) ?? [], wanted);
  });

  for (const init of INITS) {
    it(`begins with the numbers of the network on one device, init ${init}`, async () => {
      const numbers = async (devices: readonly string[]) => {
        using model = new AlexNet({ classes: 5, init, seed: 3, devices });
        return await readWholes(model.namedParameters());
      };
      const wanted = await numbers(['cpu']);
      for (const [name, values] of await numbers(['cpu', 'cpu:1']))
        expectEqual(name, values, wanted.get(name) ?? []);
    });
  }

  it('has a module for each column, and half of the memory on each device', () => {
    using model = new AlexNet({ classes: 1000, devices: ['cpu', 'cpu:1'] });
    expect(model.parameterCount).to.equal(60_965_224);
    const parameters = [...model.namedParameters()];
    const found = (name: string) => parameters.find(([each]) => each === name)?.[1];
    expect(parameters).to.have.lengthOf(32);
    expect(found('conv1.1.weight')?.shape).to.deep.equal([48, 11, 11, 3]);
    expect(found('conv2.1.weight')?.shape).to.deep.equal([128, 5, 5, 48]);
    expect(found('conv3.1.weight')?.shape).to.deep.equal([192, 3, 3, 256]);
    expect(found('fc8.1.weight')?.shape).to.deep.equal([500, 4096]);
    for (const [name, { device }] of parameters)
      expect(device.name, name).to.equal(/\.1\./.test(name) ? 'cpu:1' : 'cpu:0');
    for (const { name } of model.devices) {
      const own = parameters.filter(([, { device }]) => device.name === name);
      expect(own.reduce((sum, [, { size }]) => sum + size, 0)).to.equal(60_965_224 / 2);
    }
  });

  it('evaluates and gives features as the network on one device', async () => {
    using single = new AlexNet({ classes: 3, init: 'he' }).eval();
    using split = new AlexNet({ classes: 3, init: 'he', devices: ['cpu', 'cpu:1'] }).eval();
    using x = rand([1, 227, 227, 3], { seed: 1 });
    using y = split.forward(x);
    using wanted = single.forward(x);
    expectClose('logits', await y.data(), await wanted.data(), TOLERANCE);
    using features = split.features(x);
    using wantedFeatures = single.features(x);
    expect(features.shape).to.deep.equal([1, 4096]);
    expectClose('features', await features.data(), await wantedFeatures.data(), TOLERANCE);
  });

  it('frees all that a step makes', async () => {
    const devices = ['cpu:2', 'cpu:3'].map((name) => Device.get(name));
    const before = devices.map((device) => device.memory().liveBuffers);
    await train(devices, 1, 1);
    expect(devices.map((device) => device.memory().liveBuffers)).to.deep.equal(before);
  });

  it('says in its summary what crosses', () => {
    using model = new AlexNet({ classes: 10, devices: ['cpu', 'cpu:1'] });
    const lines = model.summary().split('\n');
    expect(lines[0]).to.equal('AlexNet, preset paper, init paper, a column on each of cpu:0 and cpu:1');
    expect(lines.filter((line) => /⇄|→/.test(line))).to.deep.equal([
      'conv3    ⇄ both columns, 3 × 3, ReLU            13 × 13 × 384     885,120',
      'flatten  ⇄ both columns                         9216',
      'fc7      ⇄ both columns, fully connected, ReLU  4096           16,781,312',
      'fc8      ⇄ both columns, fully connected        10                 40,970',
      'logits   → both columns, on cpu:0               10',
      '⇄ → cross between the devices, and the gradients the other way',
    ]);
    using single = new AlexNet({ classes: 10 });
    expect(single.summary()).to.not.match(/⇄|→/);
    expect(single.crossings(128)).to.deep.equal([]);
  });

  it('lists all that crosses, with its bytes', () => {
    using model = new AlexNet({ classes: 10, devices: ['cpu', 'cpu:1'] });
    const [pool2, pool5, hidden, logits] = [
      128 * 13 * 13 * 128 * 4,
      128 * 6 * 6 * 128 * 4,
      128 * 2048 * 4,
      128 * 5 * 4,
    ];
    const found = model
      .crossings(128)
      .map(({ tensor, layer, from, to, bytes }) => [tensor, layer, from, to, bytes]);
    const both = (tensor: string, layer: string, bytes: number) => [
      [tensor, layer, 'cpu:1', 'cpu:0', bytes],
      [tensor, layer, 'cpu:0', 'cpu:1', bytes],
    ];
    expect(found).to.deep.equal([
      ...both('pool2', 'conv3', pool2),
      ...both('pool5', 'flatten', pool5),
      ...both('drop6', 'fc7', hidden),
      ...both('drop7', 'fc8', hidden),
      ['fc8', 'loss', 'cpu:1', 'cpu:0', logits],
      ['gradient of fc8', 'loss', 'cpu:0', 'cpu:1', logits],
      ...both('gradient of drop7', 'fc8', hidden),
      ...both('gradient of drop6', 'fc7', hidden),
      ...both('gradient of pool5', 'flatten', pool5),
      ...both('gradient of pool2', 'conv3', pool2),
    ]);
    expect(model.crossings(2)[0]?.shape).to.deep.equal([2, 13, 13, 128]);
  });

  describe('refuses', () => {
    for (const [name, options, type, message] of [
      [
        'one device twice',
        { devices: ['cpu', 'cpu:0'] },
        ArgumentError,
        'Expected each device once for devices but received "cpu, cpu:0"',
      ],
      [
        'three devices',
        { devices: ['cpu', 'cpu:1', 'cpu:2'] },
        ArgumentError,
        'Expected one device, or two for the columns, for devices but received "cpu, cpu:1, cpu:2"',
      ],
      [
        'no device',
        { devices: [] },
        ArgumentError,
        'Expected one device, or two for the columns, for devices',
      ],
      [
        'a text',
        { devices: 'cpu:0,cpu:1' as unknown as string[] },
        ArgumentError,
        'Expected array of devices for devices',
      ],
      [
        'a CPU and a CUDA device',
        { devices: ['cpu', 'cuda:0'] },
        DeviceError,
        'Expected devices of one kind, CPU or CUDA, for devices but received "cpu, cuda:0"',
      ],
      [
        'a device that is not there',
        { devices: ['cpu', 'cpu:16'] },
        DeviceError,
        'Expected cpu:0 … cpu:15 for device but received "cpu:16"',
      ],
      [
        'device beside devices',
        { device: 'cpu', devices: ['cpu', 'cpu:1'] },
        ArgumentError,
        'Expected either device or devices',
      ],
      [
        'a preset without groups',
        { preset: 'dansuh17', devices: ['cpu', 'cpu:1'] },
        ArgumentError,
        'Expected one of two columns, such as paper, for two devices for preset but received "dansuh17"',
      ],
      [
        'a single class',
        { classes: 1, devices: ['cpu', 'cpu:1'] },
        ArgumentError,
        'Expected at least a class for each device for classes but received 1',
      ],
    ] satisfies [string, Partial<AlexNetOptions>, typeof ArgumentError | typeof DeviceError, string][]) {
      it(name, () => {
        expect(() => new AlexNet({ classes: 10, ...options })).to.throw(type, message);
      });
    }

    it('inputs that are not one on each device', () => {
      using model = new AlexNet({ classes: 10, devices: ['cpu', 'cpu:1'] });
      using x = zeros([1, 227, 227, 3]);
      expect(() => model.forward([x])).to.throw(
        ArgumentError,
        'Expected tensor for x but received undefined',
      );
      expect(() => model.forward([x, x])).to.throw(DeviceError, 'Expected tensor on cpu:1 for x');
      expect(() => model.forward([x, x, x])).to.throw(
        ArgumentError,
        'Expected a tensor on each of cpu:0, cpu:1 for x',
      );
    });
  });
});
