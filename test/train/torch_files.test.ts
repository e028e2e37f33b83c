import { open, readdir } from 'node:fs/promises';
import { expect } from 'chai';
import {
  ArgumentError,
  exportTorch,
  FileFormatError,
  importTorch,
  loadModel,
  ModelFile,
  noGrad,
  rand,
  randn,
  type Shape,
  tidy,
} from '../../lib/index.js';
import { SafetensorsFile, type TensorEntry, writeSafetensors } from '../../lib/io/safetensors.js';
import { parameterShapes } from '../../lib/models/parameters.js';
import { type TorchParameter, type TorchPreset, torchParameters } from '../../lib/models/torch_names.js';
import { sizeOf } from '../../lib/tensor.js';
import { formatInfo } from '../../lib/train/model_info.js';
import { headerOf, type Tensors, temporaryFolder, writeSparse } from '../io/files.js';
import { call, dict, global, integer, pickle, tensor, writeZip } from '../io/pth_files.js';
import { expectClose, expectEqual } from '../support/compare.js';
import { readGolden } from '../support/golden.js';

/** All as in golden/make_torch_logits.py. */
const [CLASSES, PICTURES, SEED, WEIGHT_STREAM, IMAGE_STREAM] = [5, 2, 20120930, 1, 100];

function parametersOf(preset: TorchPreset): TorchParameter[] {
  return torchParameters({ preset, classes: CLASSES, init: 'he', dropout: 0.5 });
}

/** What PyTorch's network would hold, tensor by tensor. */
function* drawn(
  preset: TorchPreset,
): Iterable<[name: string, shape: Shape, data: () => Promise<Float32Array>]> {
  let offset = 0;
  for (const { torchName, torchShape } of parametersOf(preset)) {
    const size = sizeOf(torchShape);
    const std = torchShape.length > 1 ? Math.sqrt(2 / sizeOf(torchShape.slice(1))) : 0.1;
    const options = { seed: SEED, stream: WEIGHT_STREAM, offset, std };
    const data = () => tidy(() => randn(torchShape, options).data<Float32Array>());
    yield [torchName, torchShape, data];
    offset += Math.ceil(size / 4);
  }
}

describe('PyTorch, weights in and out', () => {
  const folder = temporaryFolder();

  async function writeSafetensorsFile(path: string, preset: TorchPreset): Promise<void> {
    const tensors = new Map<string, TensorEntry>();
    for (const [name, shape, data] of drawn(preset)) {
      tensors.set(name, {
        dtype: 'F32',
        shape,
        async *data() {
          yield await data();
        },
      });
    }
    await using file = await open(path, 'w');
    await writeSafetensors(file, tensors, { format: 'pt' });
  }

  /** As dansuh17's training saves it. */
  async function writeCheckpoint(path: string, preset: TorchPreset): Promise<void> {
    const weights = [...drawn(preset)];
    const model = dict(
      weights.map(([name, shape], i) => [`module.${name}`, tensor({ key: String(i), shape })] as const),
    );
    const checkpoint = dict([
      ['epoch', integer(12)],
      ['total_steps', integer(34567)],
      ['optimizer', dict([['state', dict([])]])],
      ['model', model],
      ['seed', integer(2n ** 62n + 1n)],
    ]);
    await writeZip(path, [
      ['x/data.pkl', pickle(checkpoint)],
      ...weights.map(
        ([, , data], i) => [`x/data/${i}`, async () => new Uint8Array((await data()).buffer)] as const,
      ),
    ]);
  }

  for (const [preset, format, write, progress] of [
    ['torchvision', 'safetensors', writeSafetensorsFile, {}],
    ['dansuh17', 'pth', writeCheckpoint, { epoch: 12, totalSteps: 34567, seed: 2n ** 62n + 1n }],
  ] as const) {
    it(`${preset}, .${format}: logits as PyTorch's, and every bit comes back`, async () => {
      const [source, imported, exported] = ['source', 'imported', 'exported'].map((name) =>
        folder.path(`${preset}-${name}.${name === 'source' ? format : 'safetensors'}`),
      ) as [string, string, string];
      await write(source, preset);
      const labels = ['tench', 'goldfish', 'crane', 'cock', 'crane'];
      const { info, ...rest } = await importTorch(source, imported, { from: preset, labels });
      expect(rest).to.deep.equal(progress);
      expect(info.classes).to.deep.equal(labels);

      using classifier = await loadModel(imported);
      expect(classifier.classes).to.deep.equal(labels);
      const { inputSize } = classifier.model;
      expect(classifier.preprocessing).to.deep.include({ resize: 256, crop: inputSize, kernel: 'linear' });
      const { mean, scale } = classifier.preprocessing;
      [0.485, 0.456, 0.406].forEach((value, channel) => {
        expect(mean[channel]).to.be.closeTo(value * 255, 1e-9);
      });
      [0.229, 0.224, 0.225].forEach((deviation, channel) => {
        expect(scale[channel]).to.be.closeTo(1 / (deviation * 255), 1e-12);
      });
      expect([mean.length, scale.length]).to.deep.equal([3, 3]);
      const logits = await noGrad(() =>
        tidy(() => {
          const shape = [PICTURES, inputSize, inputSize, 3];
          const images = rand(shape, { seed: SEED, stream: IMAGE_STREAM, low: -1, high: 1 });
          return classifier.model.forward(images).data<Float32Array>();
        }),
      );
      const golden = (await readGolden('torchLogits')).get(preset);
      expectClose(`${preset}'s logits`, logits, golden?.data ?? [], 1e-4);

      await exportTorch(imported, exported);
      await using file = await SafetensorsFile.open(exported);
      expect(file.metadata.format).to.equal('pt');
      const wanted = [...drawn(preset)];
      expect([...file.tensors.keys()]).to.deep.equal(wanted.map(([name]) => name));
      for (const [name, shape, data] of wanted)
        expectEqual(name, await file.readTensor(name, { dtype: 'F32', shape }), await data());
    });
  }

  describe('are refused where', () => {
    const shapes = (preset: TorchPreset): Tensors =>
      parametersOf(preset).map(({ torchName, torchShape }) => [torchName, torchShape]);

    async function write(tensors: Tensors): Promise<string> {
      const path = folder.path('sparse.safetensors');
      const { header, dataBytes } = headerOf({}, tensors);
      await writeSparse(path, header, dataBytes);
      return path;
    }

    async function expectRefusal(
      promise: Promise<unknown>,
      type: typeof FileFormatError | typeof ArgumentError,
      message: RegExp,
    ): Promise<void> {
      const error = await promise.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).to.be.instanceOf(type);
      expect(String(error))
        .to.match(/Expected /)
        .and.to.match(message);
      expect(await readdir(folder.path('.'))).not.to.include('never.safetensors');
    }

    const cases: readonly (readonly [what: string, tensors: Tensors, message: RegExp])[] = [
      [
        'they are of the other network',
        shapes('dansuh17'),
        /a tensor for "features\.0\.weight" .* none of that name/,
      ],
      ['there are none', [], /torchvision's last layer for "classifier\.6\.weight"/],
      [
        'there are more',
        [...shapes('torchvision'), ['features.1.weight', [64]]],
        /only tensors of torchvision's AlexNet .* "features\.1\.weight"/,
      ],
      [
        'they are float64',
        shapes('torchvision').map(([name, shape]) => [name, shape, 'F64']),
        /F32 of shape \[64, 3, 11, 11\] for "features\.0\.weight" .* F64/,
      ],
      [
        'they have another shape',
        shapes('torchvision').map(([name, shape]) => [name, name === 'features.3.bias' ? [191] : shape]),
        /F32 of shape \[192\] for "features\.3\.bias" .* \[191\]/,
      ],
      [
        'there are no classes',
        shapes('torchvision').map(([name, shape]) => [
          name,
          name.startsWith('classifier.6') ? [0, ...shape.slice(1)] : shape,
        ]),
        /"classifier\.6\.weight" .* an empty one/,
      ],
    ];
    for (const [what, tensors, message] of cases) {
      it(what, async () => {
        const importing = importTorch(await write(tensors), folder.path('never.safetensors'), {
          from: 'torchvision',
        });
        await expectRefusal(importing, FileFormatError, message);
      });
    }

    it('there are too few labels, or the network is unknown', async () => {
      const [path, out] = [await write(shapes('torchvision')), folder.path('never.safetensors')];
      for (const [options, message] of [
        [
          { from: 'torchvision', labels: ['a', 'b'] },
          /5 names, one for each class of .*, for labels but received 2/,
        ],
        [{ from: 'vgg' as TorchPreset }, /one of torchvision, dansuh17 for from but received "vgg"/],
      ] as const)
        await expectRefusal(importTorch(path, out, options), ArgumentError, message);
    });

    it('a .pth file holds anything else', async () => {
      const path = folder.path('other.pth');
      const out = folder.path('never.safetensors');
      for (const [value, message] of [
        [integer(1), /a state dict for what was saved/],
        [dict([['model', integer(1)]]), /a state dict/],
        [dict([['epoch', integer(1)]]), /a tensor for "epoch"/],
        [
          dict([['model', call(global('__main__', 'AlexNet'))]]),
          /only tensors and plain containers .* code: "__main__\.AlexNet"/,
        ],
      ] as const) {
        await writeZip(path, [['x/data.pkl', pickle(value)]]);
        await expectRefusal(importTorch(path, out, { from: 'dansuh17' }), FileFormatError, message);
      }
    });

    it('numbers of a .pth file do not lie one after the other', async () => {
      const path = folder.path('channels_last.pth');
      const parameters = parametersOf('torchvision');
      const model = parameters.map(({ torchName, torchShape: shape }, i) => {
        const strides = i === 0 ? { strides: [363, 1, 33, 3] } : {};
        return [torchName, tensor({ key: String(i), shape, ...strides })] as const;
      });
      const zeros = parameters.map(
        ({ torchShape }, i) => [`x/data/${i}`, async () => new Uint8Array(4 * sizeOf(torchShape))] as const,
      );
      await writeZip(path, [['x/data.pkl', pickle(dict(model))], ...zeros]);
      const importing = importTorch(path, folder.path('never.safetensors'), { from: 'torchvision' });
      await expectRefusal(
        importing,
        FileFormatError,
        /tensor\.contiguous\(\).* "features\.0\.weight" .* \[363, 1, 33, 3\]/,
      );
    });

    it('the preset to export has no counterpart', async () => {
      const path = folder.path('paper.safetensors');
      const model = { classes: 2, preset: 'paper', init: 'he', dropout: 0.5 } as const;
      const preprocessing = { resize: 256, crop: 227, mean: [1, 2, 3], scale: [1, 1, 1] } as const;
      const metadata = formatInfo({ model, classes: ['a', 'b'], preprocessing });
      const { header, dataBytes } = headerOf(metadata, [...parameterShapes(model)]);
      await writeSparse(path, header, dataBytes);
      await expectRefusal(
        exportTorch(path, folder.path('never.safetensors')),
        ArgumentError,
        /one of torchvision, dansuh17 for the preset of .*paper\.safetensors but received "paper"/,
      );
    });
  });

  it('of every network and prefix are numbered without labels', async () => {
    const path = folder.path('plain.safetensors');
    for (const preset of ['torchvision', 'dansuh17'] as const) {
      const tensors = parametersOf(preset).map(
        ({ torchName, torchShape }) => [`module.${torchName}`, torchShape] as const,
      );
      const { header, dataBytes } = headerOf({}, tensors);
      await writeSparse(path, header, dataBytes);
      const out = folder.path('numbered.safetensors');
      const { info } = await importTorch(path, out, { from: preset });
      expect(info.classes).to.deep.equal(['0', '1', '2', '3', '4']);
      await using file = await ModelFile.open(out);
      expect(file.info).to.deep.equal(info);
    }
  });
});
