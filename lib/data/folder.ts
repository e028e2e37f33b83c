import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { relative } from 'node:path';
import { expectInteger, expectOneOf } from '../check.js';
import { DataError, reasonOf } from '../errors.js';
import type { Dataset, Sample, SkippedFile } from './dataset.js';
import { type DecodeOptions, decodeImage, refusalOf } from './decode.js';
import { classId } from './imagenet.js';
import { type ListedClass, type ListingOptions, listClasses, unusable } from './listing.js';
import { mapBounded } from './map_bounded.js';
import { openPrepared, readRaw } from './prepared.js';
import { RESIZE_KERNELS, type ResizeKernel } from './resize.js';

export interface ImageFolderOptions extends ListingOptions {
  /** Labels are indices into these; the folder may lack some of them. Default: the class folders, by code unit. */
  classes?: readonly string[];
  /** Of the folder's classes only these. Default: all. */
  only?: readonly string[] | undefined;
  /** Takes a folder with one class folder too, from which nothing can be learnt. Default false, or true where `classes` are given. */
  oneClass?: boolean | undefined;
  /** Pictures are resized on the shorter side and cut to `size` × `size` pixels. Default 256. */
  size?: number;
  /** What resizes. Default `lanczos3`. */
  kernel?: ResizeKernel | undefined;
}

interface Picture {
  file: string;
  label: number;
}

/** So many files are looked into at a time. */
const PROBES = 8;

/**
 * Pictures in folders that are their classes: `root/class/**`; or a folder of ImageNet's validation pictures with its labels, or
 * what {@link prepare} made. What pictures are is told by content, not by name; only in a folder with labels files of other names than
 * pictures' do not count. A class that is, or begins with, a WordNet id goes by that.
 */
export class ImageFolder implements Dataset {
  readonly classes: readonly string[];
  /** Paths of the pictures, class by class. */
  readonly files: readonly string[];
  /** What lies in the class folders and is left out: files that are no pictures, and folders that cannot be read. */
  readonly skipped: readonly SkippedFile[];
  /** A hash of the pictures' paths in the folder, and of how long the files are; of a prepared one, of its index. */
  readonly fingerprint: string;
  readonly #labels: readonly number[];
  readonly #decoding: DecodeOptions;
  readonly #raw: boolean;

  private constructor(
    /** As it was opened. */
    readonly root: string,
    classes: readonly string[],
    pictures: readonly Picture[],
    skipped: readonly SkippedFile[],
    fingerprint: string,
    decoding: DecodeOptions,
    raw = false,
  ) {
    this.classes = classes;
    this.fingerprint = fingerprint;
    this.files = pictures.map(({ file }) => file);
    this.#labels = pictures.map(({ label }) => label);
    this.skipped = skipped;
    this.#decoding = decoding;
    this.#raw = raw;
  }

  /**
   * Lists a folder and looks at the head of every file. Hidden files and folders do not count. A prepared folder is only listed.
   * @throws {DataError} where there is no folder, no class folder, one class only (unless `oneClass`), a
   *   class without pictures, a class that is not among `classes` or one of `only` that there is not, labels or synsets that do not
   *   fit, or a folder that was prepared otherwise
   */
  static async open(root: string, options: ImageFolderOptions = {}): Promise<ImageFolder> {
    const { kernel = 'lanczos3' } = options;
    const size = expectInteger('size', options.size ?? 256, 1);
    expectOneOf('kernel', kernel, RESIZE_KERNELS);
    const decoding = { size, kernel };
    const prepared = await openPrepared(root, decoding);
    if (prepared !== undefined) {
      const { classes, found, labelOf } = choose(root, prepared.classes, options);
      const pictures = found.flatMap(({ name, files }) =>
        files.map((file) => ({ file, label: labelOf(name) })),
      );
      const chosen = options.only === undefined ? [] : found.map(({ name }) => classId(name));
      const fingerprint = hashOf([prepared.fingerprint, ...chosen]);
      return new ImageFolder(root, classes, pictures, [], fingerprint, decoding, prepared.raw);
    }

    const { classes, found, labelOf } = choose(root, await listClasses(root, options), options);
    const pictures: Picture[] = [];
    const skipped: SkippedFile[] = [];
    for (const { name, files, unreadable } of found) {
      const reasons = await mapBounded(files, PROBES, refusalOf);
      const label = labelOf(name);
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
    const fingerprint = await fingerprintOf(root, pictures);
    return new ImageFolder(root, classes, pictures, skipped, fingerprint, decoding);
  }

  get length(): number {
    return this.files.length;
  }

  /** How its pictures are decoded. */
  get decoding(): Readonly<DecodeOptions> {
    return this.#decoding;
  }

  /** The index of a picture's class. */
  labelOf(index: number): number {
    expectInteger('index', index, 0, this.length - 1);
    return this.#labels[index] ?? 0;
  }

  /** @throws {DataError} for a picture that cannot be decoded */
  async get(index: number): Promise<Sample> {
    const label = this.labelOf(index);
    const file = this.files[index] ?? '';
    const { size } = this.#decoding;
    if (this.#raw) return { pixels: await readRaw(file, size), height: size, width: size, label };
    return { ...(await decodeImage(file, this.#decoding)), label };
  }
}

/** The classes that labels are indices into, and those of the folder whose pictures are taken. */
function choose(
  root: string,
  listed: readonly ListedClass[],
  { only, oneClass = false, ...options }: ImageFolderOptions,
): { classes: readonly string[]; found: readonly ListedClass[]; labelOf: (name: string) => number } {
  const wanted = only === undefined ? undefined : new Set(only.map(classId));
  const found = listed.filter(({ name }) => wanted?.has(classId(name)) ?? true);
  const names = found.map(({ name }) => name);
  const classes = options.classes ?? names;
  const labels = new Map(classes.map((name, i) => [classId(name), i]));
  if (options.classes === undefined) {
    const missing = only?.filter((name) => !labels.has(classId(name))) ?? [];
    if (missing.length > 0) {
      const known = listed.map(({ name }) => name).join(', ');
      throw unusable(root, `no class ${missing.join(', ')} (there are: ${known})`);
    }
    if (names.length === 1 && !oneClass) throw unusable(root, `one class only, ${names[0]}`);
  }
  const unknown = names.filter((name) => !labels.has(classId(name)));
  if (unknown.length > 0) {
    throw unusable(root, `unknown class ${unknown.join(', ')} (known: ${classes.join(', ')})`);
  }
  if (found.length === 0) throw unusable(root, `none of the classes ${only?.join(', ')}`);
  return { classes, found, labelOf: (name) => labels.get(classId(name)) ?? 0 };
}

function hashOf(parts: readonly unknown[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(JSON.stringify(part));
  return hash.digest('hex');
}

async function fingerprintOf(root: string, pictures: readonly Picture[]): Promise<string> {
  const bytes = await mapBounded(pictures, PROBES, async ({ file }) => {
    const { size } = await stat(file).catch((cause: unknown) => {
      throw new DataError(`Expected file that stays for ${file} but received ${reasonOf(cause)}`, { cause });
    });
    return size;
  });
  return hashOf(pictures.map(({ file }, i) => [relative(root, file), bytes[i]]));
}
