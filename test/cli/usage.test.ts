import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cp, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { runNode } from '../support/child.js';
import { alexnet, expectError, jsonLines, MAIN, root, useFolder } from './alexnet.js';

const WRONG_USAGE: readonly [args: string, message: RegExp][] = [
  ['trian', /unknown command 'trian'/],
  ['train --bacth 3', /unknown option '--bacth'/],
  ['train photos', /too many arguments/],
  ['train --batch 0', /'--batch <n>' argument '0' is invalid. Expected positive integer/],
  ['train --batch -3', /'-3' is invalid/],
  ['train --batch 1e9999', /'1e9999' is invalid/],
  ['train --epochs 1.5', /'--epochs <n>' argument '1.5' is invalid. Expected positive integer/],
  ['train --epochs 2097153', /'2097153' is invalid. Expected positive integer of at most 2097152/],
  ['train --batch 65537', /'65537' is invalid. Expected positive integer of at most 65536/],
  ['train --lr nan', /'--lr <rate>' argument 'nan' is invalid. Expected positive number/],
  ['train --lr 0', /'0' is invalid/],
  ['train --lr 1e400', /'1e400' is invalid/],
  ['train --lr 0x1', /'0x1' is invalid/],
  ['train --seed -1.5', /'--seed <n>' argument '-1.5' is invalid. Expected integer of at least 0/],
  ['train --seed 9007199254740993', /'9007199254740993' is invalid/],
  ['train --threads 0', /'--threads <n>' argument '0' is invalid/],
  ['train --threads 1025', /Expected integer from 1 to 1024/],
  ['train --preset vgg', /Allowed choices are paper, krizhevsky2012, dansuh17/],
  ['train --schedule 5,3', /'5,3' is invalid. Expected constant, .* or ascending epochs such as/],
  ['train --schedule 5,5', /'5,5' is invalid/],
  ['train --init xavier', /Allowed choices are paper, .*he, pytorch/],
  ['train --optimizer lion', /Allowed choices are adam, sgd/],
  [
    'train --freeze pool1',
    /'--freeze <layers>' argument 'pool1' is invalid. Expected layers of conv1, .*fc7/,
  ],
  ['train --freeze conv5..conv1', /'conv5..conv1' is invalid/],
  ['train --freeze conv1,', /'conv1,' is invalid/],
  ['train --freeze fc8', /'fc8' is invalid/],
  ['import --from vgg a.pth --out b', /Allowed choices are torchvision, dansuh17/],
  ['import a.pth --out b', /required option '--from <network>' not specified/],
  ['import --from dansuh17 --out b', /missing required argument 'file'/],
  ['export --model a', /required option '--out <file>' not specified/],
  ['train --seed', /argument missing/],
  ['eval --data photos', /required option '--model <path>' not specified/],
  ['eval --model runs', /required option '--data <dir>' not specified/],
  [
    'eval --model a --data b --confusion c.svg',
    /'--confusion <file>' argument 'c\.svg' is invalid. Expected file that ends in \.png or \.csv/,
  ],
  ['eval --model a --data b --errors c', /Expected file that ends in \.csv/],
  ['filters --model a --out b.jpg', /Expected file that ends in \.png/],
  ['features --model a --data b --out c.txt', /Expected file that ends in \.npy/],
  ['predict --model a --picture b.jpg c.png', /Expected file that ends in \.png/],
  ['neighbours --model a --data b --picture c.svg d.png', /Expected file that ends in \.png/],
  ['setup', /missing required argument 'what'/],
  ['setup onednn', /'onednn' is invalid for argument 'what'. Allowed choices are cuda/],
  ['predict --model runs', /missing required argument 'images'/],
  ['predict --model runs --top 0 a.png', /'--top <k>' argument '0' is invalid/],
];

describe('command line: usage', () => {
  for (const [args, message] of WRONG_USAGE) {
    it(`alexnet ${args}: exit status 2`, async () => {
      const outcome = await alexnet(args.split(' '));
      expect(outcome.stderr)
        .to.match(message)
        .and.to.match(/^error: /);
      expect(outcome.stderr).not.to.match(/^ {4}at /m);
      expect(outcome.stdout).to.equal('');
      expect(outcome.status).to.equal(2);
    });
  }

  it('shows help on stderr without a command: exit status 2', async () => {
    const outcome = await alexnet([]);
    expect(outcome.stderr).to.match(/^Usage: alexnet/);
    expect(outcome.status).to.equal(2);
  });

  for (const command of ['', 'train', 'eval', 'predict', 'import', 'export', 'doctor', 'bench', 'setup']) {
    it(`alexnet ${command} --help has examples`, async () => {
      const { status, stdout, stderr } = await alexnet([...command.split(' ').filter(Boolean), '--help']);
      expect(stdout).to.match(/^Usage: alexnet/);
      expect(stdout).to.match(new RegExp(`Examples:\n  # .*\n  alexnet ${command}`));
      expect([status, stderr]).to.deep.equal([0, '']);
    });
  }

  it('shows the defaults of train', async () => {
    const stdout = (await alexnet(['train', '--help'])).stdout.replaceAll(/\s+/g, ' ');
    for (const text of [
      'default: paper',
      'default: he',
      '128 of --data',
      'default: 0.0003',
      'default: adam',
      'default: 0)',
      'runs/shapes',
    ]) {
      expect(stdout).to.include(text);
    }
  });

  it('loads no native library before a command runs', async () => {
    const refusing = 'data:text/javascript,process.dlopen=(_,file)=>{throw new Error(file)}';
    const { code, stderr } = await runNode(['--import', refusing, MAIN, '--help'], 100_000);
    expect([code, stderr]).to.deep.equal([0, '']);
  });

  it('alexnet --version', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(await alexnet(['--version'])).to.deep.equal({ status: 0, stdout: `${version}\n`, stderr: '' });
  });
});

describe('command line: a reader that goes', () => {
  it('ends it without a word, with the status of SIGPIPE', async () => {
    const child = spawn(process.execPath, [MAIN, 'doctor'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const [status] = await once(child, 'close');
    expect([status, stderr]).to.deep.equal([141, '']);
  });
});

describe('command line: doctor', () => {
  it('writes one JSON object', async () => {
    const { status, stdout, stderr } = await alexnet(['doctor', '--json']);
    const [report, ...more] = jsonLines(stdout);
    expect(more).to.deep.equal([]);
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
    expect(report).to.have.all.keys('ok', 'node', 'platform', 'cpu', 'addon', 'onednn', 'cuda');
    expect(report).to.deep.include({ ok: true, node: process.version });
    expect(report?.cpu).to.have.all.keys('model', 'cores', 'features', 'threads');
    expect(report?.addon).to.have.property('error', null);
    expect(report?.addon).to.have.property('instructionSet').that.is.oneOf(['AVX-512', 'AVX2', 'baseline']);
    expect(report?.onednn)
      .to.have.property('version')
      .that.matches(/^3\.\d+\.\d+$/);
    expect(report?.onednn)
      .to.have.property('source')
      .that.is.oneOf(['DNNL_ROOT', 'pkg-config', 'system', 'wheel']);
    expect(report?.cuda).to.have.all.keys(
      'available',
      'built',
      'reason',
      'version',
      'driver',
      'cudnn',
      'devices',
      'pairs',
    );
  });

  it('says it in words', async () => {
    const { status, stdout } = await alexnet(['doctor']);
    expect(stdout)
      .to.match(/^Node: v\d+/m)
      .and.to.match(/^addon: works/m)
      .and.to.match(/^CUDA: ./m);
    expect(status).to.equal(0);
  });

  describe('in a package whose addon was not built', () => {
    const folder = useFolder();
    let main = '';
    before(async () => {
      const copy = join(folder(), 'package');
      await mkdir(copy);
      await cp(join(root, 'dist'), join(copy, 'dist'), { recursive: true });
      await cp(join(root, 'package.json'), join(copy, 'package.json'));
      await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
      main = join(copy, 'dist/cli/main.js');
    });

    it('says so: exit status 1', async () => {
      const { status, stdout, stderr } = await alexnet(['doctor'], main);
      expect(stdout).to.match(/^addon: addon not built: install scripts were skipped/m);
      expect([status, stderr]).to.deep.equal([1, '']);
      const json = await alexnet(['doctor', '--json'], main);
      expect(jsonLines(json.stdout)[0]).to.deep.include({ ok: false });
      expect(json.status).to.equal(1);
    });

    it('has the same message for train', async () => {
      expectError(await alexnet(['train'], main), 1, /addon not built: install scripts were skipped/);
    });

    it('has help', async () => {
      expect((await alexnet(['train', '--help'], main)).status).to.equal(0);
    });
  });
});
