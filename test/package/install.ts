import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command in a folder as somebody would who has that `node`, and nothing to do with the npm that runs us. */
export function run(
  folder: string,
  command: string,
  args: readonly string[],
  node = process.execPath,
): Outcome {
  const own =
    /^(INIT_CWD$|npm_(package|lifecycle|command|execpath|node_execpath|config_(local|global)?_?prefix))/;
  const env: NodeJS.ProcessEnv = { ...process.env, ...oneDnn() };
  for (const name of Object.keys(env)) if (own.test(name)) delete env[name];
  env.PATH = `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`;
  return spawnSync(command, args, { cwd: folder, env, encoding: 'utf8', maxBuffer: 2 ** 26 });
}

/** The copy that the checkout fetched, so that no other is. */
function oneDnn(): NodeJS.ProcessEnv {
  const { onednn } = JSON.parse(readFileSync(join(root, 'build/deps.json'), 'utf8'));
  return onednn.source === 'wheel' ? { DNNL_ROOT: dirname(join(root, onednn.includeDir)) } : {};
}

/** Packs the checkout as it is, and copies the consumer beside the tarball, whose path is returned. */
export function pack(folder: string): string {
  const { status, stderr } = run(root, 'npm', ['pack', '--ignore-scripts', '--pack-destination', folder]);
  expect(status, stderr).to.equal(0);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
  cpSync(join(root, 'test/package/consumer'), folder, { recursive: true });
  return join(folder, tarball);
}

const UNREACHABLE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED/;

/** Whether a package manager could install; false where it reached no registry. */
export function installed({ status, stdout, stderr }: Outcome): boolean {
  if (status !== 0 && UNREACHABLE.test(stdout + stderr)) return false;
  expect(status, stdout + stderr).to.equal(0);
  return true;
}

/** What holds of every installation: it compiles, imports, requires and trains, and has the command. */
export function expectWorking(folder: string, node = process.execPath): void {
  const typeRoots = join(root, 'node_modules/@types');
  const tsc = run(
    folder,
    node,
    [join(root, 'node_modules/typescript/bin/tsc'), '--typeRoots', typeRoots],
    node,
  );
  expect(tsc.stdout + tsc.stderr).to.equal('');

  const training = run(folder, node, ['training.js'], node);
  expect(training.stderr).to.equal('');
  const { first, last, refusal } = JSON.parse(training.stdout);
  expect(last).to.be.below(first / 2);
  expect(refusal).to.equal('Expected positive integer for classes but received 0 of type number');

  const required = run(folder, node, ['required.cjs'], node);
  expect(required.stdout).to.equal('[0,2]\n');

  const doctor = run(folder, join(folder, 'node_modules/.bin/alexnet'), ['doctor', '--json'], node);
  expect(doctor.status, doctor.stderr).to.equal(0);
  expect(JSON.parse(doctor.stdout)).to.be.an('object');
}
