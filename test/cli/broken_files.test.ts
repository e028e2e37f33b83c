import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { alexnet, expectError, jsonLines, type Outcome, useFolder } from './alexnet.js';
import { BLUE, RED, truncatedJpeg, writePictures } from './pictures.js';

describe('command line: files that are no pictures, or broken', () => {
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);
  let trained: Outcome;
  let events: Record<string, unknown>[];
  const train = (out: string, ...more: string[]) =>
    alexnet(['train', '--data', at('train'), '--val', at('val'), '--out', at(out), ...more]);

  before(async () => {
    const broken = await truncatedJpeg();
    await writePictures(at('train'), { blue: BLUE, red: RED }, 4);
    await writeFile(at('train/blue/note.txt'), 'no picture');
    await writeFile(at('train/blue/bell\u0007.png'), '');
    await writeFile(at('train/red/cut.jpg'), broken);
    await writePictures(at('val'), { blue: BLUE, red: RED }, 2);
    await writeFile(at('val/red/short.jpg'), broken);
    await writePictures(at('good'), { blue: BLUE, red: RED }, 1);
    trained = await train('run', '--batch', '4', '--epochs', '2', '--optimizer', 'sgd', '--json');
    events = jsonLines(trained.stdout);
  });

  it('train goes on without them, and tells each once, by name and reason', () => {
    expect(trained.status).to.equal(0);
    const lines = trained.stderr.trimEnd().split('\n');
    expect(lines).to.have.length(5);
    expect(lines.slice(0, 3)).to.deep.equal([
      `Left out: ${at('train/blue/bell\\u0007.png')} (empty file)`,
      `Left out: ${at('train/blue/note.txt')} (Input file contains unsupported image format)`,
      `${at('train')}: 2 files are no pictures, left out`,
    ]);
    expect(lines[3]).to.match(/^Left out: .*train\/red\/cut\.jpg could not be decoded: \S/);
    expect(lines[4]).to.match(/^Left out: .*val\/red\/short\.jpg could not be decoded: \S/);
  });

  it('train --json has an event for each broken picture, and counts', () => {
    const skips = events.filter(({ event }) => event === 'skip');
    expect(skips.map(({ data, index, file }) => ({ data, index, file }))).to.deep.equal([
      { data: 'train', index: 8, file: at('train/red/cut.jpg') },
      { data: 'validation', index: 4, file: at('val/red/short.jpg') },
    ]);
    for (const { reason } of skips) expect(reason).to.match(/\.jpg could not be decoded: /);
    const counted = events.filter(({ event }) => event === 'epoch' || event === 'end');
    expect(counted.map(({ skipped }) => skipped)).to.deep.equal([4, 4, 4]);
    for (const { images } of events.filter(({ event }) => event === 'step')) {
      expect(images).to.be.oneOf([3, 4]);
    }
  });

  it('eval measures the others, and counts', async () => {
    const args = ['eval', '--model', at('run'), '--data', at('val')];
    const json = await alexnet([...args, '--json']);
    expect(json.stderr).to.match(/^Left out: .*val\/red\/short\.jpg could not be decoded: [^\n]*\n$/);
    expect(json.status).to.equal(0);
    const { perClass, skipped, ...figures } = jsonLines(json.stdout)[0] ?? {};
    expect(figures).to.deep.equal(events.at(-1)?.val);
    expect(skipped).to.equal(1);
    expect((perClass as { count: number }[]).map(({ count }) => count)).to.deep.equal([2, 2]);
    const plain = await alexnet(args);
    expect(plain.stdout).to.match(/^4 pictures: .*\n1 file was left out: /);
    expect(plain.status).to.equal(0);
  });

  it('train --strict and eval --strict name the first file that is no picture, and how many there are', async () => {
    expectError(
      await train('other', '--strict'),
      1,
      /--strict, but 2 files are .*bell\\u0007\.png \(empty file\)/,
    );
    const args = ['--model', at('run'), '--data', at('train'), '--strict'];
    expectError(
      await alexnet(['eval', ...args]),
      1,
      /--strict, but 2 files are .*bell\\u0007\.png \(empty file\)/,
    );
  });

  it('train --strict and eval --strict end at the first picture that is broken', async () => {
    const data = ['--data', at('val'), '--val', at('good'), '--out', at('other')];
    expectError(
      await alexnet(['train', ...data, '--strict', '--json']),
      1,
      /sample 4 .*val\/red\/short\.jpg could not be decoded/,
    );
    const args = ['--model', at('run'), '--data', at('val'), '--strict'];
    expectError(await alexnet(['eval', ...args]), 1, /val\/red\/short\.jpg could not be decoded/);
  });

  it('train --resume repeats --strict', async () => {
    const data = ['--data', at('good'), '--val', at('good'), '--out', at('strict')];
    const options = ['--batch', '2', '--epochs', '1', '--optimizer', 'sgd'];
    expect((await alexnet(['train', ...data, ...options, '--strict', '--json'])).status).to.equal(0);
    await writeFile(at('good/red/note.txt'), 'no picture');
    const resume = ['train', '--resume', at('strict'), '--epochs', '2'];
    expectError(await alexnet(resume), 1, /--strict, but 1 file is no picture: .*good\/red\/note\.txt/);
    await rm(at('good/red/note.txt'));
  });

  it('train --batch 1 passes over the step of a broken picture; the end and the report count', async () => {
    const single = await train('single', '--batch', '1', '--epochs', '1', '--optimizer', 'sgd');
    expect(single.status).to.equal(0);
    expect(single.stdout).to.match(/\n4 files were left out: no pictures, or pictures that cannot be read\n/);
    const rows = (await readFile(at('single/curves.csv'), 'utf8')).split('\r\n');
    expect(rows.filter((row) => row.startsWith('epoch,1,9,'))).to.have.length(1);
    expect(await readFile(at('single/report.html'), 'utf8')).to.match(
      /After epoch 1 of 1, 9 steps: .* 4 files were left out: no pictures/,
    );
  });

  describe('predict', () => {
    const predict = (...args: string[]) => alexnet(['predict', '--model', at('run'), ...args]);
    const files = () => [
      at('good/red/0.png'),
      at('val/red/short.jpg'),
      at('nowhere\u0085.png'),
      at('good/blue/0.png'),
    ];

    it('names what the others show, tells of the broken ones, and ends with status 1', async () => {
      const { status, stdout, stderr } = await predict(...files());
      expect(stdout).to.match(
        /^\S*good\/red\/0\.png\n(?: +[\d.]+ % {2}\w+\n){2}\S*good\/blue\/0\.png\n(?: +.*\n){2}$/,
      );
      expect(stderr).to.match(
        /^error: \S*val\/red\/short\.jpg could not be .*\nerror: \S*nowhere\\u0085\.png could not .*no such file.*\n$/,
      );
      expect(status).to.equal(1);
    });

    it('--json has an object for each', async () => {
      const { status, stdout } = await predict('--json', ...files());
      const results = jsonLines(stdout);
      expect(results.map(({ file }) => file)).to.deep.equal(files());
      expect(results.map((result) => Object.keys(result).at(-1))).to.deep.equal([
        'predictions',
        'error',
        'error',
        'predictions',
      ]);
      expect(results[1]?.error).to.match(/short\.jpg could not be decoded/);
      expect(status).to.equal(1);
    });

    it('--strict ends at the first broken one', async () => {
      const { status, stdout, stderr } = await predict('--strict', '--json', ...files());
      expect(jsonLines(stdout).map(({ file }) => file)).to.deep.equal(files().slice(0, 1));
      expect(stderr).to.match(/^error: \S*short\.jpg could not be decoded[^\n]*\n$/);
      expect(status).to.equal(1);
      expectError(await predict('--strict', at('nowhere.png')), 1, /nowhere\.png/);
    });
  });
});
