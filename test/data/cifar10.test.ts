import { expect } from 'chai';
import sharp from 'sharp';
import { Cifar10, isCifar10 } from '../../lib/data/cifar10.js';
import { ArgumentError } from '../../lib/errors.js';
import { rejection } from './rejection.js';
import { useTree } from './trees.js';

const NAMES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];

/** A record as its web page describes it: the label, then 1024 bytes of red, of green, of blue. */
function record(label: number, pixel: (channel: number, at: number) => number): Buffer {
  return Buffer.from([
    label,
    ...[0, 1, 2].flatMap((c) => Array.from({ length: 1024 }, (_, i) => pixel(c, i))),
  ]);
}

describe('Cifar10', () => {
  const { at, write } = useTree();
  beforeEach(async () => {
    await write('batches.meta.txt', `${NAMES.join('\n')}\n\n`);
    for (const batch of [1, 2, 3, 4, 5])
      await write(
        `data_batch_${batch}.bin`,
        Buffer.concat(
          [0, 1].map((i) => record(2 * (batch - 1) + i, (c, k) => (batch * 40 + c * 80 + k) % 256)),
        ),
      );
    await write(
      'test_batch.bin',
      record(9, (c) => 10 * c),
    );
  });

  it('reads the training batches in order, or the test batch', async () => {
    expect([await isCifar10(at()), await isCifar10(at('none'))]).to.deep.equal([true, false]);
    const train = await Cifar10.open(at(), { size: 32 });
    expect(train.classes).to.deep.equal(NAMES);
    expect(train).to.have.lengthOf(10);
    expect(train.files[3]).to.equal(at('data_batch_2.bin#1'));
    for (let i = 0; i < 10; i++) {
      const { pixels, ...rest } = await train.get(i);
      expect(rest).to.deep.equal({ height: 32, width: 32, label: i });
      const batch = Math.floor(i / 2) + 1;
      const wanted = Uint8Array.from(
        { length: 3072 },
        (_, k) => (batch * 40 + (k % 3) * 80 + Math.floor(k / 3)) % 256,
      );
      expect(Buffer.compare(pixels, wanted)).to.equal(0);
    }
    const test = await Cifar10.open(at(), { part: 'validation', size: 32 });
    expect([test.length, (await test.get(0)).label, (await test.get(0)).pixels[2]]).to.deep.equal([1, 9, 20]);
    expect(test.fingerprint).to.not.equal(train.fingerprint);
  });

  it('enlarges pictures to what a crop is taken from', async () => {
    const small = (await (await Cifar10.open(at(), { size: 32 })).get(4)).pixels;
    for (const kernel of ['lanczos3', 'linear'] as const) {
      const { pixels, height, width } = await (await Cifar10.open(at(), { kernel })).get(4);
      expect([height, width]).to.deep.equal([256, 256]);
      const wanted = await sharp(small, { raw: { width: 32, height: 32, channels: 3 } })
        .resize(256, 256, { kernel })
        .raw()
        .toBuffer();
      expect(Buffer.compare(pixels, wanted)).to.equal(0);
    }
  });

  it('has labels by the classes given, and only those asked for', async () => {
    const reversed = await Cifar10.open(at(), { classes: [...NAMES].reverse(), size: 32 });
    expect((await reversed.get(0)).label).to.equal(9);
    const two = await Cifar10.open(at(), { only: ['cat', 'bird'], size: 32 });
    expect(two.classes).to.deep.equal(['bird', 'cat']);
    expect([two.length, (await two.get(0)).label, (await two.get(1)).label]).to.deep.equal([2, 0, 1]);
    expect(await rejection(Cifar10.open(at(), { only: ['cat', 'ant'] }))).to.match(
      /one of airplane.*for class .*ant/,
    );
    expect(await rejection(Cifar10.open(at(), { classes: ['cat', 'dog'] }))).to.match(
      /one of cat, dog .*airplane/,
    );
  });

  it('names a file that is missing, cut short or broken', async () => {
    const failure = (part: 'train' | 'validation' = 'train') => rejection(Cifar10.open(at(), { part }));
    await write(
      'data_batch_7.bin',
      record(0, () => 0),
    );
    expect(await failure()).to.match(/Expected file of CIFAR-10 for .*data_batch_6\.bin but received ENOENT/);
    await write('data_batch_6.bin', record(0, () => 0).subarray(0, 3000));
    expect(await failure()).to.match(
      /multiple of 3073 bytes.* for .*data_batch_6\.bin but received 3000.*cut short/,
    );
    await write('data_batch_6.bin', '');
    expect(await failure()).to.match(/data_batch_6\.bin but received 0/);
    await write('data_batch_6.bin', Buffer.concat([record(0, () => 0), record(10, () => 0)]));
    expect(await failure()).to.match(
      /index of one of 10 classes for label of picture 1 of .*data_batch_6\.bin but received 10/,
    );
    await write(
      'nothing/test_batch.bin',
      record(0, () => 0),
    );
    expect(await rejection(Cifar10.open(at('nothing')))).to.match(/batches\.meta\.txt/);
    const index = await (await Cifar10.open(at(), { part: 'validation' }))
      .get(1)
      .catch((error: unknown) => error);
    expect(index).to.be.instanceOf(ArgumentError);
  });
});
