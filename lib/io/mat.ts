import { readFile } from 'node:fs/promises';
import { inflateSync } from 'node:zlib';
import { FileFormatError, reasonOf } from '../errors.js';

/** Text, the first of an array of numbers, or null for anything else. */
export type MatValue = string | number | null;

/** Sizes of an element's numbers and how they are read, by type (table 1-1 of MathWorks' "MAT-File Format"). */
const NUMBERS: Readonly<Record<number, (bytes: Buffer) => number>> = {
  1: (bytes) => bytes.readInt8(0),
  2: (bytes) => bytes.readUInt8(0),
  3: (bytes) => bytes.readInt16LE(0),
  4: (bytes) => bytes.readUInt16LE(0),
  5: (bytes) => bytes.readInt32LE(0),
  6: (bytes) => bytes.readUInt32LE(0),
  7: (bytes) => bytes.readFloatLE(0),
  9: (bytes) => bytes.readDoubleLE(0),
};
const [MATRIX, COMPRESSED] = [14, 15];
const [UINT16, UTF16] = [4, 17];
const [CELL, STRUCT, OBJECT, CHAR, SPARSE] = [1, 2, 3, 4, 5];
const HEADER_BYTES = 128;
const MAX_BYTES = 2 ** 28;

interface Element {
  type: number;
  bytes: Buffer;
}

/** Whether a file begins as one of MATLAB's, level 5. */
export function isMat(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 10)).toString('latin1') === 'MATLAB 5.0';
}

/**
 * The elements of a struct array in a MAT-file of level 5 (MATLAB 5 to 7.2), by the names of their fields.
 * @throws {FileFormatError} where there is none of that name
 */
export async function readMatStructs(path: string, name: string): Promise<Record<string, MatValue>[]> {
  try {
    const file = await readFile(path);
    if (!isMat(file) || file.toString('latin1', 126, HEADER_BYTES) !== 'IM')
      throw new Error('no little-endian MAT-file of level 5');
    for (const element of elements(file.subarray(HEADER_BYTES))) {
      const variable = element.type === COMPRESSED ? inflated(element.bytes) : element;
      const found = variable?.type === MATRIX ? structs(variable.bytes, name) : undefined;
      if (found !== undefined) return found;
    }
    throw new Error('no such variable');
  } catch (cause) {
    throw new FileFormatError(
      `Expected struct array ${name} in a MAT-file for ${path} but received ${reasonOf(cause)}`,
      { cause },
    );
  }
}

function inflated(bytes: Buffer): Element | undefined {
  const [element] = elements(inflateSync(bytes, { maxOutputLength: MAX_BYTES }));
  return element;
}

function* elements(bytes: Buffer): Generator<Element, void, undefined> {
  for (let at = 0; at < bytes.length; ) {
    const word = bytes.readUInt32LE(at);
    // Of up to four bytes: type and length share a word.
    const small = word >>> 16 !== 0;
    const [type, length] = small ? [word & 0xffff, word >>> 16] : [word, bytes.readUInt32LE(at + 4)];
    const start = at + (small ? 4 : 8);
    if (small ? length > 4 : start + length > bytes.length) throw new Error('a file that is cut short');
    yield { type, bytes: bytes.subarray(start, start + length) };
    at = small ? at + 8 : start + (type === COMPRESSED ? length : Math.ceil(length / 8) * 8);
  }
}

/** The next, which has to be there. */
function next(parts: Iterator<Element>): Buffer {
  const { value } = parts.next();
  if (value === undefined) throw new Error('a file that is cut short');
  return (value as Element).bytes;
}

function structs(bytes: Buffer, name: string): Record<string, MatValue>[] | undefined {
  const parts = elements(bytes);
  const flags = next(parts);
  const dimensions = next(parts);
  if (flags.readUInt8(0) !== STRUCT || text(next(parts)) !== name) return undefined;
  let count = 1;
  for (let at = 0; at < dimensions.length; at += 4) count *= dimensions.readInt32LE(at);
  const nameBytes = next(parts).readInt32LE(0);
  const names = next(parts);
  const fields = Array.from({ length: names.length / nameBytes }, (_, i) =>
    text(names.subarray(i * nameBytes, (i + 1) * nameBytes)),
  );
  if (fields.length === 0) throw new Error('structs without fields');
  const found: Record<string, MatValue>[] = [];
  for (let i = 0; i < count; i++)
    found.push(Object.fromEntries(fields.map((field) => [field, parseValue(next(parts))])));
  return found;
}

function text(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/\0.*$/s, '');
}

function parseValue(matrix: Buffer): MatValue {
  if (matrix.length === 0) return null;
  const parts = elements(matrix);
  const kind = next(parts).readUInt8(0);
  if ([CELL, STRUCT, OBJECT, SPARSE].includes(kind)) return null;
  next(parts);
  next(parts);
  const { value: data } = parts.next();
  if (data === undefined || (data.bytes.length === 0 && kind !== CHAR)) return null;
  if (kind === CHAR) return data.bytes.toString([UINT16, UTF16].includes(data.type) ? 'utf16le' : 'utf8');
  return NUMBERS[data.type]?.(data.bytes) ?? null;
}
