// The smoke part of the tests on other Nodes than the one at hand: `npm run test:nodes [-- VERSION…]`.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { expectWorking, pack, root, run } from './install.js';

/** The oldest that is supported, and the newest of each later line. */
const VERSIONS = ['20.19.0', '22.23.3', '24.21.0'];

/** The tests of what depends on Node: its Node-API, garbage collector, promises, files, workers and exits. */
const SUITE = [
  'autograd',
  'bad_tensors',
  'ops',
  'stream',
  'tensor',
  'tidy',
  'data/decode',
  'io/atomic',
  'io/safetensors',
  'environment/environments',
  'environment/exit',
];

function check(version: string, folder: string): void {
  const nodes = join(folder, 'nodes');
  const consumer = join(folder, 'consumer');
  for (const made of [nodes, consumer]) mkdirSync(made);
  writeFileSync(join(nodes, 'package.json'), '{}');
  // npm's package `node` is a script that installs this one.
  const name = `node-linux-${process.arch}`;
  expectSuccess(run(nodes, 'npm', ['install', '--no-audit', '--no-fund', `${name}@${version}`]));
  const node = join(nodes, 'node_modules', name, 'bin/node');
  expect(run(nodes, node, ['--version'], node).stdout.trim()).to.equal(`v${version}`);

  const tarball = pack(consumer);
  const flags = ['--no-audit', '--no-fund', `--nodedir=${join(nodes, 'node_modules', name)}`];
  expectSuccess(run(consumer, 'npm', ['install', ...flags, tarball], node));
  expectWorking(consumer, node);
  console.log(`Node ${version}: built, compiled against, run and required`);

  const files = SUITE.map((file) => `test/${file}.test.ts`);
  const suite = run(root, node, ['node_modules/mocha/bin/mocha.js', '--reporter', 'dot', ...files], node);
  expectSuccess(suite);
  console.log(`Node ${version}: ${/\d+ passing.*/.exec(suite.stdout)?.[0]}`);
}

function expectSuccess({ status, stdout, stderr }: ReturnType<typeof run>): void {
  expect(status, stdout + stderr).to.equal(0);
}

const given = process.argv.slice(2);
for (const version of given.length > 0 ? given : VERSIONS) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'node-cudnn-node-')));
  try {
    check(version, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
