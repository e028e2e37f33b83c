import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { backward, noGrad } from '../../lib/autograd.js';
import { Device } from '../../lib/device.js';
import { ArgumentError, DeviceError, ShapeError } from '../../lib/errors.js';
import { AlexNet, type AlexNetOptions } from '../../lib/models/alexnet.js';
import type { Init, PresetName } from '../../lib/models/presets.js';
import type { Module } from '../../lib/nn/index.js';
import { tidy } from '../../lib/scope.js';
import { empty, full, randn, type Shape, sizeOf, type Tensor, tensor } from '../../lib/tensor.js';
import { expectClose, expectEqual } from '../support/compare.js';
import { statistics } from '../support/statistics.js';

const PRESET_NAMES = ['paper', 'krizhevsky2012', 'dansuh17', 'torchvision'] as const;
/** Those whose dropout halves in evaluation. */
const HALVES: readonly PresetName[] = ['paper', 'krizhevsky2012'];
const image = (size = 227) => randn([1, size, size, 3], { seed: 1 });

function layerOf(model: AlexNet, wanted: string): Module {
  const [, layer] = [...model.members()].find(([name]) => name === wanted) ?? [];
  if (layer === undefined) throw new Error(`no layer ${wanted}`);
  return layer;
}

async function hashes(model: AlexNet): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [name, parameter] of model.namedParameters()) {
    found[name] = createHash('sha256')
      .update(await parameter.data())
      .digest('hex');
  }
  return found;
}

describe('AlexNet', () => {
  const shapes = (
    [one, two, three, four, five]: readonly [number, number, number, number, number],
    groups: number,
    classes: number,
  ): Record<string, Shape> => ({
    'conv1.weight': [one, 11, 11, 3],
    'conv1.bias': [one],
    'conv2.weight': [two, 5, 5, one / groups],
    'conv2.bias': [two],
    'conv3.weight': [three, 3, 3, two],
    'conv3.bias': [three],
    'conv4.weight': [four, 3, 3, three / groups],
    'conv4.bias': [four],
    'conv5.weight': [five, 3, 3, four / groups],
    'conv5.bias': [five],
    'fc6.weight': [4096, 9216],
    'fc6.bias': [4096],
    'fc7.weight': [4096, 4096],
    'fc7.bias': [4096],
    'fc8.weight': [classes, 4096],
    'fc8.bias': [classes],
  });
  const wide = [96, 256, 384, 384, 256] as const;
  for (const [preset, filters, groups, classes, count] of [
    ['paper', wide, 2, 1000, 60_965_224],
    ['paper', wide, 2, 10, 56_909_194],
    ['krizhevsky2012', wide, 2, 1000, 60_965_224],
    ['dansuh17', wide, 1, 1000, 62_378_344],
    ['torchvision', [64, 192, 384, 256, 256], 1, 1000, 61_100_840],
  ] as const) {
    it(`${preset} has ${count.toLocaleString('en-US')} parameters at ${classes} classes, in order`, () => {
      using model = new AlexNet({ classes, preset });
      const parameters = [...model.namedParameters()];
      const found = parameters.map(([name, { shape }]) => [name, shape]);
      expect(found).to.deep.equal(Object.entries(shapes(filters, groups, classes)));
      expect(parameters.reduce((sum, [, { shape }]) => sum + sizeOf(shape), 0)).to.equal(count);
      expect(model.parameterCount).to.equal(count);
      expect(model.summary().split('\n').at(-1)).to.equal(`${count.toLocaleString('en-US')} parameters`);
    });
  }

  it('prints a table of its layers', () => {
    using model = new AlexNet({ classes: 10 });
    expect(model.summary()).to.equal(
      [
        'AlexNet, preset paper, init paper',
        'layer    what                     output         parameters',
        'input                             227 × 227 × 3',
        'conv1    11 × 11, stride 4, ReLU  55 × 55 × 96       34,944',
        'norm1    LRN over 5, groups 2     55 × 55 × 96',
        'pool1    max 3, stride 2          27 × 27 × 96',
        'conv2    5 × 5, groups 2, ReLU    27 × 27 × 256     307,456',
        'norm2    LRN over 5, groups 2     27 × 27 × 256',
        'pool2    max 3, stride 2          13 × 13 × 256',
        'conv3    3 × 3, ReLU              13 × 13 × 384     885,120',
        'conv4    3 × 3, groups 2, ReLU    13 × 13 × 384     663,936',
        'conv5    3 × 3, groups 2, ReLU    13 × 13 × 256     442,624',
        'pool5    max 3, stride 2          6 × 6 × 256',
        'flatten                           9216',
        'fc6      fully connected, ReLU    4096           37,752,832',
        'drop6    dropout 0.5              4096',
        'fc7      fully connected, ReLU    4096           16,781,312',
        'drop7    dropout 0.5              4096',
        'fc8      fully connected          10                 40,970',
        '56,909,194 parameters',
      ].join('\n'),
    );
  });

  it('has dropout before both hidden layers in dansuh17, without groups', () => {
    using model = new AlexNet({ classes: 10, preset: 'dansuh17', dropout: 0.25 });
    expect(model.summary().split('\n').slice(13)).to.deep.equal([
      'flatten                           9216',
      'drop6    dropout 0.25             9216',
      'fc6      fully connected, ReLU    4096           37,752,832',
      'drop7    dropout 0.25             4096',
      'fc7      fully connected, ReLU    4096           16,781,312',
      'fc8      fully connected          10                 40,970',
      '58,322,314 parameters',
    ]);
    expect(model.summary()).to.not.include('groups');
  });

  for (const preset of PRESET_NAMES) {
    it(`${preset} computes what the table says, layer by layer`, async () => {
      using model = new AlexNet({ classes: 10, preset, init: 'he' }).eval();
      const table = model.summary().split('\n').slice(3, -1);
      using x = image(model.inputSize);
      const logits = await tidy(() =>
        noGrad(async () => {
          let current = x;
          const members = [...model.members()] as [string, Module][];
          expect(members.length).to.equal(table.length);
          for (const [i, [name, layer]] of members.entries()) {
            const next = layer.forward(current);
            const row = table[i] ?? '';
            expect(row.startsWith(name), row).to.equal(true);
            expect(` ${row} `).to.include(`  ${next.shape.slice(1).join(' × ')} `);
            const { low } = statistics(await next.data());
            if (row.includes('ReLU')) expect(low, row).to.equal(0);
            if (name.startsWith('drop') && !HALVES.includes(preset)) expect(next).to.equal(current);
            if (name.startsWith('drop') && HALVES.includes(preset)) {
              const halved = (await current.data()).map((value) => 0.5 * value);
              expectEqual(name, await next.data(), halved);
            }
            current = next;
          }
          return current.data<Float32Array>();
        }),
      );
      expect(statistics(logits).low).to.be.below(0);
      using y = model.forward(x);
      expect(y.shape).to.deep.equal([1, 10]);
      expectEqual('logits', await y.data(), logits);
    });
  }

  for (const [preset, alpha, groups] of [
    ['paper', 1e-4, 2],
    ['krizhevsky2012', 1e-4 / 5, 2],
    ['dansuh17', 1e-4 / 5, 1],
  ] as const) {
    it(`${preset} normalises with ${alpha} × the sum of squares, ${groups === 2 ? 'inside columns' : 'over all channels'}`, async () => {
      using model = new AlexNet({ classes: 2, preset });
      const values = Float32Array.from({ length: 12 }, (_, i) => 40 + 10 * i);
      using x = tensor(values, [1, 1, 1, 12]);
      const wanted = Array.from(values, (value, i) => {
        let sum = 0;
        for (let j = Math.max(0, i - 2); j <= Math.min(11, i + 2); j++) {
          const sameColumn = groups === 1 || i < 6 === j < 6;
          if (sameColumn) sum += (values[j] ?? 0) ** 2;
        }
        return value / (2 + alpha * sum) ** 0.75;
      });
      for (const name of ['norm1', 'norm2']) {
        using y = layerOf(model, name).forward(x);
        expectClose(name, await y.data(), wanted, 1e-6);
      }
    });
  }

  it('drops units in training only', async () => {
    using model = new AlexNet({ classes: 10, init: 'he' });
    using x = image();
    const run = () => tidy(() => noGrad(() => model.forward(x).data()));
    const [a, b] = [await run(), await run()];
    expect(a).to.not.deep.equal(b);
    model.eval();
    expectEqual('logits', await run(), await run());
    using without = new AlexNet({ classes: 10, init: 'he', dropout: 0 });
    using trained = without.train().forward(x);
    using evaluated = without.eval().forward(x);
    expectEqual('logits', await trained.data(), await evaluated.data());
  });

  it('gives each parameter a gradient and keeps nothing else', () => {
    const device = Device.get('cpu:2');
    using model = new AlexNet({ classes: 3, device });
    using x = randn([1, 227, 227, 3], { seed: 1, device });
    using cotangent = full([1, 3], 1, { device });
    const start = device.memory().liveBuffers;
    tidy(() => backward(model.forward(x), cotangent));
    for (const [name, parameter] of model.namedParameters())
      expect(parameter.grad?.shape, name).to.deep.equal(parameter.shape);
    expect(device.memory().liveBuffers).to.equal(start + 16);
    expect(x.grad).to.equal(undefined);
  });

  it('is built again from its config', () => {
    const options = { classes: 7, preset: 'dansuh17', init: 'he', dropout: 0.3 } as const;
    using model = new AlexNet({ ...options, seed: 5 });
    expect(model.config).to.deep.equal(options);
    using again = new AlexNet(JSON.parse(JSON.stringify(model.config)) as AlexNetOptions);
    expect(again.config).to.deep.equal(options);
    expect(again.summary()).to.equal(model.summary());
    using usual = new AlexNet({ classes: 7 });
    expect(usual.config).to.deep.equal({ classes: 7, preset: 'paper', init: 'paper', dropout: 0.5 });
    expect([usual.inputSize, usual.device.name, usual.training]).to.deep.equal([227, 'cpu:0', true]);
  });

  it('lives on the device of its options', () => {
    const device = Device.get('cpu:1');
    using model = new AlexNet({ classes: 2, device: 'cpu:1' });
    expect(model.device).to.equal(device);
    for (const parameter of model.parameters()) expect(parameter.device).to.equal(device);
    const start = device.memory().liveBuffers;
    model.dispose();
    expect(device.memory().liveBuffers).to.equal(start - 16);
  });
});

describe('initialisation of AlexNet', () => {
  type Wanted = { std: number } | { bound: number } | { value: number };
  const one: Wanted = { value: 1 };
  const zero: Wanted = { value: 0 };
  const small: Wanted = { std: 0.01 };

  /** How each parameter starts, by the paper, the PyTorch reading of it, He et al. and PyTorch. */
  const rules: Record<Init, (layer: string, kind: string, fanIn: number) => Wanted> = {
    paper: (layer, kind) => {
      if (kind === 'weight') return small;
      return ['conv2', 'conv4', 'conv5', 'fc6', 'fc7'].includes(layer) ? one : zero;
    },
    krizhevsky2012: (layer, kind) => {
      if (kind === 'weight') return ['conv3', 'conv4', 'conv5'].includes(layer) ? { std: 0.03 } : small;
      return ['conv2', 'conv4', 'conv5', 'fc6', 'fc7'].includes(layer) ? one : zero;
    },
    dansuh17: (layer, kind, fanIn) => {
      if (layer.startsWith('fc')) return { bound: 1 / Math.sqrt(fanIn) };
      if (kind === 'weight') return small;
      return ['conv2', 'conv4', 'conv5'].includes(layer) ? one : zero;
    },
    he: (layer, kind, fanIn) => {
      if (kind === 'bias') return zero;
      return layer === 'fc8' ? small : { std: Math.sqrt(2 / fanIn) };
    },
    pytorch: (_layer, _kind, fanIn) => ({ bound: 1 / Math.sqrt(fanIn) }),
  };

  /** Within five standard errors of what is wanted. */
  async function expectDrawn(name: string, parameter: Tensor, wanted: Wanted): Promise<void> {
    const { mean, std, low, high } = statistics(await parameter.data());
    if ('value' in wanted) {
      expect([low, high], name).to.deep.equal([wanted.value, wanted.value]);
      return;
    }
    const spread = 'std' in wanted ? wanted.std : wanted.bound / Math.sqrt(3);
    const errors = 5 / Math.sqrt(parameter.size);
    expect(mean, `mean of ${name}`).to.be.closeTo(0, errors * spread);
    expect(std, `std of ${name}`).to.be.closeTo(spread, errors * spread);
    if ('bound' in wanted) expect(Math.max(-low, high), name).to.be.at.most(Math.fround(wanted.bound));
    else if (parameter.size > 10_000) expect(high, `normal ${name}`).to.be.above(3.3 * spread);
  }

  for (const [preset, init] of [
    ['paper', undefined],
    ['krizhevsky2012', undefined],
    ['dansuh17', undefined],
    ['torchvision', undefined],
    ['paper', 'he'],
    ['dansuh17', 'pytorch'],
    ['paper', 'dansuh17'],
  ] as const) {
    it(`${init ?? 'its own'}, of ${preset}`, async () => {
      using model = new AlexNet({ classes: 100, preset, seed: 3, ...(init && { init }) });
      const own = preset === 'torchvision' ? 'pytorch' : preset;
      expect(model.config.init).to.equal(init ?? own);
      const rule = rules[init ?? own];
      let fanIn = 0;
      for (const [name, parameter] of model.namedParameters()) {
        const [layer = '', kind = ''] = name.split('.');
        if (kind === 'weight') fanIn = sizeOf(parameter.shape.slice(1));
        await expectDrawn(name, parameter, rule(layer, kind, fanIn));
      }
    });
  }

  it('is equal bit by bit for equal seeds, and has other weights for another seed', async () => {
    const drawn = async (seed: number, classes = 10) => {
      using model = new AlexNet({ classes, seed, init: 'he' });
      return await hashes(model);
    };
    const first = await drawn(1);
    expect(await drawn(1)).to.deep.equal(first);
    const weights = Object.values(first).filter((_, i) => i % 2 === 0);
    expect(new Set(weights).size).to.equal(8);
    for (const [name, hash] of Object.entries(await drawn(2))) {
      if (name.endsWith('weight')) expect(weights, name).to.not.include(hash);
    }
    const { 'fc8.weight': _weight, 'fc8.bias': _bias, ...others } = first;
    expect(await drawn(1, 11), 'another number of classes').to.include(others);
  });
});

describe('AlexNet refuses', () => {
  const wrong: [string, Partial<AlexNetOptions>, string][] = [
    ['no classes', { classes: 0 }, 'Expected positive integer for classes but received 0 of type number'],
    [
      'half a class',
      { classes: 2.5 },
      'Expected positive integer for classes but received 2.5 of type number',
    ],
    [
      'an unknown preset',
      { preset: 'vgg' as PresetName },
      'Expected one of paper, krizhevsky2012, dansuh17, torchvision for preset but received "vgg" of type string',
    ],
    [
      'a preset that every object has',
      { preset: 'constructor' as PresetName },
      'Expected one of paper, krizhevsky2012, dansuh17, torchvision for preset but received "constructor" of type string',
    ],
    [
      'an unknown initialisation',
      { init: 'xavier' as Init },
      'Expected one of paper, krizhevsky2012, dansuh17, he, pytorch for init but received "xavier" of type string',
    ],
    [
      'dropout of everything',
      { dropout: 1 },
      'Expected number in [0, 1) for dropout but received 1 of type number',
    ],
    [
      'dropout of less than nothing',
      { dropout: -0.1 },
      'Expected number in [0, 1) for dropout but received -0.1 of type number',
    ],
    ['half a seed', { seed: 1.5 }, 'Expected integer of at least 0 for seed but received 1.5 of type number'],
  ];
  for (const [name, options, message] of wrong) {
    it(name, () => {
      expect(() => new AlexNet({ classes: 2, ...options })).to.throw(ArgumentError, message);
    });
  }

  it('a device that is not there', () => {
    expect(() => new AlexNet({ classes: 2, device: 'gpu' })).to.throw(
      DeviceError,
      /device but received "gpu"/,
    );
  });

  describe('an input', () => {
    let model: AlexNet;
    before(() => {
      model = new AlexNet({ classes: 2 });
    });
    after(() => model.dispose());

    for (const shape of [[1, 224, 224, 3], [227, 227, 3], [1, 227, 227, 1], [1, 3, 227, 227], [2]]) {
      it(`of shape [${shape.join(', ')}]`, () => {
        using x = empty(shape);
        expect(() => model.forward(x)).to.throw(
          ShapeError,
          `Expected shape [N, 227, 227, 3] for x but received [${shape.join(', ')}]`,
        );
      });
    }

    it('of another size, where torchvision pools to 6 × 6 adaptively', () => {
      using other = new AlexNet({ classes: 2, preset: 'torchvision' });
      for (const size of [192, 227, 256]) {
        using x = empty([1, size, size, 3]);
        expect(() => other.forward(x)).to.throw(
          ShapeError,
          `Expected shape [N, 224, 224, 3] for x but received [1, ${size}, ${size}, 3]`,
        );
      }
    });

    it('of bytes', () => {
      using x = empty([1, 227, 227, 3], { dtype: 'uint8' });
      expect(() => model.forward(x)).to.throw(
        ArgumentError,
        'Expected float32 tensor for x but received "uint8"',
      );
    });

    it('that is no tensor', () => {
      expect(() => model.forward([] as unknown as Tensor)).to.throw(ArgumentError, 'Expected tensor for x');
    });

    it('on another device', () => {
      using x = empty([1, 227, 227, 3], { device: 'cpu:1' });
      expect(() => model.forward(x)).to.throw(DeviceError);
    });
  });
});
