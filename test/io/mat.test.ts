import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { FileFormatError } from '../../lib/errors.js';
import { readMatStructs } from '../../lib/io/mat.js';
import { rejection } from '../data/rejection.js';

const [INT8, UINT8, UINT16, INT32, UINT32, DOUBLE, MATRIX, UTF8] = [1, 2, 4, 5, 6, 9, 14, 16];
const [STRUCT, CHAR, NUMBERS] = [2, 4, 6];

/** As MATLAB writes it: up to four bytes share a word with type and length. */
function element(type: number, bytes: Buffer): Buffer {
  const small = bytes.length > 0 && bytes.length <= 4;
  const head = Buffer.alloc(small ? 4 : 8);
  head.writeUInt32LE(small ? (bytes.length << 16) | type : type);
  if (!small) head.writeUInt32LE(bytes.length, 4);
  const length = small ? 4 : Math.ceil(bytes.length / 8) * 8;
  return Buffer.concat([head, bytes, Buffer.alloc(length - bytes.length)]);
}

const int32s = (...values: number[]) => Buffer.from(Int32Array.from(values).buffer);

function matrix(kind: number, dimensions: number[], name: string, ...parts: Buffer[]): Buffer {
  const flags = element(UINT32, Buffer.from([kind, 0, 0, 0, 0, 0, 0, 0]));
  const head = [flags, element(INT32, int32s(...dimensions)), element(INT8, Buffer.from(name))];
  return element(MATRIX, Buffer.concat([...head, ...parts]));
}

function structArray(name: string, fields: string[], values: Buffer[]): Buffer {
  const names = Buffer.concat(fields.map((field) => Buffer.from(field.padEnd(32, '\0'))));
  const parts = [element(INT32, int32s(32)), element(INT8, names), ...values];
  return matrix(STRUCT, [values.length / fields.length, 1], name, ...parts);
}

function file(...variables: Buffer[]): Buffer {
  const header = Buffer.alloc(128, ' ');
  header.write('MATLAB 5.0 MAT-file, made up');
  header.writeUInt16LE(0x0100, 124);
  header.write('IM', 126);
  return Buffer.concat([header, ...variables]);
}

describe('MAT-files', () => {
  let path = '';
  beforeEach(async () => {
    path = join(await mkdtemp(join(tmpdir(), 'node-cudnn-mat-')), 'made.mat');
  });
  afterEach(() => rm(join(path, '..'), { recursive: true }));

  const other = matrix(NUMBERS, [1, 1], 'other', element(DOUBLE, Buffer.alloc(8)));
  const values = [
    // Numbers are stored in the smallest type that holds them.
    matrix(NUMBERS, [1, 1], '', element(UINT8, Buffer.of(200))),
    matrix(CHAR, [1, 3], '', element(UINT16, Buffer.from('çø猫', 'utf16le'))),
    matrix(NUMBERS, [1, 1], '', element(DOUBLE, Buffer.from(Float64Array.of(-2.5).buffer))),
    matrix(CHAR, [1, 9], '', element(UTF8, Buffer.from('n02119789'))),
    matrix(NUMBERS, [1, 1], '', element(UINT16, Buffer.of(0xe9, 0x03))),
    matrix(CHAR, [0, 0], '', element(UTF8, Buffer.of())),
    matrix(NUMBERS, [0, 0], '', element(DOUBLE, Buffer.of())),
    element(MATRIX, Buffer.of()),
  ];
  const whole = file(other, structArray('synsets', ['a', 'b'], values));

  it('have struct arrays of text and numbers, however these are stored', async () => {
    await writeFile(path, whole);
    expect(await readMatStructs(path, 'synsets')).to.deep.equal([
      { a: 200, b: 'çø猫' },
      { a: -2.5, b: 'n02119789' },
      { a: 1001, b: '' },
      { a: null, b: null },
    ]);
    expect(await rejection(readMatStructs(path, 'other'), FileFormatError)).to.match(
      /Expected struct array other in a MAT-file for .*made\.mat but received no such variable/,
    );
  });

  it('are refused where they are cut short, or of another kind', async () => {
    for (let length = 0; length < whole.length; length += 3) {
      await writeFile(path, whole.subarray(0, length));
      expect(await rejection(readMatStructs(path, 'synsets'), FileFormatError)).to.include(path);
    }
    const bigEndian = Buffer.from(whole);
    bigEndian.write('MI', 126);
    await writeFile(path, bigEndian);
    expect(await rejection(readMatStructs(path, 'synsets'), FileFormatError)).to.match(/little-endian/);
    await writeFile(
      path,
      file(matrix(STRUCT, [2 ** 30, 1], 'synsets', element(INT32, int32s(-1)), element(INT8, Buffer.of()))),
    );
    expect(await rejection(readMatStructs(path, 'synsets'), FileFormatError)).to.match(/without fields/);
    expect(await rejection(readMatStructs(`${path}.none`, 'synsets'), FileFormatError)).to.match(/ENOENT/);
  });

  it('never end otherwise than in an error, whatever byte is changed', async () => {
    for (let at = 128; at < whole.length; at++) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      await writeFile(path, changed);
      const result = await readMatStructs(path, 'synsets').catch((error: unknown) => error);
      if (!Array.isArray(result)) expect(result).to.be.instanceOf(FileFormatError);
    }
  });
});
