import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import sharp from 'sharp';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The TypeScript blocks of README that import the package, by a word that each contains. */
function example(word: string): string {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block = '']) => block);
  const found = blocks.find((block) => block.includes(word));
  if (found === undefined) throw new Error(`Expected a block with ${word} in README.md`);
  return found;
}

describe('the packed package', function () {
  this.timeout(180_000);
  let folder = '';

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'node-cudnn-consumer-'));
    execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], {
      cwd: root,
      stdio: 'pipe',
    });
    const [tarball = ''] = readdirSync(folder);
    const modules = join(folder, 'node_modules');
    const installed = join(modules, 'node-cudnn');
    mkdirSync(installed, { recursive: true });
    execFileSync('tar', ['xzf', join(folder, tarball), '--strip-components=1', '-C', installed]);
    // What npm would install and build.
    for (const name of ['sharp', 'commander', 'cli-progress', 'yauzl', 'pend', '@types'])
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
    symlinkSync(join(root, 'build'), join(installed, 'build'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    for (const [name, grey] of [
      ['dark', 40],
      ['light', 200],
    ] as const) {
      for (const part of ['train', 'val']) {
        const place = join(folder, 'photos', part, name);
        mkdirSync(place, { recursive: true });
        for (let i = 0; i < 4; i++) {
          const background = { r: grey, g: grey + i * 10, b: grey };
          await sharp({ create: { width: 80, height: 60, channels: 3, background } })
            .jpeg()
            .toFile(join(place, `${i}.jpg`));
        }
      }
    }
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it("compiles README's training and server, and they work", async () => {
    writeFileSync(join(folder, 'training.ts'), example('new Trainer'));
    writeFileSync(join(folder, 'server.ts'), example('createServer'));
    const tsc = spawnSync(
      process.execPath,
      [
        join(root, 'node_modules/typescript/bin/tsc'),
        '--module',
        'nodenext',
        '--target',
        'es2022',
        '--strict',
        '--types',
        'node',
        'training.ts',
        'server.ts',
      ],
      { cwd: folder, encoding: 'utf8' },
    );
    expect(tsc.stdout + tsc.stderr).to.equal('');
    const training = spawnSync(process.execPath, ['training.js'], { cwd: folder, encoding: 'utf8' });
    expect(training.stderr).to.equal('');
    expect(training.stdout).to.match(/top-1/);

    const server = spawn(process.execPath, ['server.js'], {
      cwd: folder,
      env: { ...process.env, PORT: '0' },
    });
    try {
      const port = await portOf(server);
      const body = readFileSync(join(folder, 'photos/val/dark/0.jpg'));
      const answers = await Promise.all(
        [1, 2, 3].map(() =>
          fetch(`http://127.0.0.1:${port}`, { method: 'POST', body }).then((answer) => answer.json()),
        ),
      );
      for (const answer of answers as { class: string; probability: number }[][]) {
        expect(answer.map((guess) => guess.class)).to.have.members(['dark', 'light']);
        expect(answer.reduce((sum, guess) => sum + guess.probability, 0)).to.be.closeTo(1, 1e-5);
      }
      const refused = await fetch(`http://127.0.0.1:${port}`, { method: 'POST', body: 'no picture' });
      expect(refused.status).to.equal(400);
    } finally {
      server.kill();
    }
  });

  it('can be required from CommonJS', () => {
    writeFileSync(join(folder, 'user.cjs'), "console.log(typeof require('node-cudnn').conv2d)");
    const run = spawnSync(process.execPath, ['user.cjs'], { cwd: folder, encoding: 'utf8' });
    expect(run.stdout.trim()).to.equal('function');
  });

  it('says how to build the addon where install scripts were skipped', () => {
    rmSync(join(folder, 'node_modules/node-cudnn/build'));
    writeFileSync(join(folder, 'user.mjs'), "import 'node-cudnn'");
    const run = spawnSync(process.execPath, ['user.mjs'], { cwd: folder, encoding: 'utf8' });
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(/AddonError: addon not built: install scripts were skipped.*install\.mjs/);
  });
});

async function portOf(server: ChildProcess): Promise<number> {
  if (server.stdout === null) throw new Error('Expected a pipe');
  const [line] = (await once(server.stdout, 'data')) as [Buffer];
  return Number(/port: (\d+)/.exec(line.toString())?.[1]);
}
