import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import sharp from 'sharp';
import { expectInteger, expectObject, expectOneOf, expectString } from '../check.js';
import { ArgumentError, DataError, expected, FileFormatError, reasonOf } from '../errors.js';
import { removeLeftovers, writeAtomically } from '../io/atomic.js';
import { makeFolder } from '../io/folder.js';
import { readSample, type SkipOptions, type SkippedSample, Unreadable } from './dataset.js';
import type { DecodeOptions } from './decode.js';
import type { ImageFolder } from './folder.js';
import { classId } from './imagenet.js';
import type { ListedClass } from './listing.js';
import { mapBounded } from './map_bounded.js';
import { CONCURRENCY } from './read_ahead.js';
import { RESIZE_KERNELS, type ResizeKernel } from './resize.js';

/** In a prepared folder, beside its class folders. */
const INDEX = 'prepared.json';
const FORMAT = 'node-cudnn prepared 1';

/** How pictures are stored: as JPEG of a quality of 1…100 with colours in full resolution, or as raw RGB bytes, row by row. */
export type PictureStore = { jpeg: number } | 'raw';

/** What a folder was prepared from, and how. */
interface Made {
  resize: number;
  kernel: ResizeKernel;
  store: PictureStore;
  /** The fingerprint of the pictures, and how many they were. */
  source: string;
  pictures: number;
}

interface Index {
  made: Made;
  /** Null until all are there: the classes, and of each the pictures by their paths in the folder. */
  classes: { name: string; pictures: string[] }[] | null;
}

export interface PrepareOptions extends SkipOptions {
  /** Default: JPEG of quality 90. */
  store?: PictureStore;
  /** Called after each picture with how many are done, those of an earlier run included. */
  onPicture?: (done: number) => void;
}

export interface Prepared {
  pictures: number;
  /** So many of them this run stored; an earlier one the others. */
  added: number;
  /** Of the pictures' files. */
  bytes: number;
  /** So many could not be read, or were no pictures. */
  skipped: number;
}

/**
 * Stores the pictures of a folder as they are decoded, `out/class/**` under the paths that they have, so that
 * {@link ImageFolder} takes them from there without decoding and resizing large ones. Files replace each other whole, and the index,
 * `prepared.json`, is complete only when all are there: begun again after it was stopped, it goes on, to the same result. Four pictures
 * are decoded at a time.
 * @throws {DataError} where `out` holds something else, or was begun with other pictures or options; where strict, for the first
 *   picture that cannot be read
 * @throws {FileWriteError}
 */
export async function prepare(
  source: ImageFolder,
  out: string,
  options: PrepareOptions = {},
): Promise<Prepared> {
  const { store = { jpeg: 90 }, strict = false, onSkip, onPicture } = options;
  const made = madeOf(source, store);
  const before = await readIndex(out);
  if (before === undefined) await expectEmpty(out);
  else expectSame(out, before.made, made);
  const targets = source.files.map((file, i) => join(out, placeOf(source, file, i)));
  await makeFolder(out);
  // First of all: a folder with anything but an index is not taken for one that was begun.
  if (before === undefined) await writeIndex(out, { made, classes: null });
  for (const folder of new Set(targets.map(dirname))) {
    await makeFolder(folder);
    await removeLeftovers(folder);
  }

  let done = 0;
  let added = 0;
  const skipped: SkippedSample[] = [];
  const sizes = await mapBounded(targets, CONCURRENCY, async (target, i) => {
    const before = await sizeOf(target);
    const size = before ?? (await storePicture(source, i, target, store));
    if (before === undefined && typeof size === 'number') added++;
    if (size instanceof Unreadable) {
      if (strict) throw size.error;
      skipped.push(size.skipped);
      onSkip?.(size.skipped);
    }
    onPicture?.(++done);
    return size;
  });
  const stored = sizes.filter((size) => typeof size === 'number');
  if (stored.length === 0)
    throw new DataError(expected('at least one picture that can be read', source.root, 0));
  const classes = source.classes.map((name) => ({ name, pictures: [] as string[] }));
  targets.forEach((target, i) => {
    if (typeof sizes[i] === 'number') classes[source.labelOf(i)]?.pictures.push(relative(out, target));
  });
  await writeIndex(out, { made, classes });
  return {
    pictures: stored.length,
    added,
    bytes: stored.reduce((sum, size) => sum + size, 0),
    skipped: source.skipped.length + skipped.length,
  };
}

function madeOf(
  { decoding: { size, kernel = 'lanczos3' }, fingerprint, length }: ImageFolder,
  store: PictureStore,
): Made {
  return {
    resize: size,
    kernel,
    store: store === 'raw' ? store : { jpeg: expectInteger('jpeg', store.jpeg, 1, 100) },
    source: fingerprint,
    pictures: length,
  };
}

function expectSame(out: string, was: Made, is: Made): void {
  for (const name of ['resize', 'kernel', 'store', 'pictures', 'source'] as const) {
    const [before, now] = [was, is].map((made) => JSON.stringify(made[name]));
    if (before !== now)
      throw new DataError(`Expected ${before}, with which ${out} was begun, for ${name} but received ${now}`);
  }
}

/** In a class folder, also of what had none. */
function placeOf(source: ImageFolder, file: string, index: number): string {
  const inner = relative(source.root, file);
  return inner.includes(sep) ? inner : join(classId(source.classes[source.labelOf(index)] ?? ''), inner);
}

async function sizeOf(file: string): Promise<number | undefined> {
  return stat(file).then(
    ({ size }) => size,
    () => undefined,
  );
}

/** @returns the bytes that were written */
async function storePicture(
  source: ImageFolder,
  index: number,
  target: string,
  store: PictureStore,
): Promise<number | Unreadable> {
  const sample = await readSample(source, index);
  if (sample instanceof Unreadable) return sample;
  const { pixels, height, width } = sample;
  const bytes =
    store === 'raw'
      ? pixels
      : await sharp(pixels, { raw: { width, height, channels: 3 } })
          .jpeg({ quality: store.jpeg, chromaSubsampling: '4:4:4' })
          .toBuffer();
  await writeAtomically(target, (file) => file.writeFile(bytes), { sweep: false });
  return bytes.length;
}

async function expectEmpty(out: string): Promise<void> {
  const found = await readdir(out).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw new DataError(`Expected folder for ${out} but received ${reasonOf(error)}`, { cause: error });
  });
  const [first] = found.filter((name) => !name.startsWith('.'));
  if (first !== undefined)
    throw new DataError(
      `Expected empty folder, or one that was begun, for ${out} but received one with ${first}`,
    );
}

async function writeIndex(out: string, { made, classes }: Index): Promise<void> {
  const text = `${JSON.stringify({ format: FORMAT, made, classes })}\n`;
  await writeAtomically(join(out, INDEX), (file) => file.writeFile(text));
}

async function readIndex(root: string): Promise<(Index & { text: string }) | undefined> {
  const path = join(root, INDEX);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw new FileFormatError(
      `Expected index of prepared pictures for ${path} but received ${reasonOf(error)}`,
    );
  });
  if (text === undefined) return undefined;
  try {
    const { format, made, classes } = expectObject('index', JSON.parse(text));
    if (format !== FORMAT) throw new ArgumentError(expected(`"${FORMAT}"`, 'format', format));
    return { text, made: parseMade(made), classes: classes === null ? null : parseClasses(classes) };
  } catch (cause) {
    throw new FileFormatError(
      `Expected index of prepared pictures for ${path} but received another file: ${reasonOf(cause)}`,
      { cause },
    );
  }
}

function parseMade(value: unknown): Made {
  const { resize, kernel, store, source, pictures } = expectObject('made', value);
  return {
    resize: expectInteger('resize', resize, 1),
    kernel: expectOneOf('kernel', kernel, RESIZE_KERNELS),
    store:
      store === 'raw' ? store : { jpeg: expectInteger('jpeg', expectObject('store', store).jpeg, 1, 100) },
    source: expectString('source', source),
    pictures: expectInteger('pictures', pictures, 1),
  };
}

function parseClasses(value: unknown): NonNullable<Index['classes']> {
  if (!Array.isArray(value)) throw new ArgumentError(expected('array', 'classes', value));
  return value.map((one, i) => {
    const { name, pictures } = expectObject(`classes[${i}]`, one);
    if (!Array.isArray(pictures))
      throw new ArgumentError(expected('array', `classes[${i}].pictures`, pictures));
    return {
      name: expectString(`classes[${i}].name`, name),
      pictures: pictures.map((path) => expectInside(`classes[${i}].pictures`, path)),
    };
  });
}

/** A path in the folder. */
function expectInside(name: string, value: unknown): string {
  const path = expectString(name, value);
  if (!/^\/|(^|\/)\.\.(\/|$)/.test(path)) return path;
  throw new ArgumentError(expected('paths in the folder', name, path));
}

/** How the pictures of a prepared folder were resized; undefined for another folder. @throws {FileFormatError} */
export async function preparedDecoding(root: string): Promise<DecodeOptions | undefined> {
  const made = (await readIndex(root))?.made;
  return made && { size: made.resize, kernel: made.kernel };
}

/**
 * What {@link prepare} made of pictures; undefined for another folder.
 * @throws {DataError} where it is not complete, or was prepared by another resize than `decoding`
 * @throws {FileFormatError} for a broken index
 */
export async function openPrepared(
  root: string,
  { size, kernel = 'lanczos3' }: DecodeOptions,
): Promise<{ classes: ListedClass[]; raw: boolean; fingerprint: string } | undefined> {
  const index = await readIndex(root);
  if (index === undefined) return undefined;
  const { made, classes, text } = index;
  if (made.resize !== size || made.kernel !== kernel)
    throw new DataError(
      `Expected pictures of ${size} pixels by ${kernel} for ${root} but received some that were prepared with ${made.resize} pixels by ${made.kernel}`,
    );
  if (classes === null)
    throw new DataError(
      `Expected prepared pictures for ${root} but received some whose preparation did not come to its end: "alexnet prepare" goes on`,
    );
  return {
    classes: classes
      .filter(({ pictures }) => pictures.length > 0)
      .map(({ name, pictures }) => ({
        name,
        files: pictures.map((path) => join(root, path)),
        unreadable: [],
      })),
    raw: made.store === 'raw',
    fingerprint: createHash('sha256').update(text).digest('hex'),
  };
}

/** @throws {DataError} where it is not of `size` × `size` pixels */
export async function readRaw(file: string, size: number): Promise<Uint8Array> {
  const wanted = size * size * 3;
  try {
    const { size: length } = await stat(file);
    if (length !== wanted) throw new Error(expected(`${wanted} bytes`, 'pixels', length));
    return await readFile(file);
  } catch (cause) {
    throw new DataError(`${file} could not be read: ${reasonOf(cause)}`, { cause });
  }
}
