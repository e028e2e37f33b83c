import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { SafetensorsFile } from '../../lib/io/safetensors.js';
import { torchParameters } from '../../lib/models/torch_names.js';
import { headerOf, writeSparse } from '../io/files.js';
import { call, dict, global, integer, pickle, tensor, text, writeZip } from '../io/pth_files.js';
import { alexnet, expectError, jsonLines, MAIN, useFolder } from './alexnet.js';
import { BLUE, RED, writePictures } from './pictures.js';

describe('command line: weights of PyTorch, and what is made of them', function () {
  this.timeout(300_000);
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);
  const config = { preset: 'torchvision', classes: 3, init: 'pytorch', dropout: 0.5 } as const;

  before(async () => {
    const tensors = torchParameters(config).map(
      ({ torchName, torchShape }) => [torchName, torchShape] as const,
    );
    const { header, dataBytes } = headerOf({ format: 'pt' }, tensors);
    await writeSparse(at('zeros.safetensors'), header, dataBytes);
    await writeFile(at('labels.txt'), 'tench, Tinca tinca\ngoldfish\r\ngreat white shark\n');
  });

  const importing = (...more: string[]) =>
    alexnet(['import', '--from', 'torchvision', at('zeros.safetensors'), '--out', at('imported'), ...more]);

  it('import makes a folder that predict takes, with the labels', async () => {
    expect(await importing('--labels', at('labels.txt'))).to.deep.equal({
      status: 0,
      stdout: `Saved ${at('imported/last.safetensors')}: AlexNet, preset torchvision, 3 classes\n`,
      stderr: '',
    });
    await writePictures(at('one'), { red: RED }, 1);
    const { stdout } = await alexnet(['predict', '--model', at('imported'), at('one/red/0.png'), '--json']);
    const [{ predictions } = {}] = jsonLines(stdout);
    expect((predictions as { class: string }[]).map((row) => row.class)).to.deep.equal([
      'tench, Tinca tinca',
      'goldfish',
      'great white shark',
    ]);
  });

  it('export gives back what was imported', async () => {
    const out = at('exported.safetensors');
    const { status, stdout } = await alexnet(['export', '--model', at('imported'), '--out', out]);
    expect([status, stdout]).to.deep.equal([0, `Saved ${out}\n`]);
    await using exported = await SafetensorsFile.open(out);
    await using imported = await SafetensorsFile.open(at('zeros.safetensors'));
    expect([...exported.tensors]).to.deep.equal([...imported.tensors]);
  });

  it('import refuses labels that are too few, empty, or not there', async () => {
    await writeFile(at('few.txt'), 'tench\ngoldfish\n');
    expectError(
      await importing('--labels', at('few.txt')),
      1,
      /3 names, one for each class of .*zeros\.safetensors, for labels but received 2/,
    );
    await writeFile(at('hole.txt'), 'tench\n\nshark\n');
    expectError(await importing('--labels', at('hole.txt')), 1, /name of a class for line 2 of .*hole\.txt/);
    expectError(await importing('--labels', at('none.txt')), 1, /for --labels but received .*ENOENT/);
  });

  it('import refuses a .pth file that holds code, by its name', async () => {
    await writeZip(at('evil.pth'), [
      ['evil/data.pkl', pickle(call(global('posix', 'system'), text(`touch ${at('touched')}`)))],
    ]);
    const args = ['import', '--from', 'dansuh17', at('evil.pth'), '--out', at('never')];
    expectError(
      await alexnet(args),
      1,
      /only tensors and plain containers .* received code: "posix\.system"/,
    );
    expect(await readFile(at('touched')).catch(() => 'none')).to.equal('none');
  });

  it('import says how far the training of a checkpoint had come', async () => {
    const parameters = torchParameters({ ...config, preset: 'dansuh17' });
    const checkpoint = dict([
      ['epoch', integer(12)],
      ['total_steps', integer(34567)],
      [
        'model',
        dict(
          parameters.map(
            ({ torchName, torchShape: shape }, i) =>
              [`module.${torchName}`, tensor({ key: String(i), shape })] as const,
          ),
        ),
      ],
      ['seed', integer(2n ** 62n + 1n)],
    ]);
    await writeZip(at('checkpoint.pth'), [
      ['x/data.pkl', pickle(checkpoint)],
      ...parameters.map(
        ({ torchShape }, i) =>
          [
            `x/data/${i}`,
            async () => new Uint8Array(torchShape.reduce((product, size) => product * size, 4)),
          ] as const,
      ),
    ]);
    const args = ['import', '--from', 'dansuh17', at('checkpoint.pth'), '--out', at('dansuh17')];
    const { status, stdout } = await alexnet(args);
    expect(stdout).to.match(
      /^Its training had come to: epoch 12, step 34567, seed 4611686018427387905\nSaved /,
    );
    expect(status).to.equal(0);
  });

  describe('train --from', () => {
    let data: string[];
    before(async () => {
      await writePictures(at('train'), { blue: BLUE, red: RED }, 4);
      await writePictures(at('val'), { blue: BLUE, red: RED }, 2);
      data = [
        '--data',
        at('train'),
        '--val',
        at('val'),
        '--batch',
        '4',
        '--optimizer',
        'sgd',
        '--threads',
        '1',
      ];
    });

    async function weights(path: string): Promise<Map<string, Float32Array>> {
      await using file = await SafetensorsFile.open(path);
      const all = new Map<string, Float32Array>();
      for (const [name, { dtype, shape }] of file.tensors)
        if (dtype === 'F32') all.set(name, await file.readTensor(name, { dtype, shape }));
      return all;
    }

    it('replaces the last layer for other classes, and --freeze keeps layers as they are', async () => {
      const args = [
        '--from',
        at('imported'),
        '--freeze',
        'conv1..conv5,fc7',
        '--out',
        at('tuned'),
        '--epochs',
        '1',
      ];
      const { status, stdout, stderr } = await alexnet(['train', ...data, ...args]);
      expect([status, stderr.replaceAll(/^.*epoch .*\n/gm, '')]).to.deep.equal([0, '']);
      expect(stdout)
        .to.match(/preset torchvision, 2 classes/)
        .and.to.match(/dropout 0\.5/)
        .and.to.match(/starting from .*imported\/last\.safetensors, the last layer anew, for other classes/)
        .and.to.match(/frozen: conv1, conv2, conv3, conv4, conv5, fc7\n/);
      const tuned = await weights(at('tuned/last.safetensors'));
      for (const name of ['conv1.weight', 'conv5.bias', 'fc7.weight'])
        expect(
          tuned.get(name)?.every((value) => value === 0),
          name,
        ).to.equal(true);
      expect(tuned.get('fc8.weight')).to.have.length(2 * 4096);
      expect(tuned.get('fc8.weight')?.some((value) => value !== 0)).to.equal(true);
      const states = [...tuned.keys()].filter((name) => name.startsWith('optimizer/'));
      expect(states).to.deep.equal(
        ['fc6.weight', 'fc8.weight', 'fc6.bias', 'fc8.bias'].map((name) => `optimizer/velocity/${name}`),
      );
    });

    it('goes on with --resume, which needs no other option, to the very file of a run that was never stopped', async () => {
      await alexnet(['train', ...data, '--epochs', '1', '--out', at('base')]);
      const args = ['train', ...data, '--from', at('base'), '--freeze', 'conv1,conv2', '--epochs', '2'];
      const straight = await alexnet([...args, '--out', at('straight')]);
      expect(straight.stdout).to.match(/starting from .*base\/last\.safetensors, the last layer too/);

      const child = spawn(process.execPath, [MAIN, ...args, '--out', at('stopped'), '--json']);
      child.stdout.once('data', () => child.kill('SIGINT'));
      expect(await once(child, 'close')).to.deep.equal([130, null]);
      const { status, stdout } = await alexnet(['train', '--resume', at('stopped')]);
      expect(status).to.equal(0);
      expect(stdout)
        .to.match(/^Going on from/)
        .and.not.to.match(/no longer/);
      const [wanted, actual] = await Promise.all(
        ['straight', 'stopped'].map((run) => readFile(at(run, 'last.safetensors'))),
      );
      expect(actual?.equals(wanted ?? Buffer.of()), 'equal files').to.equal(true);

      const [base, tuned] = [
        await weights(at('base/last.safetensors')),
        await weights(at('stopped/last.safetensors')),
      ];
      for (const [name, isFrozen] of Object.entries({
        'conv1.weight': true,
        'conv2.bias': true,
        'conv3.weight': false,
      }))
        expect(
          tuned.get(name)?.every((value, i) => value === base.get(name)?.[i]),
          name,
        ).to.equal(isFrozen);
    });

    it('refuses what does not go together, and other settings on --resume', async () => {
      const from = ['train', ...data, '--from', at('imported')];
      expectError(await alexnet(['train', ...data, '--freeze', 'conv1']), 1, /--freeze needs --from/);
      expectError(
        await alexnet([...from, '--preset', 'paper']),
        1,
        /torchvision, as the model of --from has/,
      );
      expectError(await alexnet(['train', ...data, '--from', at('train')]), 1, /last\.safetensors/);
      for (const option of ['--from', '--freeze']) {
        const args = ['train', '--resume', at('tuned'), option, 'conv1'];
        expectError(await alexnet(args), 1, new RegExp(`for ${option} but .* may not change on --resume`));
      }
    });
  });
});
