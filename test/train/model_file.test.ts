import { mkdir, readdir, truncate } from 'node:fs/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  Adam,
  AlexNet,
  ArgumentError,
  Device,
  FileFormatError,
  loadModel,
  ModelFile,
  type ModelInfo,
  type Optimizer,
  SGD,
  saveModelFile,
  type Tensor,
  tensor,
} from '../../lib/index.js';
import { parameterShapes } from '../../lib/models/parameters.js';
import { formatInfo } from '../../lib/train/model_info.js';
import { headerOf, type Tensors, temporaryFolder, writeSparse } from '../io/files.js';
import { mutations, RUNS } from '../io/mutations.js';

const INFO: ModelInfo = {
  model: { classes: 2, preset: 'paper', init: 'he', dropout: 0.5 },
  classes: ['blue', 'red'],
  preprocessing: {
    resize: 256,
    kernel: 'lanczos3',
    crop: 227,
    mean: [1, 2, 3],
    scale: [0.02, 0.02, 0.02],
  },
};
const MODEL = JSON.stringify(INFO.model);
const SHAPES = [...parameterShapes(INFO.model)];

/** The message of the error of that class with which a promise rejects. */
async function rejection(
  promise: Promise<unknown>,
  type: typeof FileFormatError | typeof ArgumentError,
): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(type);
  return error instanceof type ? error.message : '';
}

/** With a mean image: the numbers 0, 1, … up to 250, again and again. */
const WITH_MEAN_IMAGE: ModelInfo = {
  ...INFO,
  preprocessing: {
    ...INFO.preprocessing,
    mean: Float32Array.from({ length: 256 * 256 * 3 }, (_, i) => i % 251),
  },
};

describe('model files', function () {
  this.timeout(120_000);
  const folder = temporaryFolder();

  async function write(metadata: object, tensors: Tensors = SHAPES): Promise<string> {
    const { header, dataBytes } = headerOf(metadata, tensors);
    await writeSparse(folder.path('model.safetensors'), header, dataBytes);
    return folder.path('model.safetensors');
  }

  /** That it is refused so, by name, and that no memory was taken on the device. */
  async function expectRefusal(path: string, message: RegExp): Promise<void> {
    const before = Device.get().memory().liveBytes;
    const refusal = await rejection(loadModel(path), FileFormatError);
    expect(refusal)
      .to.match(message)
      .and.to.include(path)
      .and.to.have.length.below(400 + path.length);
    expect(Device.get().memory().liveBytes).to.equal(before);
  }

  for (const preset of ['paper', 'dansuh17', 'torchvision'] as const) {
    it(`hold the parameters that a model has, preset ${preset}`, () => {
      using model = new AlexNet({ classes: 3, preset });
      const shapes = [...model.namedParameters()].map(([name, { shape }]) => [name, shape]);
      expect([...parameterShapes(model.config)]).to.deep.equal(shapes);
    });
  }

  it('are read in pieces, and the event loop turns between two', async () => {
    const path = await write(formatInfo(INFO));
    const sizes: number[] = [];
    const turns: number[] = [];
    let turn = 0;
    const counter = setInterval(() => {}, 1000);
    let immediate = setImmediate(function count() {
      turn++;
      immediate = setImmediate(count);
    });
    const { backend } = Device.get();
    const { write: original } = backend;
    backend.write = (handle, offset, data, whole) => {
      sizes.push(data.length);
      turns.push(turn);
      original(handle, offset, data, whole);
    };
    try {
      await using file = await ModelFile.open(path);
      using model = await file.loadModel();
      expect(sizes.reduce((sum, size) => sum + size, 0)).to.equal(model.parameterCount);
      for (const [, parameter] of model.namedParameters()) {
        const data = await parameter.data();
        expect([data[0], data.at(-1)]).to.deep.equal([0, 0]);
      }
    } finally {
      backend.write = original;
      clearInterval(counter);
      clearImmediate(immediate);
    }
    expect(Math.max(...sizes)).to.be.at.most(2 ** 20);
    expect(new Set(turns).size).to.equal(turns.length);
  });

  const metadata = (changes: Record<string, unknown>) => ({ ...formatInfo(INFO), ...changes });
  const model = (changes: object) => metadata({ model: JSON.stringify({ ...INFO.model, ...changes }) });
  const preprocessing = (changes: object) =>
    metadata({ preprocessing: JSON.stringify({ ...INFO.preprocessing, ...changes }) });
  const refusals: readonly (readonly [what: string, metadata: object, message: RegExp])[] = [
    ['no format', metadata({ format: undefined }), /"node-cudnn model 1" for format but received undefined/],
    [
      'another format',
      metadata({ format: 'node-cudnn model 2' }),
      /for format but received "node-cudnn model 2"/,
    ],
    ['no description', metadata({ model: undefined }), /JSON for model but received undefined/],
    ['half a description', metadata({ model: MODEL.slice(0, -1) }), /JSON for model but received "\{/],
    ['null', metadata({ model: 'null' }), /object for model but received null/],
    ['an array', metadata({ model: '[1]' }), /object for model but received \[1\]/],
    [
      'hostile names',
      metadata({ model: '[{"toString":1},[{}]]' }),
      /object for model but received \[an object, an/,
    ],
    [
      'a class of its own',
      metadata({ classes: '{"constructor":{"name":{}}}' }),
      /strings for classes but received/,
    ],
    [
      'no preset',
      model({ preset: undefined }),
      /one of paper, krizhevsky2012, dansuh17, torchvision for model\.preset but received undefined/,
    ],
    ['an unknown preset', model({ preset: 'vgg' }), /model\.preset but received "vgg"/],
    [
      'an inherited name as preset',
      model({ preset: 'constructor' }),
      /model\.preset but received "constructor"/,
    ],
    [
      'another preset',
      model({ preset: 'dansuh17' }),
      /F32 of shape \[256, 5, 5, 96\] for "conv2\.weight" in/,
    ],
    ['no init', model({ init: undefined }), /one of paper, .* for model\.init but received undefined/],
    ['an unknown init', model({ init: 'xavier' }), /model\.init but received "xavier"/],
    ['dropout of 1', model({ dropout: 1 }), /\[0, 1\) for model\.dropout but received 1/],
    ['dropout as text', model({ dropout: '0.5' }), /finite number for model\.dropout but received "0\.5"/],
    [
      'a device',
      model({ device: 'cpu:1' }),
      /only classes, preset, init, dropout for model but received "device"/,
    ],
    ['a seed', model({ seed: 1 }), /only classes, preset, init, dropout for model but received "seed"/],
    ['a prototype', metadata({ model: MODEL.replace('{', '{"__proto__":{},') }), /received "__proto__"/],
    ['no number of classes', model({ classes: undefined }), /positive integer for model\.classes/],
    ['half a class', model({ classes: 1.5 }), /positive integer for model\.classes but received 1\.5/],
    ['another number of classes', model({ classes: 1e9 }), /1000000000 names for classes but received 2/],
    [
      'another number of classes, by name',
      { ...model({ classes: 3 }), classes: '["a","b","c"]' },
      /F32 of shape \[3, 4096\] for "fc8\.weight" in .* but received F32 of shape \[2, 4096\]/,
    ],
    ['classes that are no strings', metadata({ classes: '["a",1]' }), /array of strings for classes/],
    ['no classes', metadata({ classes: undefined }), /JSON for classes but received undefined/],
    ['no preprocessing', metadata({ preprocessing: undefined }), /JSON for preprocessing/],
    [
      'another step of preprocessing',
      preprocessing({ pad: 3 }),
      /only .* for preprocessing but received "pad"/,
    ],
    [
      'a crop that the network does not take',
      preprocessing({ crop: 224 }),
      /227, .* preprocessing\.crop .* 224/,
    ],
    [
      'a crop that is larger than the picture',
      preprocessing({ resize: 200 }),
      /227 to 4096 for preprocessing\.resize/,
    ],
    [
      'an unknown kernel',
      preprocessing({ kernel: 'cubic' }),
      /one of lanczos3, linear for preprocessing\.kernel but received "cubic"/,
    ],
    ['pictures of gigabytes', preprocessing({ resize: 1e5 }), /preprocessing\.resize but received 100000/],
    [
      'two means',
      preprocessing({ mean: [1, 2] }),
      /three numbers for preprocessing\.mean but received \[1, 2\]/,
    ],
    ['a mean as text', preprocessing({ mean: [1, '2', 3] }), /preprocessing\.mean\[1\] but received "2"/],
    ['no scale', preprocessing({ scale: null }), /three numbers for preprocessing\.scale but received null/],
    ['notes that are none', metadata({ notes: '[]' }), /object for notes but received \[\]/],
    ['broken training state', metadata({ training: '{' }), /JSON for training but received "\{"/],
  ];
  for (const [what, header, message] of refusals) {
    it(`are refused with ${what}`, async () => expectRefusal(await write(header), message));
  }

  const tensors: readonly (readonly [what: string, tensors: Tensors, message: RegExp])[] = [
    ['none', [], /a tensor for "conv1\.weight" in .* but received none/],
    ['one missing', SHAPES.slice(0, -1), /a tensor for "fc8\.bias" in .* but received none/],
    [
      'one too many',
      [...SHAPES, ['fc9.bias', [2]]],
      /only tensors of an AlexNet, preset paper, .*"fc9\.bias"/,
    ],
    [
      'float64',
      SHAPES.map(([name, shape]) => (name === 'conv1.bias' ? [name, shape, 'F64'] : [name, shape])),
      /F32 of shape \[96\] for "conv1\.bias" in .* but received F64 of shape \[96\]/,
    ],
    [
      'filters in another order',
      SHAPES.map(([name, shape]) => [name, name === 'conv1.weight' ? [96, 3, 11, 11] : shape]),
      /\[96, 11, 11, 3\] for "conv1\.weight" in .* but received F32 of shape \[96, 3, 11, 11\]/,
    ],
  ];
  for (const [what, list, message] of tensors) {
    it(`are refused with these tensors: ${what}`, async () =>
      expectRefusal(await write(formatInfo(INFO), list), message));
  }

  for (const [what, info, shape, message] of [
    [
      'of another size',
      WITH_MEAN_IMAGE,
      [255, 255, 3],
      /256 × 256 × 3 numbers, .* preprocessing\.mean but received 195075/,
    ],
    [
      'in another order',
      WITH_MEAN_IMAGE,
      [3, 256, 256],
      /F32 of shape \[3, 3, 3\] for "preprocessing\/mean"/,
    ],
    [
      'that the metadata do not name',
      INFO,
      [256, 256, 3],
      /only tensors of an AlexNet, .*"preprocessing\/mean"/,
    ],
    [
      'that is missing',
      WITH_MEAN_IMAGE,
      undefined,
      /three numbers for preprocessing\.mean but received undefined/,
    ],
  ] as const) {
    it(`are refused with a mean image ${what}`, async () => {
      const image: Tensors = shape === undefined ? [] : [['preprocessing/mean', shape]];
      await expectRefusal(await write(formatInfo(info), [...SHAPES, ...image]), message);
    });
  }

  it('are opened with a format that is no JSON, as the first ones had it', async () => {
    await using file = await ModelFile.open(await write(metadata({ format: 'node-cudnn model 1' })));
    expect(file.info).to.deep.equal(INFO);
  });

  it('keep a mean image, and use it', async () => {
    const path = folder.path('mean.safetensors');
    using model = new AlexNet(INFO.model);
    await saveModelFile(path, WITH_MEAN_IMAGE, model);
    await using file = await ModelFile.open(path);
    expect(file.info).to.deep.equal(WITH_MEAN_IMAGE);
    using classifier = await loadModel(path);
    expect(classifier.preprocessing.mean).to.deep.equal(WITH_MEAN_IMAGE.preprocessing.mean);
  });

  it('are refused where they are cut short at any length', async () => {
    const { header, dataBytes } = headerOf(formatInfo(INFO), SHAPES);
    const path = folder.path('short');
    const whole = header.length + dataBytes;
    const lengths = [1, 2, 3, 4, 7, 8, 4096, 2 ** 20, dataBytes >> 1, dataBytes - 1, dataBytes].map(
      (cut) => whole - cut,
    );
    for (let length = header.length - 1; length >= 0; length--) lengths.push(length);
    await writeSparse(path, header, dataBytes);
    await (await ModelFile.open(path))[Symbol.asyncDispose]();
    for (const length of lengths) {
      await truncate(path, length);
      await expectRefusal(path, /^Expected /);
    }
  });

  it('are refused where their description is 100 MB of brackets, before it is parsed', async () => {
    for (const key of ['model', 'training']) {
      const path = await write(metadata({ [key]: '['.repeat(99_990_000) }));
      await expectRefusal(path, new RegExp(`at most 4194304 characters for ${key} but received 99990000`));
    }
  });

  it(`mutated are refused, or are what they say, ${RUNS} runs`, async () => {
    const { header, dataBytes } = headerOf(formatInfo(INFO), SHAPES);
    const path = folder.path('mutated');
    let accepted = 0;
    const mutated = fc.array(mutations(header.length), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(mutated, async (list) => {
        await writeSparse(
          path,
          list.reduce((bytes, mutate) => mutate(bytes), Buffer.from(header)),
          dataBytes,
        );
        let file: ModelFile;
        try {
          file = await ModelFile.open(path);
        } catch (error) {
          expect(error).to.be.instanceOf(FileFormatError);
          expect(String(error))
            .to.match(/^FileFormatError: Expected /)
            .and.to.include(path);
          return;
        }
        await using _ = file;
        expect(file.info.classes).to.have.length(file.info.model.classes);
        expect([...parameterShapes(file.info.model)]).to.deep.equal(SHAPES);
        if (accepted++ === 0) (await file.loadModel()).dispose();
      }),
      { numRuns: RUNS },
    );
    expect(accepted).to.be.within(1, RUNS / 2);
  });

  it('are not loaded into a model of another preset or number of classes', async () => {
    await using file = await ModelFile.open(await write(formatInfo(INFO)));
    for (const [options, message] of [
      [
        { classes: 2, preset: 'dansuh17' },
        /paper, as .*model\.safetensors has, for the model's preset .*"dansuh17"/,
      ],
      [{ classes: 4 }, /2, as .*model\.safetensors has, for the model's classes but received 4/],
    ] as const) {
      using other = new AlexNet({ ...options, init: 'paper' });
      const refusal = await rejection(file.loadWeights(other), ArgumentError);
      expect(refusal).to.match(message);
      for (const [name, parameter] of other.namedParameters())
        if (name === 'conv2.bias') expect((await parameter.data())[0]).to.equal(1);
    }
  });

  it('are loaded but for the last layer into a model of other classes', async () => {
    await using file = await ModelFile.open(await write(formatInfo(INFO)));
    using model = new AlexNet({ classes: 4, init: 'paper' });
    await file.loadWeights(model, { lastLayer: false });
    for (const [name, parameter] of model.namedParameters()) {
      const isZero = (await parameter.data()).every((value) => value === 0);
      expect(isZero, name).to.equal(name !== 'fc8.weight');
    }
    using other = new AlexNet({ classes: 4, preset: 'torchvision' });
    expect(await rejection(file.loadWeights(other, { lastLayer: false }), ArgumentError)).to.match(
      /the model's preset/,
    );
  });

  it('are not loaded into another optimizer, which stays as it was', async () => {
    const path = await write(formatInfo(INFO), [
      ...SHAPES,
      ['optimizer/velocity/a', [2]],
      ['optimizer/velocity/b', [3]],
    ]);
    await using file = await ModelFile.open(path);
    using a = tensor([1, 2], [2], { requiresGrad: true });
    using b = tensor([1, 2, 3], [3], { requiresGrad: true });
    using wide = tensor([[1, 2, 3]], [1, 3], { requiresGrad: true });
    const options = { lr: 0.1, momentum: 0.9, weightDecay: 0 };
    const named = (list: Record<string, Tensor>) => Object.entries(list);
    const cases: readonly (readonly [Optimizer, RegExp])[] = [
      [new Adam(named({ a, b }), { lr: 0.1 }), /a tensor for "optimizer\/m\/a" in .* but received none/],
      [
        new SGD(named({ a, b, c: wide }), options),
        /a tensor for "optimizer\/velocity\/c" in .* received none/,
      ],
      [new SGD(named({ a }), options), /only tensors of this optimizer, .* "optimizer\/velocity\/b"/],
      [new SGD(named({ a, b: wide }), options), /F32 of shape \[1, 3\] for "optimizer\/velocity\/b" in/],
    ];
    for (const [optimizer, message] of cases) {
      for (const [, state] of optimizer.stateTensors()) state.write(Float32Array.of(7));
      const refusal = await rejection(file.loadOptimizer(optimizer), FileFormatError);
      expect(refusal).to.match(message).and.to.include(path);
      for (const [, state] of optimizer.stateTensors()) expect((await state.data())[0]).to.equal(7);
      optimizer.dispose();
    }
    using same = new SGD(named({ a, b }), options);
    for (const [, state] of same.stateTensors()) state.write(Float32Array.of(7));
    await file.loadOptimizer(same);
    for (const [, state] of same.stateTensors()) expect((await state.data())[0]).to.equal(0);
  });

  it('are not written where they could not be read', async () => {
    using model = new AlexNet(INFO.model);
    const path = folder.path('none.safetensors');
    for (const [info, message] of [
      [{ ...INFO, classes: ['blue'] }, /2 names for classes but received 1/],
      [
        { ...INFO, preprocessing: { ...INFO.preprocessing, mean: [0, Number.NaN, 0] } },
        /preprocessing\.mean\[1\]/,
      ],
      [{ ...INFO, training: 'x'.repeat(5e6) }, /at most 4194304 characters for training/],
    ] as const) {
      const refusal = await rejection(saveModelFile(path, info as ModelInfo, model), ArgumentError);
      expect(refusal).to.match(message);
    }
    expect(await readdir(folder.path('.'))).not.to.include('none.safetensors');
  });

  it('are the last checkpoint of a folder, or the folder is refused', async () => {
    const run = folder.path('run');
    await mkdir(run);
    const last = folder.path('run/last.safetensors');
    const refusal = await rejection(loadModel(run), FileFormatError);
    expect(refusal).to.equal(
      `Expected a checkpoint at ${last} but received a folder without one: ` +
        'the first is saved at the end of an epoch, or when training is stopped',
    );
    const { header, dataBytes } = headerOf(formatInfo(INFO), SHAPES);
    await writeSparse(last, header, dataBytes);
    await using file = await ModelFile.open(run);
    expect(file.path).to.equal(last);
    expect(file.info).to.deep.equal(INFO);
  });
});
