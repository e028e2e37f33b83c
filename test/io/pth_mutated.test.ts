import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import fc from 'fast-check';
import { fromBufferPromise } from 'yauzl';
import { FileFormatError } from '../../lib/errors.js';
import { PthFile, PthTensor } from '../../lib/io/pth.js';
import { temporaryFolder } from './files.js';
import { RUNS } from './mutations.js';
import { writeZip } from './pth_files.js';

const FIXTURE = fileURLToPath(new URL('python.pth', import.meta.url));
/** Operations of pickles, lengths, and what lengths may not be. */
const BYTES = [
  ...Buffer.from(']}()RQbcusaethqjrXGJKMN.\x80\x85\x88\x8a\x8c\x93\x94\x95', 'latin1'),
  0,
  1,
  127,
  255,
];

type Mutation = (bytes: Buffer<ArrayBuffer>) => Buffer<ArrayBuffer>;

function mutations(most: number): fc.Arbitrary<Mutation[]> {
  const place = fc.nat({ max: most });
  const byte = fc.oneof(fc.constantFrom(...BYTES), fc.nat({ max: 255 }));
  const splice = fc.tuple(place, fc.nat({ max: 12 }), fc.array(byte, { maxLength: 6 })).map(
    ([at, remove, insert]): Mutation =>
      (bytes) =>
        Buffer.concat([bytes.subarray(0, at), Buffer.from(insert), bytes.subarray(at + remove)]),
  );
  const change = fc.tuple(place, byte).map(
    ([at, value]): Mutation =>
      (bytes) => {
        const copy = Buffer.from(bytes);
        if (at < copy.length) copy[at] = value;
        return copy;
      },
  );
  const copy = fc.tuple(place, place, fc.nat({ max: 80 })).map(
    ([from, to, count]): Mutation =>
      (bytes) =>
        Buffer.concat([bytes.subarray(0, to), bytes.subarray(from, from + count), bytes.subarray(to)]),
  );
  const cut = place.map(
    (length): Mutation =>
      (bytes) =>
        bytes.subarray(0, length),
  );
  const one = fc.oneof({ arbitrary: change, weight: 4 }, splice, copy, cut);
  return fc.array(one, { minLength: 1, maxLength: 3 });
}

describe('.pth files, mutated', () => {
  const folder = temporaryFolder();

  /** Whether a file is opened; what cannot be read, of it or as a whole, is refused as it should be. */
  async function opens(path: string): Promise<boolean> {
    let opened = false;
    try {
      await using file = await PthFile.open(path);
      opened = true;
      const seen = new Set<unknown>([file.content]);
      for (const value of seen) {
        if (value instanceof PthTensor) {
          let length = 0;
          for await (const piece of file.readPieces('t', value, value, 1000)) length += piece.length;
          expect(length).to.equal(value.shape.reduce((product, size) => product * size, 1));
        } else if (value instanceof Map || Array.isArray(value))
          for (const item of value.values()) seen.add(item);
      }
    } catch (error) {
      expect(error).to.be.instanceOf(FileFormatError);
      expect(String(error))
        .to.match(/^FileFormatError: Expected /)
        .and.to.include(path);
    }
    return opened;
  }

  it(`in their archive, are refused with a FileFormatError or can be read, ${RUNS} runs`, async () => {
    const bytes = await readFile(FIXTURE);
    const path = folder.path('archive.pth');
    await fc.assert(
      fc.asyncProperty(mutations(bytes.length), async (list) => {
        await writeFile(
          path,
          list.reduce((mutated, mutate) => mutate(mutated), Buffer.from(bytes)),
        );
        await opens(path);
      }),
      { numRuns: RUNS },
    );
  });

  it(`in their pickle, are refused with a FileFormatError or can be read, ${RUNS} runs`, async () => {
    const entries = new Map<string, Buffer<ArrayBuffer>>();
    const zip = await fromBufferPromise(await readFile(FIXTURE), { lazyEntries: true });
    for await (const entry of zip.eachEntry()) {
      const chunks: Buffer[] = [];
      for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk);
      entries.set(entry.fileName, Buffer.concat(chunks));
    }
    const pickle = entries.get('python/data.pkl') ?? Buffer.alloc(0);
    const path = folder.path('pickle.pth');
    let opened = 0;
    await fc.assert(
      fc.asyncProperty(mutations(pickle.length), async (list) => {
        const mutated = list.reduce((bytes, mutate) => mutate(bytes), pickle);
        await writeZip(path, new Map(entries).set('python/data.pkl', mutated));
        if (await opens(path)) opened++;
      }),
      { numRuns: RUNS },
    );
    expect(opened).to.be.within(RUNS / 50, RUNS / 2);
  });
});
