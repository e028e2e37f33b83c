import { expectInteger } from '../check.js';
import { DataError, expected } from '../errors.js';
import type { Dataset, SkipOptions } from './dataset.js';
import { ReadAhead } from './read_ahead.js';

type Colour = [red: number, green: number, blue: number];

/** So many pictures are held at a time. */
const HELD = 8;

export interface PictureStatistics {
  /** The mean colour, of 0…255 per channel. */
  mean: Colour;
  /** The shorter side of the first picture, in pixels. */
  side: number;
}

/**
 * The mean colour of a data set, and how large its pictures are.
 * @param options.limit so many pictures are looked at, evenly spaced over the set; default 1000
 * @throws {DataError} where there is no picture that can be read
 * @throws the reason of `signal`, where that is aborted before the end
 */
export async function meanColour(
  dataset: Dataset,
  {
    limit = 1000,
    signal,
    ...skipOptions
  }: { limit?: number; signal?: AbortSignal | undefined } & SkipOptions = {},
): Promise<PictureStatistics> {
  const count = Math.min(dataset.length, expectInteger('limit', limit, 1));
  if (count === 0) throw new DataError(expected('at least one picture', 'data set', 0));
  const indices = Array.from({ length: count }, (_, i) => Math.floor((i * dataset.length) / count));
  const reading = new ReadAhead(dataset, indices, { ...skipOptions, limit: HELD });
  const sum: Colour = [0, 0, 0];
  let pictures = 0;
  let side = 0;
  try {
    for (let i = 0; i < count; i++) {
      signal?.throwIfAborted();
      for (const { sample } of await reading.take(1)) {
        pictures++;
        side ||= Math.min(sample.height, sample.width);
        colourOf(sample.pixels).forEach((value, channel) => {
          sum[channel] = (sum[channel] ?? 0) + value;
        });
      }
    }
  } finally {
    reading.stop();
  }
  if (pictures === 0) throw reading.noneOf(count);
  return { mean: [sum[0] / pictures, sum[1] / pictures, sum[2] / pictures], side };
}

function colourOf(pixels: Uint8Array): Colour {
  let [red, green, blue] = [0, 0, 0];
  for (let i = 0; i < pixels.length; i += 3) {
    red += pixels[i] ?? 0;
    green += pixels[i + 1] ?? 0;
    blue += pixels[i + 2] ?? 0;
  }
  const area = pixels.length / 3;
  return [red / area, green / area, blue / area];
}
