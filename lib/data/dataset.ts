import { ArgumentError, DataError, DisposedError, expected, reasonOf } from '../errors.js';
import { Tensor } from '../tensor.js';

/** A picture and what it shows. */
export interface Sample {
  /** RGB, row by row: height · width · 3 bytes. Not changed once it was given out. */
  pixels: Uint8Array;
  height: number;
  width: number;
  /** Index of its class. */
  label: number;
}

/** A picture as a tensor, and what it shows. */
export interface TensorSample {
  /**
   * uint8 `[height, width, 3]`, RGB, on any device. Its numbers are read when the picture's turn comes, behind what was
   * enqueued on that device. It stays the data set's, which disposes of it or leaves it to the garbage collector.
   */
  pixels: Tensor;
  /** Index of its class. */
  label: number;
}

/** A file that is no sample, because it could not be used. */
export interface SkippedFile {
  file: string;
  reason: string;
}

/** A sample that could not be read when its turn came. */
export interface SkippedSample {
  index: number;
  /** Null where the data set does not tell. */
  file: string | null;
  reason: string;
}

/** What becomes of samples that cannot be read. */
export interface SkipOptions {
  /** The first of them ends the reading with its DataError. Default false: they are left out. */
  strict?: boolean;
  /** Called for each that is left out, each time, in the order in which they would have come. */
  onSkip?: (skipped: SkippedSample) => void;
}

/** Pictures to learn from or to be measured on. Anything of this form trains with `Trainer`. */
export interface Dataset {
  /** How many samples there are. */
  readonly length: number;
  /** Their names; a label is an index into them. */
  readonly classes: readonly string[];
  /** Tells this data set from others of as many samples: a run can be resumed only with the same. */
  readonly fingerprint?: string;
  /** Of each sample: the file that it is read from. */
  readonly files?: readonly string[];
  /** Files that were found and are not among the samples: they count as left out. */
  readonly skipped?: readonly SkippedFile[];
  /**
   * Sample `index`, from 0 to length − 1: the same picture at each call. Samples that are batched together have the same
   * height and width. May be called again before the promise of an earlier call is settled. A sample for which it throws
   * a DataError is left out; any other error ends the reading.
   */
  get(index: number): Promise<Sample | TensorSample> | Sample | TensorSample;
}

/** @throws {ArgumentError} where the data set's classes are others, or in another order */
export function expectClasses(name: string, dataset: Dataset, classes: readonly string[]): void {
  if (JSON.stringify(dataset.classes) === JSON.stringify(classes)) return;
  throw new ArgumentError(expected(`classes [${classes.join(', ')}]`, name, dataset.classes));
}

/** A sample for which `get` failed. */
export class Unreadable {
  constructor(
    readonly skipped: SkippedSample,
    readonly error: DataError,
  ) {}
}

/**
 * Sample `index` of a data set of anyone's, or why it cannot be read.
 * @throws {DataError} naming the index, where it is not what a sample should be
 */
export async function readSample(dataset: Dataset, index: number): Promise<Sample | Unreadable> {
  const given = await get(dataset, index);
  if (given instanceof Unreadable) return given;
  if (typeof given !== 'object' || given === null)
    throw new DataError(expected('object', `sample ${index}`, given));
  const name = (part: string) => `${part} of sample ${index}`;
  const sample = isOfTensor(given) ? await readTensor(given, name('pixels')) : given;
  const { pixels, height, width, label } = sample;
  if (!(pixels instanceof Uint8Array)) {
    throw new DataError(expected('Uint8Array or uint8 tensor [H, W, 3]', name('pixels'), pixels));
  }
  if (!Number.isInteger(height) || !Number.isInteger(width) || Math.min(height, width) < 1) {
    throw new DataError(expected('positive integers', name('height and width'), [height, width]));
  }
  if (pixels.length !== height * width * 3) {
    const bytes = `${height} · ${width} · 3 bytes`;
    throw new DataError(expected(bytes, name('pixels'), pixels.length));
  }
  if (!Number.isInteger(label) || label < 0 || label >= dataset.classes.length) {
    throw new DataError(expected(`index of one of ${dataset.classes.length} classes`, name('label'), label));
  }
  return sample;
}

function isOfTensor(sample: Sample | TensorSample): sample is TensorSample {
  return sample.pixels instanceof Tensor;
}

async function readTensor({ pixels, label }: TensorSample, name: string): Promise<Sample> {
  const { dtype, shape } = pixels;
  const [height = 0, width = 0, channels] = shape;
  if (dtype !== 'uint8' || shape.length !== 3 || channels !== 3)
    throw new DataError(`Expected uint8 tensor [H, W, 3] for ${name} but received ${pixels}`);
  try {
    return { pixels: await pixels.data<Uint8Array>(), height, width, label };
  } catch (cause) {
    if (!(cause instanceof DisposedError)) throw cause;
    throw new DataError(`Expected numbers for ${name} but received an error: ${reasonOf(cause)}`, { cause });
  }
}

async function get(dataset: Dataset, index: number): Promise<Sample | TensorSample | Unreadable> {
  try {
    return await dataset.get(index);
  } catch (cause) {
    const reason = reasonOf(cause);
    const message = `Expected picture for sample ${index} but received an error: ${reason}`;
    const error = new DataError(message, { cause });
    // Anything else is a fault of the program, or of the machine, and not of this picture.
    if (!(cause instanceof DataError)) throw error;
    return new Unreadable({ index, file: dataset.files?.[index] ?? null, reason }, error);
  }
}
