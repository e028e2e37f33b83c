import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import { alexnet, expectError, jsonLines, MAIN, numbersOf, useFolder } from './alexnet.js';
import { BLUE, RED, truncatedJpeg, writePictures } from './pictures.js';

describe('command line: prepared pictures, ImageNet, CIFAR-10', function () {
  this.timeout(300_000);
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);
  const recipe = ['--batch', '4', '--epochs', '1', '--optimizer', 'sgd', '--json'];
  const train = (data: string, out: string, ...more: string[]) =>
    alexnet(['train', '--data', at(data), '--out', at(out), ...recipe, ...more]);

  before(async () => {
    await writePictures(at('train'), { blue: BLUE, red: RED, green: [30, 200, 30] }, 6);
    await writePictures(at('val'), { blue: BLUE, red: RED, green: [30, 200, 30] }, 2);
    await writeFile(at('train/red/cut.jpg'), await truncatedJpeg());
  });

  it('prepare stores what can be read, and training from it is training from the source', async () => {
    const raw = await alexnet(['prepare', '--data', at('train'), '--out', at('raw'), '--raw', '--json']);
    expect(raw.status).to.equal(0);
    expect(raw.stderr).to.match(/^Left out: .*red\/cut\.jpg could not be decoded: [^\n]*\n$/);
    expect(jsonLines(raw.stdout)).to.deep.equal([
      { out: at('raw'), pictures: 18, added: 18, bytes: 18 * 196608, skipped: 1 },
    ]);
    await unlink(at('train/red/cut.jpg'));
    const straight = await train('train', 'runs/source', '--val', at('val'));
    const prepared = await train('raw', 'runs/raw', '--val', at('val'));
    expect([straight.status, prepared.status, prepared.stderr]).to.deep.equal([0, 0, '']);
    const [a, b] = await Promise.all(
      ['source', 'raw'].map((run) => numbersOf(at('runs', run, 'best.safetensors'))),
    );
    expect(a?.equals(b ?? Buffer.of())).to.equal(true);

    const words = await alexnet(['prepare', '--data', at('val'), '--out', at('jpeg'), '--quality', '80']);
    expect(words.stdout).to.match(
      /^Saved .*jpeg: 6 pictures of 256 × 256 pixels, JPEG of quality 80, [\d,]+ bytes each\n$/,
    );
    const again = await alexnet(['prepare', '--data', at('val'), '--out', at('jpeg'), '--quality', '80']);
    expect(again.stdout).to.match(/^Nothing was left to do for .*jpeg: 6 pictures/);
    const measured = await alexnet(['eval', '--model', at('runs/raw'), '--data', at('jpeg'), '--json']);
    expect(jsonLines(measured.stdout)[0]).to.include({ skipped: 0 });
    const stats = await alexnet(['stats', '--data', at('raw'), '--json']);
    expect(jsonLines(stats.stdout)[0]).to.include({ file: at('raw/stats.safetensors'), pictures: 18 });
  });

  it('prepare, killed and begun again, comes to the same result', async () => {
    await writePictures(at('many'), { blue: BLUE, red: RED }, 40);
    await alexnet(['prepare', '--data', at('many'), '--out', at('straight')]);
    const child = spawn(process.execPath, [MAIN, 'prepare', '--data', at('many'), '--out', at('killed')]);
    const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    const isStored = async () =>
      (await readdir(at('killed/blue')).catch((): string[] => [])).includes('3.png');
    while (child.exitCode === null && !(await isStored())) await setImmediate();
    child.kill('SIGKILL');
    expect(await ended).to.deep.equal([null, 'SIGKILL']);
    expectError(await train('killed', 'runs/none', '--val', at('killed')), 1, /did not come to its end/);
    const rest = await alexnet(['prepare', '--data', at('many'), '--out', at('killed'), '--json']);
    expect(jsonLines(rest.stdout)[0]).to.include({ pictures: 80, skipped: 0 });
    for (const path of ['', 'blue', 'red']) {
      const names = (await readdir(at('straight', path), { withFileTypes: true })).map(({ name }) => name);
      expect(await readdir(at('killed', path))).to.deep.equal(names);
      for (const name of names.filter((one) => one.includes('.'))) {
        const [killed, straight] = await Promise.all(
          ['killed', 'straight'].map((out) => readFile(at(out, path, name))),
        );
        expect(killed?.equals(straight ?? Buffer.of()), name).to.equal(true);
      }
    }
  });

  it('train --classes takes these alone, and --resume keeps to them', async () => {
    const run = await train('train', 'runs/two', '--val', at('val'), '--classes', 'red,blue');
    expect(run.status).to.equal(0);
    const measured = await alexnet(['eval', '--model', at('runs/two'), '--data', at('train'), '--json']);
    expectError({ ...measured }, 1, /unknown class green \(known: blue, red\)/);
    const goOn = (...more: string[]) =>
      alexnet(['train', '--resume', at('runs/two'), '--epochs', '2', '--json', ...more]);
    expectError(await goOn('--classes', 'red,green'), 1, /Expected red,blue for --classes .*may not change/);
    expect((await goOn()).status).to.equal(0);
    expectError(
      await train('train', 'runs/none', '--val', at('val'), '--classes', 'red,fox'),
      1,
      /no class fox/,
    );
    expectError(await alexnet(['train', '--classes', 'red,blue']), 1, /--classes needs --data/);
    expect((await train('train', 'runs/none', '--val', at('val'), '--classes', 'red')).status).to.equal(2);
  });

  it('train and eval take the folder of CIFAR-10 as it is', async () => {
    await mkdir(at('cifar'));
    await writeFile(at('cifar/batches.meta.txt'), 'blue\nred\n');
    const record = (label: number, value: number) =>
      Buffer.from([label, ...[0, 1, 2].flatMap((c) => Array(1024).fill(c === label ? value : 20))]);
    for (const batch of [1, 2]) {
      const records = [0, 1, 2, 3].map((i) => record(i % 2, 100 + 10 * batch));
      await writeFile(at(`cifar/data_batch_${batch}.bin`), Buffer.concat(records));
    }
    await writeFile(at('cifar/test_batch.bin'), Buffer.concat([record(0, 90), record(1, 90), record(1, 95)]));
    const run = await train('cifar', 'runs/cifar');
    expect([run.status, run.stderr]).to.deep.equal([0, '']);
    expect(jsonLines(run.stdout).at(-1)).to.include({ complete: true, step: 2 });
    const measured = await alexnet(['eval', '--model', at('runs/cifar'), '--data', at('cifar'), '--json']);
    const [{ perClass = [] } = {}] = jsonLines(measured.stdout);
    expect((perClass as { count: number }[]).map(({ count }) => count)).to.deep.equal([1, 2]);
    expect(jsonLines((await alexnet(['stats', '--data', at('cifar'), '--json'])).stdout)[0]).to.include({
      pictures: 8,
    });
    expectError(
      await alexnet(['prepare', '--data', at('cifar'), '--out', at('none')]),
      1,
      /it is CIFAR-10's binary version, which train, eval and stats take/,
    );
    await writeFile(at('cifar/data_batch_2.bin'), record(0, 1).subarray(1));
    expectError(
      await train('cifar', 'runs/none'),
      1,
      /data_batch_2\.bin but received 3072 .*is it cut short/,
    );
  });

  it('says what cannot be prepared', async () => {
    const prepare = (...more: string[]) =>
      alexnet(['prepare', '--data', at('train'), '--out', at('bad'), ...more]);
    expect((await prepare('--raw', '--quality', '90')).status).to.equal(2);
    expect((await prepare('--quality', '101')).status).to.equal(2);
    await writeFile(at('train/red/cut.jpg'), await truncatedJpeg());
    expectError(
      await alexnet(['prepare', '--data', at('jpeg'), '--out', at('bad')]),
      1,
      /Expected pictures as they are for --data but received .*jpeg, which was prepared/,
    );
    expectError(await prepare('--strict'), 1, /red\/cut\.jpg could not be decoded/);
    expectError(await prepare('--synsets', at('none')), 1, /Expected file of synsets for .*none/);
    expectError(
      await prepare('--labels', at('none')),
      1,
      /labels .*none are of a folder without class folders/,
    );
    expectError(
      await alexnet(['prepare', '--data', at('train'), '--out', at('val')]),
      1,
      /Expected empty folder/,
    );
  });
});
