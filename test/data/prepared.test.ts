import { readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { ImageFolder, type ImageFolderOptions } from '../../lib/data/folder.js';
import { type PrepareOptions, prepare, preparedDecoding } from '../../lib/data/prepared.js';
import { ArgumentError, FileFormatError } from '../../lib/errors.js';
import { truncatedJpeg } from '../cli/pictures.js';
import { rejection } from './rejection.js';
import { useTree } from './trees.js';

describe('prepare', () => {
  const { at, write, paint } = useTree();
  const PICTURES = ['ants/1.jpg', 'ants/deep/2.png', 'bees/1.jpg', 'bees/3.jpg'];
  beforeEach(async () => {
    for (const [i, path] of PICTURES.entries()) await paint(`source/${path}`, i, 300 + i, 280);
  });

  const prepared = async (options: PrepareOptions = {}, out = 'out', from: ImageFolderOptions = {}) =>
    prepare(await ImageFolder.open(at('source'), from), at(out), options);

  /** Every file, with its content. */
  async function contents(folder: string): Promise<Map<string, string>> {
    const files = await readdir(at(folder), { recursive: true, withFileTypes: true });
    const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
    const entries = paths
      .sort()
      .map(async (path) => [relative(at(folder), path), await readFile(path, 'base64')] as const);
    return new Map(await Promise.all(entries));
  }

  it('stores raw pictures that are, to the byte, those of the source', async () => {
    const done: number[] = [];
    const options = { store: 'raw', onPicture: (count: number) => done.push(count) } as const;
    expect(await prepared(options)).to.deep.equal({ pictures: 4, added: 4, bytes: 4 * 196608, skipped: 0 });
    expect(done).to.deep.equal([1, 2, 3, 4]);
    const [source, out] = [await ImageFolder.open(at('source')), await ImageFolder.open(at('out'))];
    expect(out.classes).to.deep.equal(['ants', 'bees']);
    expect(out.files.map((file) => relative(at('out'), file))).to.deep.equal(PICTURES);
    for (const i of PICTURES.keys()) {
      const [wanted, found] = [await source.get(i), await out.get(i)];
      expect(Buffer.compare(wanted.pixels, found.pixels)).to.equal(0);
      expect({ ...found, pixels: 0 }).to.deep.equal({ ...wanted, pixels: 0 });
    }
    expect(out.fingerprint).to.not.equal(source.fingerprint);
  });

  it('decodes four pictures at a time', async () => {
    for (const i of [4, 5]) await paint(`source/bees/${i}.jpg`, i, 300, 280);
    const source = await ImageFolder.open(at('source'));
    const get = source.get.bind(source);
    let [begun, done, most] = [0, 0, 0];
    let open = (): void => {};
    const four = new Promise<void>((resolve) => {
      open = resolve;
    });
    source.get = async (index) => {
      most = Math.max(most, ++begun - done);
      if (begun === 4) open();
      // One at a time would wait for ever.
      await four;
      const sample = await get(index);
      done++;
      return sample;
    };
    const { pictures } = await prepare(source, at('out'));
    expect([pictures, most]).to.deep.equal([6, 4]);
  });

  it('stores JPEGs of 256 × 256 pixels, which are decoded as they are', async () => {
    const { bytes } = await prepared();
    const source = await ImageFolder.open(at('source'));
    const out = await ImageFolder.open(at('out'));
    let length = 0;
    for (const [i, file] of out.files.entries()) {
      const content = await readFile(file);
      length += content.length;
      const { format, width, height, chromaSubsampling } = await sharp(content).metadata();
      expect({ format, width, height, chromaSubsampling }).to.deep.equal({
        ...{ format: 'jpeg', width: 256, height: 256, chromaSubsampling: '4:4:4' },
      });
      const { pixels } = await out.get(i);
      expect(Buffer.compare(pixels, await sharp(content).raw().toBuffer())).to.equal(0);
      const wanted = (await source.get(i)).pixels;
      const difference = pixels.reduce((sum, value, k) => sum + Math.abs(value - (wanted[k] ?? 0)), 0);
      expect(difference / pixels.length).to.be.below(2);
    }
    expect(bytes).to.equal(length);
    await prepared({ store: { jpeg: 50 } }, 'smaller');
    expect((await readFile(at('smaller/ants/1.jpg'))).length).to.be.below(
      (await readFile(at('out/ants/1.jpg'))).length,
    );
  });

  it('goes on where it was stopped, to the same result', async () => {
    await prepared({}, 'straight');
    const stopped = prepared({
      onPicture: (done) => {
        if (done === 2) throw new Error('stop');
      },
    });
    expect(await rejection(stopped, Error)).to.equal('stop');
    expect(await rejection(ImageFolder.open(at('out')))).to.match(
      /Expected prepared pictures for .*out but received .* did not come to its end/,
    );
    // A killed process leaves temporary files; those of a process that is gone are removed.
    await write('out/bees/.node-cudnn-999999999-1-0011223344556677.tmp', 'half a picture');
    const [kept = ''] = [...(await contents('out')).keys()].filter((path) => path.endsWith('g'));
    await writeFile(at('out', kept), 'as it was');
    await prepared();
    expect(await readFile(at('out', kept), 'utf8'), 'not made again').to.equal('as it was');
    await unlink(at('out', kept));
    await prepared();
    expect(await contents('out')).to.deep.equal(await contents('straight'));
    await prepared();
    expect(await contents('out')).to.deep.equal(await contents('straight'));
  });

  it('starts no picture after a failure', async () => {
    for (let i = 0; i < 30; i++) await paint(`source/cats/${i}.jpg`, i);
    await rejection(
      prepared({
        onPicture: () => {
          throw new Error('stop');
        },
      }),
      Error,
    );
    const before = await contents('out');
    expect(before.size).to.be.below(12);
  });

  it('leaves out by name what cannot be decoded, each time; strict, that is an error', async () => {
    await write('source/bees/2.jpg', await truncatedJpeg());
    const skipped: (string | null)[] = [];
    const onSkip = ({ file }: { file: string | null }) => skipped.push(file);
    for (let run = 0; run < 2; run++) {
      expect(await prepared({ onSkip })).to.deep.include({ pictures: 4, skipped: 1 });
    }
    expect(skipped).to.deep.equal([at('source/bees/2.jpg'), at('source/bees/2.jpg')]);
    expect((await ImageFolder.open(at('out'))).files).to.have.lengthOf(4);
    expect(await rejection(prepared({ strict: true }, 'strict'))).to.match(
      /bees\/2\.jpg could not be decoded/,
    );
    await rm(at('source'), { recursive: true });
    await write('source/a/1.jpg', await truncatedJpeg());
    await write('source/b/1.jpg', await truncatedJpeg());
    expect(await rejection(prepared({}, 'none'))).to.match(/at least one picture that can be read/);
  });

  it('keeps the classes, and takes some of them as the source does', async () => {
    for (const id of ['n01440764', 'n02012849', 'n03126707']) await paint(`net/train/${id}/1.JPEG`, 1);
    await write('net/synset_words.txt', 'n01440764 tench\nn02012849 crane\nn03126707 crane\n');
    await prepare(await ImageFolder.open(at('net/train')), at('out'));
    const out = await ImageFolder.open(at('out'));
    expect(out.classes).to.deep.equal(['n01440764 tench', 'n02012849 crane', 'n03126707 crane']);
    const some = await ImageFolder.open(at('out'), { only: ['n03126707', 'n01440764'] });
    expect(some.classes).to.deep.equal(['n01440764 tench', 'n03126707 crane']);
    expect(some.files.map((file) => relative(at('out'), file))).to.deep.equal([
      ...['n01440764/1.JPEG', 'n03126707/1.JPEG'],
    ]);
    expect(some.fingerprint).to.not.equal(out.fingerprint);
    const classes = ['n03126707', 'n02012849', 'n01440764'];
    expect((await (await ImageFolder.open(at('out'), { classes })).get(0)).label).to.equal(2);
    expect(await rejection(ImageFolder.open(at('out'), { classes: ['n03126707', 'b'] }))).to.match(
      /unknown class/,
    );
  });

  it('puts pictures of a flat folder into folders of their classes', async () => {
    for (const i of [1, 2]) await paint(`flat/ILSVRC2012_val_0000000${i}.JPEG`, i);
    await write(
      'LOC_val_solution.csv',
      'ImageId,PredictionString\nILSVRC2012_val_00000001,n02012849 \nILSVRC2012_val_00000002,n01440764 \n',
    );
    await prepare(await ImageFolder.open(at('flat')), at('out'));
    const { files } = await ImageFolder.open(at('out'));
    expect(files.map((file) => relative(at('out'), file))).to.deep.equal([
      'n01440764/ILSVRC2012_val_00000002.JPEG',
      'n02012849/ILSVRC2012_val_00000001.JPEG',
    ]);
  });

  it('gives no pictures of another resize', async () => {
    await prepared({}, 'out', { kernel: 'linear' });
    expect(await ImageFolder.open(at('out'), { kernel: 'linear' })).to.have.lengthOf(4);
    expect(await preparedDecoding(at('out'))).to.deep.equal({ size: 256, kernel: 'linear' });
    expect(await preparedDecoding(at('source'))).to.equal(undefined);
    for (const [options, wanted] of [
      [{}, '256 pixels by lanczos3'],
      [{ kernel: 'linear', size: 128 }, '128 pixels by linear'],
    ] as const) {
      expect(await rejection(ImageFolder.open(at('out'), options))).to.match(
        new RegExp(`Expected pictures of ${wanted} for .*out but received .* with 256 pixels by linear`),
      );
    }
  });

  it('refuses a folder of something else, or that was begun otherwise', async () => {
    expect(await rejection(prepare(await ImageFolder.open(at('source')), at('source')))).to.match(
      /Expected empty folder.* for .*source but received one with ants/,
    );
    await write('file', 'text');
    expect(await rejection(prepared({}, 'file'))).to.match(/Expected folder for .*file but received ENOTDIR/);
    await prepared();
    expect(await rejection(prepared({ store: 'raw' }))).to.match(
      /Expected {"jpeg":90}, with which .*out was begun, for store but received "raw"/,
    );
    expect(await rejection(prepared({}, 'out', { kernel: 'linear' }))).to.match(
      /was begun, for kernel but received "linear"/,
    );
    await paint('source/bees/4.jpg', 4);
    expect(await rejection(prepared())).to.match(/Expected 4, .* was begun, for pictures but received 5/);
    for (const jpeg of [0, 101, 1.5]) {
      const failure = await prepared({ store: { jpeg } }, 'none').catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(ArgumentError);
    }
  });

  it('refuses a broken index, and leaves out pictures that are gone or cut short', async () => {
    await prepared({ store: 'raw' });
    await writeFile(at('out/ants/1.jpg'), 'short');
    await unlink(at('out/bees/1.jpg'));
    const out = await ImageFolder.open(at('out'));
    expect(await rejection(out.get(0))).to.match(
      /ants\/1\.jpg could not be read: Expected 196608 bytes .* 5/,
    );
    expect(await rejection(out.get(2))).to.match(/bees\/1\.jpg could not be read: ENOENT/);
    const index = await readFile(at('out/prepared.json'), 'utf8');
    for (const [before, after] of [
      ['prepared 1', 'prepared 2'],
      ['256', '"256"'],
      ['lanczos3', 'nearest'],
      ['"raw"', '"png"'],
      ['ants/1.jpg', '../source/ants/1.jpg'],
      ['ants/1.jpg', '/etc/hostname'],
      ['[{"name":"ants"', '[{"name":7'],
      ['}', ''],
    ] as const) {
      await writeFile(at('out/prepared.json'), index.replace(before, after));
      expect(await rejection(ImageFolder.open(at('out')), FileFormatError), after).to.match(
        /Expected index of prepared pictures for .*prepared\.json/,
      );
    }
  });
});
