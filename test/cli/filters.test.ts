import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { AlexNet } from '../../lib/models/alexnet.js';
import { filtersPicture } from '../../lib/report/filters.js';
import { saveModelFile } from '../../lib/train/model_file.js';
import { alexnet, expectError, useFolder } from './alexnet.js';

async function pixelsOf(png: Buffer) {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  const at = (y: number, x: number) => [
    ...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3),
  ];
  return { at, width: info.width, height: info.height };
}

describe('a picture of filters', () => {
  it('shows each filter with its own contrast, zero being grey, and columns apart', async () => {
    // 34 filters of one weight, in two columns: two rows of 16 and 1 each.
    const weights = Float32Array.from({ length: 34 * 3 }, (_, i) => ((i % 3) - 1) * (1 + i));
    const { at, width, height } = await pixelsOf(
      await filtersPicture(weights, [34, 1, 1, 3], { columns: 2, zoom: 3 }),
    );
    expect([width, height]).to.deep.equal([16 * 5 + 2, 4 * 5 + 10 + 2]);
    expect(at(0, 0)).to.deep.equal([255, 255, 255]);
    // Filter 0: -1, 0, 3.
    expect(at(2, 2)).to.deep.equal([85, 128, 255]);
    expect(at(4, 4)).to.deep.equal(at(2, 2));
    expect(at(5, 5)).to.deep.equal([255, 255, 255]);
    // Filter 16 begins the second row, filter 17 the second column.
    const of = (k: number) =>
      [-(1 + 3 * k), 0, 3 + 3 * k].map((w) => Math.round(127.5 + (127.5 * w) / (3 + 3 * k)));
    expect(at(7, 2)).to.deep.equal(of(16));
    expect(at(7, 7)).to.deep.equal([255, 255, 255]);
    expect(at(22, 2)).to.deep.equal(of(17));
  });

  it('is refused of other weights', async () => {
    const failure = await filtersPicture(new Float32Array(16), [4, 2, 2, 1]).catch((error: unknown) => error);
    expect(String(failure)).to.match(/Expected \[K, R, S, 3\].* for filters but received \[4, 2, 2, 1\]/);
  });
});

describe('command line: filters', () => {
  const folder = useFolder();

  it('draws those of a model, those of its two columns apart', async () => {
    const [model, out] = [join(folder(), 'model.safetensors'), join(folder(), 'filters.png')];
    using network = new AlexNet({ classes: 2, seed: 1 });
    await saveModelFile(
      model,
      {
        model: network.config,
        classes: ['a', 'b'],
        preprocessing: { resize: 256, crop: 227, mean: [0, 0, 0], scale: [1, 1, 1] },
      },
      network,
    );
    const { status, stdout, stderr } = await alexnet(['filters', '--model', model, '--out', out]);
    expect([status, stdout, stderr]).to.deep.equal([0, `Saved ${out}\n`, '']);
    const { at, width, height } = await pixelsOf(await readFile(out));
    expect([width, height]).to.deep.equal([16 * 46 + 2, 6 * 46 + 10 + 2]);
    expect(at(3 * 46 + 2 + 5, 100)).to.deep.equal([255, 255, 255]);
    expectError(
      await alexnet(['filters', '--model', model, '--out', join(folder(), 'no/where.png')]),
      1,
      /Expected file in a folder that can be written for --out but received .*where\.png \(ENOENT/,
    );
  });
});
