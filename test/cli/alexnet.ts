import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { runNode } from '../support/child.js';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

export const MAIN = join(root, 'dist/cli/main.js');

/** Runs the built command line to its end. */
export async function alexnet(args: readonly string[], main = MAIN): Promise<Outcome> {
  const { code, stdout, stderr } = await runNode([main, ...args], 100_000);
  return { status: code, stdout, stderr };
}

/** One message, in one line, and nothing on stdout. */
export function expectError(outcome: Outcome, status: number, message: RegExp): void {
  expect(outcome.stderr).to.match(/^error: [^\n]+\n$/);
  expect(outcome.stderr).to.match(message);
  expect(outcome.stdout).to.equal('');
  expect(outcome.status).to.equal(status);
}

export function jsonLines(text: string): Record<string, unknown>[] {
  expect(text).to.match(/\n$/);
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** The numbers of a model file, without its header, which says how it was trained and where the pictures lay. */
export async function numbersOf(path: string): Promise<Buffer> {
  const bytes = await readFile(path);
  return bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
}

/** A folder that is gone after the suite. */
export function useFolder(): () => string {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'node-cudnn-cli-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));
  return () => folder;
}
