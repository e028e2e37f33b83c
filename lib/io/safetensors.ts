import type { FileHandle } from 'node:fs/promises';
import { ArgumentError, expected } from '../errors.js';
import { formatError, openFile, quote, readFully, writeFully } from './file.js';
import {
  ARRAYS,
  byteLength,
  type Dtype,
  type Header,
  MAX_HEADER_BYTES,
  parseHeader,
  type TensorInfo,
} from './safetensors_header.js';

export type { Dtype, TensorInfo } from './safetensors_header.js';

/** The array of a tensor's elements, in C order; F16 and BF16 are their bits, BOOL is 0 or 1. */
export type TensorData<D extends Dtype = Dtype> = InstanceType<(typeof ARRAYS)[D]>;

export interface TensorEntry {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Arrays of what dtype asks for: one, or those that a function yields when its tensor is due, one after the other. */
  readonly data: NodeJS.TypedArray | (() => AsyncIterable<NodeJS.TypedArray>);
}

/** What a tensor is expected to be. */
export interface TensorKind<D extends Dtype = Dtype> {
  readonly dtype: D;
  readonly shape: readonly number[];
}

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
  for (const [name, entry] of ordered) await writeTensor(file, name, entry);
}

async function writeTensor(
  file: FileHandle,
  name: string,
  { dtype, shape, data }: TensorEntry,
): Promise<void> {
  const type = ARRAYS[dtype];
  let length = 0;
  for await (const array of typeof data === 'function' ? data() : [data]) {
    length += array.length;
    if (!(array instanceof type)) throw unlike(name, dtype, shape, array.constructor.name, length);
    await writeFully(file, new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }
  if (length * type.BYTES_PER_ELEMENT !== byteLength(dtype, shape))
    throw unlike(name, dtype, shape, type.name, length);
}

function unlike(name: string, dtype: Dtype, shape: readonly number[], type: string, length: number): Error {
  const what = `${ARRAYS[dtype].name} for ${dtype} of shape [${shape.join(', ')}]`;
  return new ArgumentError(`Expected ${what} for ${quote(name)} but received ${type} of length ${length}`);
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
    const { file, size } = await openFile(path, 'a safetensors file');
    try {
      if (size < 8) throw formatError('at least 8 bytes', 'the safetensors header', path, String(size));
      const length = Buffer.alloc(8);
      await readFully(file, length, 0, path);
      const headerBytes = length.readBigUInt64LE();
      const most = Math.min(MAX_HEADER_BYTES, size - 8);
      if (headerBytes > most) {
        const length = `${headerBytes}: it is no safetensors file, or a damaged one`;
        throw formatError(`at most ${most} bytes`, 'the safetensors header', path, length);
      }
      const dataStart = 8 + Number(headerBytes);
      const bytes = new Uint8Array(Number(headerBytes));
      await readFully(file, bytes, 8, path);
      return new SafetensorsFile(path, file, parseHeader(bytes, size - dataStart, path), dataStart);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * What the header says of a tensor.
   * @param expected refuses another dtype or shape
   * @throws FileFormatError
   */
  expectTensor(name: string, expected?: TensorKind): TensorInfo {
    return expectKind(this.tensors.get(name), expected, name, this.path);
  }

  /**
   * Reads one tensor. With `expected`, another dtype or shape is refused before anything is allocated.
   * @throws FileFormatError
   */
  async readTensor<D extends Dtype = Dtype>(name: string, expected?: TensorKind<D>): Promise<TensorData<D>> {
    const { dtype, begin, end } = this.expectTensor(name, expected);
    const position = this.#dataStart + begin;
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = new Uint8Array(end - begin);
    } catch {
      const what = 'a tensor that fits into memory';
      throw formatError(what, quote(name), this.path, `one of ${end - begin} bytes`);
    }
    await readFully(this.#file, bytes, position, this.path);
    return new ARRAYS[dtype](bytes.buffer) as TensorData<D>;
  }

  /**
   * Reads one tensor, at most `elements` at a time. All are in the same memory: each is valid until the next is asked
   * for.
   * @throws FileFormatError
   */
  async *readPieces<D extends Dtype>(
    name: string,
    expected: TensorKind<D>,
    elements: number,
  ): AsyncGenerator<TensorData<D>> {
    const { begin, end } = this.expectTensor(name, expected);
    const type = ARRAYS[expected.dtype];
    const buffer = new ArrayBuffer(Math.min(elements * type.BYTES_PER_ELEMENT, end - begin));
    for (let at = begin; at < end; at += buffer.byteLength) {
      const bytes = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, end - at));
      await readFully(this.#file, bytes, this.#dataStart + at, this.path);
      yield new type(buffer, 0, bytes.length / type.BYTES_PER_ELEMENT) as TensorData<D>;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * A tensor that was found, or not, in a file.
 * @param expected refuses another dtype or shape
 * @throws {FileFormatError}
 */
export function expectKind<T extends TensorKind>(
  found: T | undefined,
  expected: TensorKind | undefined,
  name: string,
  path: string,
): T {
  if (found === undefined) throw formatError('a tensor', quote(name), path, 'none of that name');
  if (expected !== undefined && describe(found) !== describe(expected)) {
    throw formatError(describe(expected), quote(name), path, describe(found));
  }
  return found;
}

function describe({ dtype, shape }: TensorKind): string {
  return `${dtype} of shape [${shape.join(', ')}]`;
}
