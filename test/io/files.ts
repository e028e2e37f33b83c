import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A folder for the tests of the `describe` it is called in, gone after them. */
export function temporaryFolder(): {
  path(name: string): string;
  write(name: string, bytes: Uint8Array): Promise<string>;
} {
  let folder: string | undefined;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'node-cudnn-'));
  });
  after(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true });
  });
  function path(name: string): string {
    if (folder === undefined) throw new Error('The folder is there only within tests');
    return join(folder, name);
  }
  async function write(name: string, bytes: Uint8Array): Promise<string> {
    await writeFile(path(name), bytes);
    return path(name);
  }
  return { path, write };
}

/** The bytes of a safetensors file with this header, whose length may lie. */
export function rawSafetensors(
  header: string | Uint8Array,
  data: Uint8Array,
  headerBytes?: bigint,
): Uint8Array {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(headerBytes ?? BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

const run = promisify(execFile);
const python = process.env.NODE_CUDNN_TEST_PYTHON ?? 'python3';

/** Why tests that need Python's safetensors don't run, for their titles. */
export const NEEDS_PYTHON =
  'needs Python with numpy and safetensors: NODE_CUDNN_TEST_PYTHON names another than python3';

export async function hasPythonSafetensors(): Promise<boolean> {
  return run(python, ['-c', 'import numpy, safetensors']).then(
    () => true,
    () => false,
  );
}

/** What a Python program prints as JSON. */
export async function runPython(program: string, ...args: readonly string[]): Promise<unknown> {
  const { stdout } = await run(python, ['-c', program, ...args], { maxBuffer: 2 ** 26 });
  return JSON.parse(stdout);
}
