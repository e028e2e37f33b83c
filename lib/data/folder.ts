import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expectInteger, expectOneOf } from '../check.js';
import { DataError, reasonOf } from '../errors.js';
import type { Dataset, Sample, SkippedFile } from './dataset.js';
import { type DecodeOptions, decodeImage, RESIZE_KERNELS, type ResizeKernel, refusalOf } from './decode.js';

export interface ImageFolderOptions {
  /** Labels are indices into these; the folder may lack some of them. Default: the class folders, by code unit. */
  classes?: readonly string[];
  /** Pictures are resized on the shorter side and cut to `size` × `size` pixels. Default 256. */
  size?: number;
  /** What resizes. Default `lanczos3`. */
  kernel?: ResizeKernel | undefined;
}

/** So many files are looked into at a time. */
const PROBES = 8;

/** Pictures in folders that are their classes: `root/class/**`. What they are is told by content, not by name. */
export class ImageFolder implements Dataset {
  readonly classes: readonly string[];
  /** Paths of the pictures, class by class. */
  readonly files: readonly string[];
  /** What lies in the class folders and is left out: files that are no pictures, and folders that cannot be read. */
  readonly skipped: readonly SkippedFile[];
  /** A hash of the pictures' paths in the folder, and of how long the files are. */
  readonly fingerprint: string;
  readonly #labels: readonly number[];
  readonly #decoding: DecodeOptions;

  private constructor(
    classes: readonly string[],
    pictures: readonly { file: string; label: number }[],
    skipped: readonly SkippedFile[],
    fingerprint: string,
    decoding: DecodeOptions,
  ) {
    this.classes = classes;
    this.fingerprint = fingerprint;
    this.files = pictures.map(({ file }) => file);
    this.#labels = pictures.map(({ label }) => label);
    this.skipped = skipped;
    this.#decoding = decoding;
  }

  /**
   * Lists a folder and looks at the head of every file. Hidden files and folders do not count.
   * @throws {DataError} where there is no folder, no class folder, one class only (unless `classes` are given), a
   *   class without pictures, or a class that is not among `classes`
   */
  static async open(root: string, options: ImageFolderOptions = {}): Promise<ImageFolder> {
    const { kernel = 'lanczos3' } = options;
    const size = expectInteger('size', options.size ?? 256, 1);
    expectOneOf('kernel', kernel, RESIZE_KERNELS);
    const names = await classNames(root);
    const classes = options.classes ?? names;
    const [only, second] = names;
    if (only === undefined) throw unusable(root, 'there are no class folders in it');
    if (second === undefined && options.classes === undefined)
      throw unusable(root, `one class only, ${only}`);
    const unknown = names.filter((name) => !classes.includes(name));
    if (unknown.length > 0) {
      throw unusable(root, `unknown class ${unknown.join(', ')} (known: ${classes.join(', ')})`);
    }

    const pictures: { file: string; label: number }[] = [];
    const skipped: SkippedFile[] = [];
    for (const name of names) {
      const { files, unreadable } = await filesIn(join(root, name));
      const reasons = await mapBounded(files, PROBES, refusalOf);
      const label = classes.indexOf(name);
      const refused = skipped.length;
      const admitted = pictures.length;
      for (const one of unreadable) skipped.push(one);
      files.forEach((file, i) => {
        const reason = reasons[i];
        if (reason === undefined) pictures.push({ file, label });
        else skipped.push({ file, reason });
      });
      if (pictures.length === admitted) {
        const first = skipped[refused];
        const why = first === undefined ? '' : ` (${first.file}: ${first.reason})`;
        throw unusable(root, `class ${name} has no pictures${why}`);
      }
    }
    const fingerprint = await fingerprintOf(
      root,
      pictures.map(({ file }) => file),
    );
    return new ImageFolder(classes, pictures, skipped, fingerprint, { size, kernel });
  }

  get length(): number {
    return this.files.length;
  }

  /** The index of a picture's class. */
  labelOf(index: number): number {
    expectInteger('index', index, 0, this.length - 1);
    return this.#labels[index] ?? 0;
  }

  /** @throws {DataError} for a picture that cannot be decoded */
  async get(index: number): Promise<Sample> {
    const label = this.labelOf(index);
    return { ...(await decodeImage(this.files[index] ?? '', this.#decoding)), label };
  }
}

async function fingerprintOf(root: string, files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  const bytes = await mapBounded(files, PROBES, async (file) => {
    const { size } = await stat(file).catch((cause: unknown) => {
      throw new DataError(`Expected file that stays for ${file} but received ${reasonOf(cause)}`, { cause });
    });
    return size;
  });
  files.forEach((file, i) => {
    hash.update(JSON.stringify([relative(root, file), bytes[i]]));
  });
  return hash.digest('hex');
}

function unusable(root: string, reason: string, cause?: unknown): DataError {
  return new DataError(
    `Expected folder with a folder of pictures for each class but received ${root}: ${reason}`,
    {
      cause,
    },
  );
}

async function list(folder: string): Promise<Dirent[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter(({ name }) => !name.startsWith('.'));
}

/** By code unit. */
async function classNames(root: string): Promise<string[]> {
  let entries: Dirent[];
  try {
    entries = await list(root);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw unusable(root, 'no such folder', error);
    throw unusable(root, code === 'ENOTDIR' ? 'not a folder' : message, error);
  }
  const names: string[] = [];
  for (const entry of entries) {
    const linked = entry.isSymbolicLink() ? await stat(join(root, entry.name)).catch(() => entry) : entry;
    if (linked.isDirectory()) names.push(entry.name);
  }
  return names.sort();
}

/** All but folders, in a folder and the folders in it, by code unit. Links are not followed, so no circle is. */
async function filesIn(folder: string): Promise<{ files: string[]; unreadable: SkippedFile[] }> {
  let entries: Dirent[];
  try {
    entries = await list(folder);
  } catch (error) {
    return { files: [], unreadable: [{ file: folder, reason: reasonOf(error) }] };
  }
  const files: string[] = [];
  const unreadable: SkippedFile[] = [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      const inner = await filesIn(path);
      for (const file of inner.files) files.push(file);
      for (const one of inner.unreadable) unreadable.push(one);
    } else files.push(path);
  }
  return { files: files.sort(), unreadable };
}

/** `Promise.all` of `work(item)`, with at most `limit` under way. */
async function mapBounded<T, U>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<U>,
): Promise<U[]> {
  const results: U[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [i, item] of queue) results[i] = await work(item);
  };
  await Promise.all(Array.from({ length: limit }, worker));
  return results;
}
