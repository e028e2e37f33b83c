import { open, readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { FileFormatError } from '../../lib/errors.js';
import { SafetensorsFile, type TensorEntry, writeSafetensors } from '../../lib/io/safetensors.js';
import { hasPythonSafetensors, NEEDS_PYTHON, runPython, temporaryFolder } from './files.js';

const RUNS = Number(process.env.NODE_CUDNN_TEST_RUNS ?? 300);

const shape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 });
const tensor: fc.Arbitrary<TensorEntry> = shape.chain((shape) => {
  const length = shape.reduce((product, size) => product * size, 1);
  const entry = fc.constantFrom<TensorEntry>(
    { dtype: 'F32', shape, data: new Float32Array(length) },
    { dtype: 'F64', shape, data: new Float64Array(length) },
    { dtype: 'I64', shape, data: new BigInt64Array(length) },
    { dtype: 'BF16', shape, data: new Uint16Array(length) },
    { dtype: 'U8', shape, data: new Uint8Array(length) },
  );
  return entry;
});
const name = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.constantFrom('a.weight', '__proto__', '0'),
);
interface ValidFile {
  tensors: Record<string, TensorEntry>;
  metadata: Record<string, string>;
}
const validFile: fc.Arbitrary<ValidFile> = fc.record({
  tensors: fc.dictionary(name, tensor, { maxKeys: 4, noNullPrototype: false }),
  metadata: fc.dictionary(name, fc.string({ unit: 'grapheme' }), { maxKeys: 2 }),
});

type Mutation = (bytes: Buffer<ArrayBuffer>) => Buffer<ArrayBuffer>;
/** Where in a file, the header's beginning more often than the rest. */
const place = fc.oneof(fc.nat({ max: 8 }), fc.nat({ max: 200 }), fc.nat({ max: 1000 }));
const text = fc.constantFrom(
  ' ',
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\\',
  '\0',
  '\xff',
  '"shape":[]',
  '"a":{}',
  '0',
  '-',
  '9',
);
const number = fc.constantFrom(
  '0',
  '1',
  '2',
  '8',
  '16',
  '-1',
  '1.5',
  '1e2',
  '00',
  '9007199254740992',
  '1e999',
  '""',
  '[]',
  'null',
);
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  place.map(
    (length): Mutation =>
      (bytes) =>
        bytes.subarray(0, length),
  ),
  fc.uint8Array({ maxLength: 16 }).map(
    (more): Mutation =>
      (bytes) =>
        Buffer.concat([bytes, more]),
  ),
  fc.tuple(place, fc.nat({ max: 255 })).map(
    ([at, value]): Mutation =>
      (bytes) => {
        const copy = Buffer.from(bytes);
        if (at < copy.length) copy[at] = value;
        return copy;
      },
  ),
  fc
    .tuple(place, fc.nat({ max: 20 }))
    .map(([at, count]) => inHeader((json) => json.slice(0, at) + json.slice(at + count))),
  fc.tuple(place, text).map(([at, more]) => inHeader((json) => json.slice(0, at) + more + json.slice(at))),
  fc
    .tuple(place, fc.nat({ max: 80 }))
    .map(([at, count]) => inHeader((json) => json.slice(0, at + count) + json.slice(at))),
  fc.tuple(fc.nat({ max: 12 }), number).map(([nth, value]) => {
    return inHeader((json) => {
      let count = 0;
      return json.replace(/\d+/g, (digits) => (count++ === nth ? value : digits));
    });
  }),
  fc
    .constantFrom('F32', 'F64', 'U8', 'F4', 'toString')
    .map((dtype) => inHeader((json) => json.replace(/(?<="dtype":")\w+/, dtype))),
);

/** A mutation of the header's text, whose length stays true. */
function inHeader(mutate: (json: string) => string): Mutation {
  return (bytes) => {
    if (bytes.length < 8) return bytes;
    const end = 8 + Number(bytes.readBigUInt64LE());
    const json = Buffer.from(mutate(bytes.toString('latin1', 8, end)), 'latin1');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    return Buffer.concat([length, json, bytes.subarray(end)]);
  };
}

const mutatedFile = fc.tuple(validFile, fc.array(mutation, { minLength: 1, maxLength: 3 }));

describe('safetensors, mutated', () => {
  const folder = temporaryFolder();

  async function write(path: string, { tensors, metadata }: ValidFile): Promise<void> {
    const file = await open(path, 'w');
    try {
      await writeSafetensors(file, new Map(Object.entries(tensors)), metadata);
    } finally {
      await file.close();
    }
  }

  async function writeMutated(
    path: string,
    [valid, mutations]: readonly [ValidFile, readonly Mutation[]],
  ): Promise<void> {
    await write(path, valid);
    let bytes = await readFile(path);
    for (const mutate of mutations) bytes = mutate(bytes);
    await writeFile(path, bytes);
  }

  /** Whether a file is accepted; that of one accepted all can be read, and that one refused is refused as it should. */
  async function isAccepted(path: string): Promise<boolean> {
    let file: SafetensorsFile;
    try {
      file = await SafetensorsFile.open(path);
    } catch (error) {
      expect(error)
        .to.be.instanceOf(FileFormatError)
        .with.property('message')
        .that.matches(/^Expected /);
      return false;
    }
    await using _ = file;
    for (const [name, info] of file.tensors) {
      const data = await file.readTensor(name, info);
      expect(data.length).to.equal(info.shape.reduce((product, size) => product * size, 1));
      expect(data.byteLength).to.equal(info.end - info.begin);
    }
    return true;
  }

  it('come back whole where nothing was mutated', async () => {
    await fc.assert(
      fc.asyncProperty(validFile, async (valid) => {
        await write(folder.path('valid'), valid);
        await using file = await SafetensorsFile.open(folder.path('valid'));
        expect(new Set(file.tensors.keys())).to.deep.equal(new Set(Object.keys(valid.tensors)));
        expect(Object.entries(file.metadata)).to.deep.equal(Object.entries(valid.metadata));
      }),
      { numRuns: Math.ceil(RUNS / 3) },
    );
  });

  it(`are refused with a FileFormatError or can be read, ${RUNS} runs`, async () => {
    await fc.assert(
      fc.asyncProperty(mutatedFile, async (mutated) => {
        await writeMutated(folder.path('mutated'), mutated);
        await isAccepted(folder.path('mutated'));
      }),
      { numRuns: RUNS },
    );
  });

  it(`are accepted only where Python's safetensors accept them too (${NEEDS_PYTHON})`, async function () {
    if (!(await hasPythonSafetensors())) this.skip();
    const seed = Date.now() % 2 ** 31;
    const accepted: number[] = [];
    for (const [i, mutated] of fc.sample(mutatedFile, { numRuns: RUNS, seed }).entries()) {
      const path = folder.path(`mutated-${i}`);
      await writeMutated(path, mutated);
      if (await isAccepted(path)) accepted.push(i);
    }
    const program = `
import json, safetensors, sys
def accepts(path):
    try:
        safetensors.deserialize(open(path, "rb").read())
        return True
    except safetensors.SafetensorError:
        return False
print(json.dumps([i for i in range(int(sys.argv[2])) if accepts(sys.argv[1] + str(i))]))`;
    const byPython = await runPython(program, folder.path('mutated-'), String(RUNS));
    expect(byPython, `seed ${seed}`).to.include.members(accepted);
  });
});
