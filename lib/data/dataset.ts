import { DataError, expected, reasonOf } from '../errors.js';

/** A picture and what it shows. */
export interface Sample {
  /** RGB, row by row: height · width · 3 bytes. Not changed once it was given out. */
  pixels: Uint8Array;
  height: number;
  width: number;
  /** Index of its class. */
  label: number;
}

/** Pictures to learn from or to be measured on. Anything of this form trains with `Trainer`. */
export interface Dataset {
  /** How many samples there are. */
  readonly length: number;
  /** Their names; a label is an index into them. */
  readonly classes: readonly string[];
  /** Tells this data set from others of as many samples: a run can be resumed only with the same. */
  readonly fingerprint?: string;
  /**
   * Sample `index`, from 0 to length − 1: the same picture at each call. Samples that are batched together have the same
   * height and width. May be called again before the promise of an earlier call is settled.
   */
  get(index: number): Promise<Sample> | Sample;
}

/**
 * Sample `index` of a data set of anyone's.
 * @throws {DataError} naming the index, where it cannot be had or is not what a sample should be
 */
export async function readSample(dataset: Dataset, index: number): Promise<Sample> {
  const sample = await get(dataset, index);
  if (typeof sample !== 'object' || sample === null)
    throw new DataError(expected('object', `sample ${index}`, sample));
  const { pixels, height, width, label } = sample;
  const name = (part: string) => `${part} of sample ${index}`;
  if (!(pixels instanceof Uint8Array)) throw new DataError(expected('Uint8Array', name('pixels'), pixels));
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

async function get(dataset: Dataset, index: number): Promise<Sample> {
  try {
    return await dataset.get(index);
  } catch (cause) {
    throw new DataError(`Expected picture for sample ${index} but received an error: ${reasonOf(cause)}`, {
      cause,
    });
  }
}
