import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expectInteger, expectOneOf } from '../check.js';
import { DataError, expected, reasonOf } from '../errors.js';
import type { Dataset, Sample } from './dataset.js';
import { type DecodeOptions, resizePixels } from './decode.js';
import { RESIZE_KERNELS, type ResizeKernel } from './resize.js';

const SIDE = 32;
const PLANE = SIDE * SIDE;
/** A label, and the planes of red, green and blue, row by row. */
const RECORD_BYTES = 1 + 3 * PLANE;
const NAMES = 'batches.meta.txt';
const TRAIN = /^data_batch_(\d+)\.bin$/;
const TEST = 'test_batch.bin';
const LEFT_OUT = -1;

export interface Cifar10Options {
  /** The training batches, or the test batch. Default train. */
  part?: 'train' | 'validation';
  /** Labels are indices into these. Default: those of `batches.meta.txt`. */
  classes?: readonly string[];
  /** Only pictures of these classes. Default: all. */
  only?: readonly string[] | undefined;
  /** Pictures are enlarged to `size` × `size` pixels. Default 256; 32 leaves them as they are. */
  size?: number;
  /** What resizes. Default `lanczos3`. */
  kernel?: ResizeKernel | undefined;
}

/** Whether a folder holds CIFAR-10's binary version. */
export async function isCifar10(root: string): Promise<boolean> {
  const names = await readdir(root).catch((): string[] => []);
  return names.some((name) => TRAIN.test(name) || name === TEST);
}

/**
 * CIFAR-10 from the files of its binary version: `data_batch_1.bin` …, `test_batch.bin`, `batches.meta.txt`. They are held in memory, 31 MB
 * each.
 */
export class Cifar10 implements Dataset {
  readonly classes: readonly string[];
  readonly files: readonly string[];
  readonly fingerprint: string;
  readonly #records: readonly Uint8Array[];
  readonly #labels: readonly number[];
  readonly #decoding: DecodeOptions;

  private constructor(
    classes: readonly string[],
    found: readonly { file: string; record: Uint8Array; label: number }[],
    fingerprint: string,
    decoding: DecodeOptions,
  ) {
    this.classes = classes;
    this.files = found.map(({ file }) => file);
    this.#records = found.map(({ record }) => record);
    this.#labels = found.map(({ label }) => label);
    this.fingerprint = fingerprint;
    this.#decoding = decoding;
  }

  /** @throws {DataError} where a file is missing, cut short, or has a label of no class, or there is no class of a name */
  static async open(root: string, options: Cifar10Options = {}): Promise<Cifar10> {
    const { kernel = 'lanczos3', only } = options;
    const part = expectOneOf('part', options.part ?? 'train', ['train', 'validation']);
    const size = expectInteger('size', options.size ?? 256, 1);
    expectOneOf('kernel', kernel, RESIZE_KERNELS);
    const names = (await read(join(root, NAMES))).toString('utf8').trimEnd().split(/\r?\n/);
    const missing = only?.find((name) => !names.includes(name));
    if (missing !== undefined) throw new DataError(expected(`one of ${names.join(', ')}`, 'class', missing));
    const wanted = names.filter((name) => only?.includes(name) ?? true);
    const classes = options.classes ?? wanted;
    const unknown = wanted.find((name) => !classes.includes(name));
    if (unknown !== undefined)
      throw new DataError(expected(`one of ${classes.join(', ')}`, `class in ${root}`, unknown));
    const labels = names.map((name) => (wanted.includes(name) ? classes.indexOf(name) : LEFT_OUT));

    const hash = createHash('sha256');
    const found: { file: string; record: Uint8Array; label: number }[] = [];
    for (const file of await filesOf(root, part)) {
      const bytes = await read(file);
      hash.update(bytes);
      if (bytes.length === 0 || bytes.length % RECORD_BYTES !== 0) {
        const what = `a multiple of ${RECORD_BYTES} bytes, of a picture each,`;
        throw new DataError(`${expected(what, file, bytes.length)}: is it cut short?`);
      }
      for (let at = 0; at < bytes.length; at += RECORD_BYTES) {
        const picture = at / RECORD_BYTES;
        const label = labels[bytes[at] ?? 0];
        if (label === undefined) {
          const what = `index of one of ${names.length} classes`;
          throw new DataError(expected(what, `label of picture ${picture} of ${file}`, bytes[at]));
        }
        const record = bytes.subarray(at + 1, at + RECORD_BYTES);
        if (label !== LEFT_OUT) found.push({ file: `${file}#${picture}`, record, label });
      }
    }
    const fingerprint = hash.update(JSON.stringify(only ?? null)).digest('hex');
    return new Cifar10(classes, found, fingerprint, { size, kernel });
  }

  get length(): number {
    return this.#records.length;
  }

  async get(index: number): Promise<Sample> {
    expectInteger('index', index, 0, this.length - 1);
    const planes = this.#records[index] ?? new Uint8Array();
    const pixels = new Uint8Array(3 * PLANE);
    for (let i = 0; i < 3 * PLANE; i++) pixels[3 * (i % PLANE) + Math.floor(i / PLANE)] = planes[i] ?? 0;
    return { ...(await resizePixels(pixels, SIDE, this.#decoding)), label: this.#labels[index] ?? 0 };
  }
}

/** In the order of their numbers. */
async function filesOf(root: string, part: 'train' | 'validation'): Promise<string[]> {
  if (part === 'validation') return [join(root, TEST)];
  const numbers = (await readdir(root)).flatMap((name) => TRAIN.exec(name)?.[1] ?? []).map(Number);
  const last = Math.max(1, ...numbers);
  return Array.from({ length: last }, (_, i) => join(root, `data_batch_${i + 1}.bin`));
}

async function read(file: string): Promise<Buffer> {
  return readFile(file).catch((cause: unknown) => {
    throw new DataError(`Expected file of CIFAR-10 for ${file} but received ${reasonOf(cause)}`, { cause });
  });
}
