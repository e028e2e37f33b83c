import type { Dataset } from '../data/dataset.js';
import { type DecodedImage, decodeImage } from '../data/decode.js';
import type { ImageFolder } from '../data/folder.js';
import { DataError } from '../errors.js';
import { writeAtomically } from '../io/atomic.js';
import { writeCsv } from '../io/csv.js';
import { writeNpy } from '../io/npy.js';
import { rowsPicture } from '../report/rows.js';
import type { Classifier } from '../train/classifier.js';
import { decodingOf } from '../train/preprocessing.js';
import { openFolder } from './data.js';
import type { FeaturesOptions, NeighboursOptions } from './features.js';
import { expectWritable } from './folder.js';
import { openModel } from './model.js';
import { writeJson, writeLine, writeNote } from './output.js';

const FEATURES = 4096;
const onSkip = ({ reason }: { reason: string }): void => writeNote(`Left out: ${reason}`);

/** `alexnet features`. */
export async function runFeatures(options: FeaturesOptions): Promise<void> {
  const { data, out, strict = false } = options;
  await expectWritable({ '--out': out });
  using classifier = await openModel(options.model, options);
  const folder = await openPictures(classifier, data, strict);
  const rows: string[][] = [];
  async function* parts(): AsyncGenerator<Float32Array, void, undefined> {
    for await (const { indices, values } of classifier.features(folder, { strict, onSkip })) {
      for (const index of indices) rows.push([folder.files[index] ?? '', classOf(folder, index)]);
      yield values;
    }
  }
  await writeAtomically(out, async (file) => {
    await writeNpy(file, FEATURES, parts());
  });
  await writeCsv(`${out}.csv`, [['file', 'class'], ...rows]);
  writeLine(`Saved ${out}, of ${rows.length} pictures, and ${out}.csv`);
}

interface Neighbour {
  file: string;
  class: string;
  distance: number;
}

/** `alexnet neighbours`. */
export async function runNeighbours(images: readonly string[], options: NeighboursOptions): Promise<void> {
  const { data, count, picture, strict = false, json = false } = options;
  await expectWritable({ '--picture': picture });
  using classifier = await openModel(options.model, options);
  const folder = await openPictures(classifier, data, strict);
  if (folder.length === 1) {
    const [only] = folder.files;
    throw new DataError(
      `Expected at least two pictures to find neighbours among for --data but received one, ${only}`,
    );
  }
  const queries = await featuresOfFiles(classifier, images, strict);
  const found = queries.map((): (Neighbour & { index: number })[] => []);
  for await (const { indices, values } of classifier.features(folder, { strict, onSkip })) {
    for (const [i, index] of indices.entries()) {
      const features = values.subarray(i * FEATURES, (i + 1) * FEATURES);
      const name = classOf(folder, index);
      queries.forEach((query, q) => {
        if (query instanceof Error) return;
        const distance = distanceOf(query, features);
        found[q]?.push({ file: folder.files[index] ?? '', class: name, distance, index });
      });
    }
    for (const list of found) {
      list.sort((a, b) => a.distance - b.distance || a.index - b.index);
      list.length = Math.min(list.length, count);
    }
  }
  const rows: (() => Promise<DecodedImage>)[][] = [];
  for (const [q, query] of queries.entries()) {
    const file = images[q] ?? '';
    if (query instanceof Error) {
      process.exitCode = 1;
      writeNote(`error: ${query.message}`);
      if (json) writeJson({ file, error: query.message });
      continue;
    }
    const nearest = found[q] ?? [];
    const neighbours = nearest.map(({ index: _, ...neighbour }) => neighbour);
    const decoding = decodingOf(classifier.preprocessing);
    // As the folder has them: raw ones are no pictures to other readers.
    rows.push([
      () => decodeImage(file, decoding),
      ...nearest.map(
        ({ index }) =>
          () =>
            folder.get(index),
      ),
    ]);
    if (json) writeJson({ file, neighbours });
    else {
      writeLine(file);
      for (const one of neighbours)
        writeLine(`  ${one.distance.toFixed(3).padStart(8)}  ${one.class}  ${one.file}`);
    }
  }
  if (picture === undefined || rows.length === 0) return;
  const drawn = await rowsPicture(rows);
  await writeAtomically(picture, (file) => file.writeFile(drawn));
  if (!json) writeLine(`Saved ${picture}`);
}

function openPictures(classifier: Classifier, data: string, strict: boolean): Promise<ImageFolder> {
  return openFolder(data, strict, { ...decodingOf(classifier.preprocessing), oneClass: true });
}

function classOf(folder: ImageFolder, index: number): string {
  return folder.classes[folder.labelOf(index)] ?? '';
}

/** Of each file, or why it cannot be decoded. @throws {DataError} where strict, the first of these */
async function featuresOfFiles(
  classifier: Classifier,
  files: readonly string[],
  strict: boolean,
): Promise<(Float32Array | DataError)[]> {
  const results: (Float32Array | DataError)[] = [];
  for (const file of files) {
    try {
      const sample = { ...(await decodeImage(file, decodingOf(classifier.preprocessing))), label: 0 };
      const dataset: Dataset = { length: 1, classes: classifier.classes, get: () => sample };
      for await (const { values } of classifier.features(dataset)) results.push(values);
    } catch (error) {
      if (strict || !(error instanceof DataError)) throw error;
      results.push(error);
    }
  }
  return results;
}

function distanceOf(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] ?? 0) - (b[i] ?? 0)) ** 2;
  return Math.sqrt(sum);
}
