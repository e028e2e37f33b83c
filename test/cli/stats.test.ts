import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { ModelFile } from '../../lib/train/model_file.js';
import { alexnet, expectError, jsonLines, numbersOf, useFolder } from './alexnet.js';
import { BLUE, RED, writePictures } from './pictures.js';

describe('command line: statistics and colour noise', function () {
  this.timeout(300_000);
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);
  const train = (...more: string[]) => [
    ...['train', '--data', at('train'), '--val', at('val'), '--batch', '4', '--optimizer', 'sgd', '--json'],
    ...more,
  ];

  before(async () => {
    await writePictures(at('train'), { blue: BLUE, red: RED }, 4);
    await writePictures(at('val'), { blue: BLUE, red: RED }, 2);
  });

  it('stats looks at every picture, and keeps the statistics in the folder', async () => {
    const { status, stdout, stderr } = await alexnet(['stats', '--data', at('train'), '--json']);
    expect([status, stderr]).to.deep.equal([0, '']);
    const [found = {}] = jsonLines(stdout);
    expect(found).to.include({ file: at('train/stats.safetensors'), pictures: 8 });
    expect(found).to.have.all.keys(
      ...['file', 'pictures', 'meanColour', 'covariance', 'eigenvalues', 'eigenvectors'],
    );
    const [red, green, blue] = found.meanColour as number[];
    expect([red, green, blue].map((value) => Math.round(10 * (value ?? 0)) / 10)).to.deep.equal([
      122.5, 37.5, 122.5,
    ]);
    // From blue to red: along red minus blue.
    const [[r, g, b] = []] = found.eigenvectors as number[][];
    expect(Math.abs((r ?? 0) + (b ?? 0))).to.be.below(1e-9);
    expect(Math.abs(g ?? 1)).to.be.below(1e-9);
    const words = await alexnet(['stats', '--data', at('train'), '--out', at('elsewhere')]);
    expect(words.stdout).to.match(
      /^8 pictures of 256 × 256 pixels: mean colour 122\.50, 37\.50, 122\.50 of 255\n/,
    );
    expect(words.stdout).to.include(`Saved ${at('elsewhere')}\n`);
  });

  it('train --colour-noise uses them, and --resume goes on with them to the same file', async () => {
    // A schedule that does not depend on --epochs.
    const noise = ['--colour-noise', 'krizhevsky2012', '--schedule', 'constant'];
    const straight = await alexnet(train('--epochs', '2', '--out', at('straight'), ...noise));
    expect([straight.status, straight.stderr]).to.deep.equal([0, '']);
    await alexnet(train('--epochs', '2', '--out', at('plain'), '--schedule', 'constant'));
    const [with_, without] = await Promise.all(
      ['straight', 'plain'].map((run) => numbersOf(at(run, 'best.safetensors'))),
    );
    expect(with_?.equals(without ?? Buffer.of())).to.equal(false);
    await alexnet(train('--epochs', '1', '--out', at('stopped'), ...noise));
    const resumed = await alexnet(['train', '--resume', at('stopped'), '--epochs', '2', '--json']);
    expect([resumed.status, resumed.stderr.includes('Going on')]).to.deep.equal([0, true]);
    for (const file of ['best.safetensors', 'last.safetensors']) {
      const [wanted, actual] = await Promise.all(
        ['straight', 'stopped'].map((run) => numbersOf(at(run, file))),
      );
      expect(actual?.equals(wanted ?? Buffer.of()), file).to.equal(true);
    }
    expectError(
      await alexnet(['train', '--resume', at('stopped'), '--colour-noise', 'paper']),
      1,
      /Expected krizhevsky2012 for --colour-noise but received "paper".*may not change on --resume/,
    );
  });

  it('train --stats takes them from elsewhere, and refuses those of other pictures', async () => {
    await writePictures(at('other'), { blue: BLUE, red: RED }, 3);
    const noise = ['--colour-noise', 'krizhevsky2012', '--mean', 'image', '--epochs', '1'];
    const data = ['--data', at('other'), '--val', at('val'), '--batch', '4', '--json'];
    const args = (stats: string, out: string) => ['train', ...data, ...noise, '--stats', stats, '--out', out];
    await alexnet(['stats', '--data', at('other'), '--out', at('others')]);
    const { status, stderr } = await alexnet(args(at('others'), at('told')));
    // Nothing was looked at anew.
    expect([status, stderr]).to.deep.equal([0, '']);
    await using file = await ModelFile.open(at('told'));
    expect(file.info.notes).to.include({ stats: at('others') });
    expectError(
      await alexnet(args(at('elsewhere'), at('none'))),
      1,
      /Expected statistics of the training data in .*elsewhere but received those of other pictures/,
    );
    expectError(await alexnet(args(at('nowhere'), at('none'))), 1, /nowhere/);
    expectError(
      await alexnet(['train', ...data, '--stats', at('others'), '--out', at('none')]),
      1,
      /--stats needs --data and --mean image or --colour-noise/,
    );
    expectError(await alexnet(['train', '--stats', at('others')]), 1, /--stats needs --data/);
  });

  it('refuses statistics of other pictures, and noise without pictures', async () => {
    await writeFile(at('val', 'stats.safetensors'), await readFile(at('train', 'stats.safetensors')));
    expectError(
      await alexnet([
        ...['train', '--data', at('val'), '--val', at('train'), '--out', at('none')],
        ...['--colour-noise', 'paper'],
      ]),
      1,
      /Expected statistics of the training data in .*val\/stats\.safetensors but received those of other pictures/,
    );
    expectError(await alexnet(['train', '--colour-noise', 'paper']), 1, /--colour-noise needs --data/);
    expectError(await alexnet(['stats', '--data', at('nowhere')]), 1, /nowhere/);
    expectError(
      await alexnet(['stats', '--data', at('train'), '--out', at('no/where')]),
      1,
      /for --out but received .*no\/where \(ENOENT/,
    );
  });
});
