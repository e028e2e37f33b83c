import { open, readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { FileFormatError } from '../../lib/errors.js';
import { SafetensorsFile, type TensorEntry, writeSafetensors } from '../../lib/io/safetensors.js';
import { hasPythonSafetensors, NEEDS_PYTHON, runPython, temporaryFolder } from './files.js';
import { type Mutation, mutations, RUNS } from './mutations.js';

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

const mutation = mutations(1000);
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
