import { prepare, preparedDecoding } from '../data/prepared.js';
import { DataError } from '../errors.js';
import { openFolder } from './data.js';
import { count, describeSkipped, writeJson, writeLine, writeNote } from './output.js';
import type { PrepareOptions } from './prepare.js';
import { PictureBar } from './progress.js';

/** `alexnet prepare`. */
export async function runPrepare(options: PrepareOptions): Promise<void> {
  const { data, out, raw = false, quality, kernel, synsets, labels, strict = false, json = false } = options;
  if ((await preparedDecoding(data)) !== undefined)
    throw new DataError(`Expected pictures as they are for --data but received ${data}, which was prepared`);
  const source = await openFolder(data, strict, { kernel, synsets, labels });
  const bar = new PictureBar('preparing', source.length);
  const prepared = await prepare(source, out, {
    store: raw ? 'raw' : { jpeg: quality },
    strict,
    onPicture: (done) => bar.update(done),
    onSkip: ({ reason }) => writeNote(`Left out: ${reason}`),
  }).finally(() => bar.close());
  if (json) return writeJson({ out, ...prepared });
  const { pictures, added, bytes, skipped } = prepared;
  const { size } = source.decoding;
  const kind = raw ? 'raw' : `JPEG of quality ${quality}`;
  writeLine(
    `${added === 0 ? `Nothing was left to do for ${out}` : `Saved ${out}`}: ${count(pictures)} pictures of ${size} × ${size} pixels, ${kind}, ${count(Math.round(bytes / pictures))} bytes each`,
  );
  for (const line of describeSkipped(skipped)) writeLine(line);
}
