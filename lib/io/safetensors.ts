import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { ArgumentError, expected, FileFormatError, reasonOf } from '../errors.js';
import {
  ARRAYS,
  byteLength,
  type Dtype,
  formatError,
  type Header,
  MAX_HEADER_BYTES,
  parseHeader,
  quote,
  type TensorInfo,
} from './safetensors_header.js';

export type { Dtype, TensorInfo } from './safetensors_header.js';

/** The array of a tensor's elements, in C order; F16 and BF16 are their bits, BOOL is 0 or 1. */
export type TensorData<D extends Dtype = Dtype> = InstanceType<(typeof ARRAYS)[D]>;

export interface TensorEntry {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The array that dtype asks for. A function is called when its tensor is due: only one need be in memory. */
  readonly data: NodeJS.TypedArray | (() => Promise<NodeJS.TypedArray>);
}

const CHUNK_BYTES = 16 * 2 ** 20;

/**
 * Writes a safetensors file at the handle's position, tensor after tensor. As the reference implementation does, larger
 * elements come first, so that all are aligned; among equals the given order is kept. Use it within `writeAtomically`.
 * @throws ArgumentError where data are not what dtype and shape say
 */
export async function writeSafetensors(
  file: FileHandle,
  tensors: ReadonlyMap<string, TensorEntry>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ordered = [...tensors].sort(
    ([, a], [, b]) => ARRAYS[b.dtype].BYTES_PER_ELEMENT - ARRAYS[a.dtype].BYTES_PER_ELEMENT,
  );
  await writeFully(file, formatHeader(ordered, metadata));
  for (const [name, { dtype, shape, data }] of ordered) {
    const array = typeof data === 'function' ? await data() : data;
    const type = ARRAYS[dtype];
    if (!(array instanceof type) || array.byteLength !== byteLength(dtype, shape)) {
      const what = `${type.name} for ${dtype} of shape [${shape.join(', ')}]`;
      throw new ArgumentError(
        `Expected ${what} for ${quote(name)} but received ${array.constructor.name} of length ${array.length}`,
      );
    }
    await writeFully(file, new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }
}

function formatHeader(
  tensors: readonly [string, TensorEntry][],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const members: string[] = [];
  if (Object.keys(metadata).length > 0) members.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let begin = 0;
  for (const [name, { dtype, shape }] of tensors) {
    if (name === '__metadata__') throw new ArgumentError(expected('another name', 'a tensor', name));
    const bytes = byteLength(dtype, shape);
    if (bytes === undefined || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      throw new ArgumentError(expected('non-negative integers', `the shape of ${quote(name)}`, shape));
    }
    const end = begin + bytes;
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const json = Buffer.from(`{${members.join(',')}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new ArgumentError(
      expected(`at most ${MAX_HEADER_BYTES} bytes`, 'the safetensors header', headerBytes),
    );
  }
  const buffer = Buffer.alloc(8 + headerBytes, ' ');
  buffer.writeBigUInt64LE(BigInt(headerBytes));
  json.copy(buffer, 8);
  return buffer;
}

async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, Math.min(CHUNK_BYTES, bytes.length - at));
    at += bytesWritten;
  }
}

/**
 * A safetensors file, its header read and checked against the file's size, its tensors read when asked for. What is
 * read stays consistent when the path is saved to anew by `writeAtomically`.
 */
export class SafetensorsFile implements AsyncDisposable {
  readonly path: string;
  readonly metadata: Header['metadata'];
  /** By name, in the order of their data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #file: FileHandle;
  readonly #dataStart: number;

  private constructor(path: string, file: FileHandle, header: Header, dataStart: number) {
    this.path = path;
    this.metadata = header.metadata;
    this.tensors = header.tensors;
    this.#file = file;
    this.#dataStart = dataStart;
  }

  /** @throws FileFormatError also where there is no such file, or none that may be read */
  static async open(path: string): Promise<SafetensorsFile> {
    let file: FileHandle;
    try {
      // Without O_NONBLOCK, opening a FIFO would wait for its writer.
      file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw new FileFormatError(`Expected a safetensors file at ${path} but received ${reasonOf(error)}`, {
        cause: error,
      });
    }
    try {
      const stat = await file.stat();
      if (!stat.isFile()) {
        const kind = stat.isDirectory() ? 'a folder' : 'a special file';
        throw new FileFormatError(`Expected a safetensors file at ${path} but received ${kind}`);
      }
      if (stat.size < 8)
        throw formatError('at least 8 bytes', 'the safetensors header', path, String(stat.size));
      const headerBytes = Buffer.from(await readFully(file, 0, 8, path)).readBigUInt64LE();
      const most = Math.min(MAX_HEADER_BYTES, stat.size - 8);
      if (headerBytes > most) {
        throw formatError(`at most ${most} bytes`, 'the safetensors header', path, String(headerBytes));
      }
      const dataStart = 8 + Number(headerBytes);
      const bytes = new Uint8Array(await readFully(file, 8, Number(headerBytes), path));
      return new SafetensorsFile(path, file, parseHeader(bytes, stat.size - dataStart, path), dataStart);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Reads one tensor. With `expected`, another dtype or shape is refused before anything is allocated.
   * @throws FileFormatError
   */
  async readTensor<D extends Dtype = Dtype>(
    name: string,
    expected?: { readonly dtype: D; readonly shape: readonly number[] },
  ): Promise<TensorData<D>> {
    const info = this.tensors.get(name);
    if (info === undefined) throw formatError('a tensor', quote(name), this.path, 'none of that name');
    if (expected !== undefined && describe(info) !== describe(expected)) {
      throw formatError(describe(expected), quote(name), this.path, describe(info));
    }
    const data = await readFully(this.#file, this.#dataStart + info.begin, info.end - info.begin, this.path);
    return new ARRAYS[info.dtype](data) as TensorData<D>;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function describe({ dtype, shape }: { dtype: Dtype; shape: readonly number[] }): string {
  return `${dtype} of shape [${shape.join(', ')}]`;
}

async function readFully(
  file: FileHandle,
  position: number,
  length: number,
  path: string,
): Promise<ArrayBuffer> {
  const where = `byte ${position}`;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(length);
  } catch {
    throw formatError('a tensor that fits into memory', where, path, `one of ${length} bytes`);
  }
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(bytes, at, Math.min(CHUNK_BYTES, length - at), position + at);
    if (bytesRead === 0) throw formatError(`${length} bytes`, where, path, String(at));
    at += bytesRead;
  }
  return bytes.buffer;
}
