import { mkdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { decodeImage } from '../../lib/data/decode.js';
import { ImageFolder } from '../../lib/data/folder.js';
import { prepare } from '../../lib/data/prepared.js';
import { RESIZE_KERNELS } from '../../lib/data/resize.js';
import { AlexNet } from '../../lib/models/alexnet.js';
import { Random } from '../../lib/random.js';
import { loadModel } from '../../lib/train/classifier.js';
import { saveModelFile } from '../../lib/train/model_file.js';
import type { Preprocessing } from '../../lib/train/preprocessing.js';
import { alexnet, expectError, jsonLines, useFolder } from './alexnet.js';
import { BLUE, RED, writePictures } from './pictures.js';

describe('command line: features and neighbours', () => {
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);
  const options = () => ['--model', at('model.safetensors'), '--data', at('data')];

  before(async () => {
    await writePictures(at('data'), { blue: BLUE, red: RED }, 3);
    await saveModel('model.safetensors');
  });

  async function saveModel(name: string, more: Partial<Preprocessing> = {}): Promise<void> {
    using network = new AlexNet({ classes: 2, init: 'he', seed: 1 });
    const preprocessing = {
      resize: 256,
      crop: 227,
      mean: [100, 100, 100],
      scale: [0.02, 0.02, 0.02],
    } as const;
    await saveModelFile(
      at(name),
      { model: network.config, classes: ['blue', 'red'], preprocessing: { ...preprocessing, ...more } },
      network,
    );
  }

  it('features are the outputs of fc7, a row for each picture, as numpy reads them', async () => {
    const { status, stdout, stderr } = await alexnet(['features', ...options(), '--out', at('f.npy')]);
    expect([status, stderr]).to.deep.equal([0, '']);
    expect(stdout).to.equal(`Saved ${at('f.npy')}, of 6 pictures, and ${at('f.npy')}.csv\n`);
    const table = (await readFile(at('f.npy.csv'), 'utf8')).trimEnd().split('\r\n');
    expect(table[0]).to.equal('file,class');
    expect(table[1]).to.equal(`${at('data/blue/0.png')},blue`);
    expect(table).to.have.lengthOf(7);

    const bytes = await readFile(at('f.npy'));
    expect(bytes.length).to.equal(128 + 6 * 4096 * 4);
    expect([...bytes.subarray(0, 10)]).to.deep.equal([0x93, ...Buffer.from('NUMPY'), 1, 0, 118, 0]);
    expect(bytes.toString('latin1', 10, 128)).to.match(
      /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(6, 4096\), \} +\n$/,
    );
    using classifier = await loadModel(at('model.safetensors'));
    const pictures = await ImageFolder.open(at('data'));
    const rows: number[] = [];
    for await (const { values } of classifier.features(pictures)) rows.push(...values);
    rows.forEach((value, i) => {
      if (bytes.readFloatLE(128 + 4 * i) !== value) expect.fail(`number ${i} is another`);
    });
    expect(Math.min(...rows)).to.equal(0);
    expect(Math.max(...rows)).to.be.above(0);
  });

  it('neighbours are the nearest by distance, the picture itself first, and are drawn', async () => {
    const queries = [at('data/red/1.png'), at('data/blue/2.png')];
    const args = ['neighbours', ...options(), '--count', '4', '--json', '--picture', at('n.png')];
    const { status, stdout, stderr } = await alexnet([...args, ...queries]);
    expect([status, stderr]).to.deep.equal([0, '']);
    const results = jsonLines(stdout);
    expect(results.map(({ file }) => file)).to.deep.equal(queries);
    for (const [i, name] of ['red', 'blue'].entries()) {
      const list = results[i]?.neighbours as { file: string; class: string; distance: number }[];
      expect(list).to.have.lengthOf(4);
      expect(list[0]).to.include({ file: queries[i], class: name });
      // Batches of other sizes add up in another order.
      expect(list[0]?.distance).to.be.below(1e-3);
      expect(list.slice(0, 3).map((one) => one.class)).to.deep.equal([name, name, name]);
      for (const [j, one] of list.slice(1).entries())
        expect(one.distance)
          .to.be.at.least(list[j]?.distance ?? 0)
          .and.above(0);
    }
    const { width, height } = await sharp(at('n.png')).metadata();
    expect([width, height]).to.deep.equal([5 * 132 + 12, 2 * 132 + 4]);
  });

  it('neighbours are drawn from a folder of raw pictures as well', async () => {
    await prepare(await ImageFolder.open(at('data')), at('raw'), { store: 'raw' });
    const outcome = await alexnet([
      ...['neighbours', '--model', at('model.safetensors'), '--data', at('raw'), '--count', '2'],
      ...['--picture', at('raw.png'), at('data/red/1.png')],
    ]);
    expect([outcome.status, outcome.stderr]).to.deep.equal([0, '']);
    const [query, nearest] = await Promise.all(
      [40, 190].map((left) =>
        sharp(at('raw.png')).extract({ left, top: 40, width: 1, height: 1 }).raw().toBuffer(),
      ),
    );
    expect(nearest).to.deep.equal(query);
  });

  it('take pictures of one class', async () => {
    await writePictures(at('one'), { red: RED }, 2);
    const model = ['--model', at('model.safetensors'), '--data', at('one')];
    const found = await alexnet(['neighbours', ...model, '--json', at('data/red/1.png')]);
    expect([found.status, found.stderr]).to.deep.equal([0, '']);
    const [result = {}] = jsonLines(found.stdout);
    const neighbours = result.neighbours as { file: string; class: string }[];
    expect(neighbours.map((one) => [one.file, one.class])).to.deep.equal([
      [at('one/red/1.png'), 'red'],
      [at('one/red/0.png'), 'red'],
    ]);
    const rows = await alexnet(['features', ...model, '--out', at('one.npy')]);
    expect([rows.status, rows.stderr]).to.deep.equal([0, '']);
    expect(rows.stdout).to.include('of 2 pictures');
  });

  it("decode queries and pictures by the kernel of the model's preprocessing", async () => {
    const noise = new Random(5, 0);
    const pixels = Uint8Array.from({ length: 320 * 300 * 3 }, () => noise.integer(256));
    await mkdir(at('kernels/noise'), { recursive: true });
    const original = at('kernels/noise/original.png');
    await sharp(pixels, { raw: { width: 320, height: 300, channels: 3 } })
      .png()
      .toFile(original);
    for (const kernel of RESIZE_KERNELS) {
      const { pixels: small, width, height } = await decodeImage(original, { size: 256, kernel });
      await sharp(small, { raw: { width, height, channels: 3 } })
        .png()
        .toFile(at(`kernels/noise/${kernel}.png`));
    }
    await saveModel('linear.safetensors', { kernel: 'linear' });
    const { stdout, stderr } = await alexnet([
      ...['neighbours', '--model', at('linear.safetensors'), '--data', at('kernels'), '--json', original],
    ]);
    expect(stderr).to.equal('');
    const [result = {}] = jsonLines(stdout);
    const found = result.neighbours as { file: string; distance: number }[];
    const distances = Object.fromEntries(found.map(({ file, distance }) => [basename(file), distance]));
    expect(distances).to.have.all.keys('original.png', 'linear.png', 'lanczos3.png');
    // Batches of other sizes add up in another order.
    expect(distances['original.png']).to.be.below(1e-3);
    expect(distances['linear.png']).to.be.below(1e-3);
    expect(distances['lanczos3.png']).to.be.above(0.1);
  });

  it('neighbours need more than one picture', async () => {
    await writePictures(at('alone'), { red: RED }, 1);
    expectError(
      await alexnet([
        ...['neighbours', '--model', at('model.safetensors'), '--data', at('alone')],
        at('data/red/0.png'),
      ]),
      1,
      /Expected at least two pictures to find neighbours among for --data but received one, \S*alone\/red\/0\.png/,
    );
  });

  it('end with one message for what cannot be read or written', async () => {
    const queries = [at('nowhere.jpg'), at('data/red/0.png')];
    const { status, stdout, stderr } = await alexnet(['neighbours', ...options(), '--json', ...queries]);
    expect(status).to.equal(1);
    expect(stderr).to.match(/^error: .*nowhere\.jpg could not be decoded: no such file\n$/);
    const [bad, good] = jsonLines(stdout);
    expect(bad).to.have.all.keys('file', 'error');
    expect(good?.neighbours).to.have.lengthOf(6);
    expectError(
      await alexnet(['neighbours', ...options(), '--strict', at('nowhere.jpg')]),
      1,
      /nowhere\.jpg could not be decoded/,
    );
    expectError(
      await alexnet(['features', ...options(), '--out', at('no/where.npy')]),
      1,
      /for --out but received .*where\.npy/,
    );
    expectError(
      await alexnet(['neighbours', ...options(), '--picture', at('no/n.png'), at('data/red/0.png')]),
      1,
      /for --picture but received .*n\.png/,
    );
  });
});
