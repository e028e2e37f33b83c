import type { FileFormatError } from '../errors.js';
import { formatError, quote } from './file.js';

/** What the elements of a tensor are in a file; 16-bit floats are read and written as their bits. */
export const ARRAYS = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  U16: Uint16Array,
  I16: Int16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  U32: Uint32Array,
  I32: Int32Array,
  F32: Float32Array,
  U64: BigUint64Array,
  I64: BigInt64Array,
  F64: Float64Array,
} as const;

export type Dtype = keyof typeof ARRAYS;

export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** First byte, and the one past the last, from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  /** Without a prototype, so that any name is safe to look up. */
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

/** The reference implementation's limit. */
export const MAX_HEADER_BYTES = 100_000_000;
/** NumPy's limit. With the next it keeps a hostile header from costing many times its length. */
export const MAX_DIMENSIONS = 64;
const MAX_NAMES = 2 ** 17;

/**
 * Parses and checks a header of `bytes`, whose data are `dataBytes` long. Exactly what the format allows is read:
 * `JSON.parse` would hide names given twice, round large integers, and build whatever it meets.
 * @throws FileFormatError
 */
export function parseHeader(bytes: Uint8Array, dataBytes: number, path: string): Header {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw formatError('UTF-8', 'the safetensors header', path, 'other bytes');
  }
  const reader = new HeaderReader(text, path);
  let metadata: Header['metadata'] = Object.create(null);
  const tensors: [string, TensorInfo][] = [];
  for (const name of reader.members('the safetensors header')) {
    if (name === '__metadata__') metadata = readMetadata(reader);
    else tensors.push([name, readTensorInfo(reader, name, path)]);
  }
  reader.end();
  tensors.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  checkLayout(tensors, dataBytes, path);
  return { metadata, tensors: new Map(tensors) };
}

function readMetadata(reader: HeaderReader): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  for (const name of reader.members('__metadata__'))
    metadata[name] = reader.string(`metadata ${quote(name)}`);
  return metadata;
}

function readTensorInfo(reader: HeaderReader, name: string, path: string): TensorInfo {
  const quoted = quote(name);
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  for (const key of reader.members(quoted)) {
    if (key === 'dtype') dtype = reader.string(`the dtype of ${quoted}`);
    else if (key === 'shape') shape = reader.integers(`the shape of ${quoted}`, MAX_DIMENSIONS);
    else if (key === 'data_offsets') offsets = reader.integers(`the offsets of ${quoted}`, 2);
    else throw formatError('only dtype, shape and data_offsets', quoted, path, quote(key));
  }
  if (dtype === undefined) throw formatError('a dtype', quoted, path, 'none');
  if (!isDtype(dtype))
    throw formatError(`one of ${Object.keys(ARRAYS).join(', ')}`, quoted, path, quote(dtype));
  if (shape === undefined) throw formatError('a shape', quoted, path, 'none');
  const [begin, end] = offsets ?? [];
  if (begin === undefined || end === undefined) throw formatError('two data_offsets', quoted, path, 'fewer');
  const bytes = byteLength(dtype, shape);
  if (bytes === undefined) throw formatError('fewer elements', quoted, path, `shape [${shape.join(', ')}]`);
  if (end - begin !== bytes) {
    const tensor = `${dtype} of shape [${shape.join(', ')}]`;
    throw formatError(`${bytes} bytes, ${tensor},`, quoted, path, `bytes ${begin} to ${end}`);
  }
  return { dtype, shape, begin, end };
}

function isDtype(name: string): name is Dtype {
  return Object.hasOwn(ARRAYS, name);
}

/** Undefined where the product is no safe integer. */
export function byteLength(dtype: Dtype, shape: readonly number[]): number | undefined {
  let bytes = ARRAYS[dtype].BYTES_PER_ELEMENT;
  for (const dimension of shape) {
    bytes *= dimension;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

/** The data of the tensors, sorted, must cover all of the file's and overlap nowhere. */
function checkLayout(tensors: readonly [string, TensorInfo][], dataBytes: number, path: string): void {
  let at = 0;
  for (const [name, { begin, end }] of tensors) {
    const received = `bytes ${begin} to ${end}`;
    if (begin !== at) throw formatError(`data that begin at byte ${at}`, quote(name), path, received);
    if (end > dataBytes) throw formatError(`data within ${dataBytes} bytes`, quote(name), path, received);
    at = end;
  }
  if (at !== dataBytes) throw formatError(`${at} bytes`, 'the data of all tensors', path, String(dataBytes));
}

/** The grammar of headers: objects, strings and lists of integers. Time and memory are linear in the text. */
class HeaderReader {
  #at = 0;
  readonly #text: string;
  readonly #path: string;

  constructor(text: string, path: string) {
    this.#text = text;
    this.#path = path;
    if (!text.startsWith('{')) throw this.#unexpected('"{"', 'the safetensors header');
  }

  /** Each name of an object; its value must be read before the next is asked for. */
  *members(where: string): Generator<string> {
    const seen = new Set<string>();
    this.#expect('{', where);
    if (this.#take('}')) return;
    do {
      const name = this.string(`a name in ${where}`);
      if (seen.has(name)) throw formatError('each name once', where, this.#path, `${quote(name)} twice`);
      if (seen.size === MAX_NAMES) throw formatError(`at most ${MAX_NAMES} names`, where, this.#path, 'more');
      seen.add(name);
      this.#expect(':', quote(name));
      yield name;
    } while (this.#take(','));
    this.#expect('}', where);
  }

  /** Non-negative safe integers, `most` at the most. */
  integers(where: string, most: number): number[] {
    const list: number[] = [];
    this.#expect('[', where);
    if (this.#take(']')) return list;
    do {
      if (list.length === most) throw formatError(`at most ${most} numbers`, where, this.#path, 'more');
      list.push(this.#integer(where));
    } while (this.#take(','));
    this.#expect(']', where);
    return list;
  }

  string(where: string): string {
    this.#skipSpace();
    const start = this.#at;
    if (this.#text[start] !== '"') throw this.#unexpected('a string', where);
    let end = start;
    let backslashes: number;
    do {
      end = this.#text.indexOf('"', end + 1);
      if (end < 0) throw this.#unexpected('a string that ends', where);
      backslashes = 0;
      while (this.#text[end - 1 - backslashes] === '\\') backslashes++;
    } while (backslashes % 2 === 1);
    let value: string;
    try {
      value = JSON.parse(this.#text.slice(start, end + 1));
    } catch {
      throw this.#unexpected('a JSON string', where);
    }
    if (/\p{Surrogate}/u.test(value)) throw this.#unexpected('no half of a surrogate pair', where);
    this.#at = end + 1;
    return value;
  }

  end(): void {
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#unexpected('nothing more', 'the safetensors header');
  }

  #integer(where: string): number {
    this.#skipSpace();
    const token = this.#text.slice(this.#at, this.#at + 40).match(/^[-+.\w]+/)?.[0] ?? '';
    const value = Number(token);
    if (!/^(0|[1-9]\d*)$/.test(token) || !Number.isSafeInteger(value)) {
      throw this.#unexpected('non-negative integers below 2^53', where);
    }
    this.#at += token.length;
    return value;
  }

  #take(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #expect(character: string, where: string): void {
    if (!this.#take(character)) throw this.#unexpected(`"${character}"`, where);
  }

  #skipSpace(): void {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? '-')) this.#at++;
  }

  #unexpected(what: string, where: string): FileFormatError {
    const next = this.#text.slice(this.#at, this.#at + 24);
    return formatError(what, where, this.#path, next === '' ? 'the end of the header' : JSON.stringify(next));
  }
}
