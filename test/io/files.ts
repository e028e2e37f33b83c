import { execFile } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
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

export type Tensors = readonly (readonly [name: string, shape: readonly number[], dtype?: string])[];

/** The beginning of a safetensors file with these, and how many bytes of numbers follow. */
export function headerOf(metadata: object, tensors: Tensors): { header: Buffer; dataBytes: number } {
  const entries: Record<string, object> = { __metadata__: metadata };
  let at = 0;
  for (const [name, shape, dtype = 'F32'] of tensors) {
    const begin = at;
    at += shape.reduce((product, dim) => product * dim, dtype === 'F64' ? 8 : 4);
    entries[name] = { dtype, shape, data_offsets: [begin, at] };
  }
  const json = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return { header: Buffer.concat([length, json]), dataBytes: at };
}

/** A file that begins so; the rest are zeros, a hole that takes no space on the disk. */
export async function writeSparse(path: string, header: Uint8Array, dataBytes: number): Promise<void> {
  await using file = await open(path, 'w');
  await file.write(header);
  await file.truncate(header.length + dataBytes);
}

const run = promisify(execFile);
const python = process.env.NODE_CUDNN_TEST_PYTHON ?? 'python3';

/** Why tests that need Python's safetensors don't run, for their titles. */
export const NEEDS_PYTHON =
  'needs Python with numpy and safetensors: NODE_CUDNN_TEST_PYTHON names another than python3';

export function hasPythonSafetensors(): Promise<boolean> {
  return hasPython('numpy, safetensors');
}

export function hasPython(packages: string): Promise<boolean> {
  return run(python, ['-c', `import ${packages}`]).then(
    () => true,
    () => false,
  );
}

/** What a Python program prints as JSON. */
export async function runPython(program: string, ...args: readonly string[]): Promise<unknown> {
  const { stdout } = await run(python, ['-c', program, ...args], { maxBuffer: 2 ** 26 });
  return JSON.parse(stdout);
}
