import sharp from 'sharp';
import { ArgumentError, expected } from '../errors.js';

export interface FiltersPictureOptions {
  /** Filters are shown in so many blocks, one above the other: the columns of the network. Default 1. */
  columns?: number;
  /** Pixels on each side of a weight. Default 4. */
  zoom?: number;
}

/** Filters in a row: 96 of them are six rows, as in the paper's figure 3. */
const PER_ROW = 16;
const GAP = 2;
const COLUMN_GAP = 10;
const WHITE = 255;

/**
 * The filters of a first convolution as a PNG: figure 3 of the paper. Each has the contrast of its own: zero is grey, and
 * the weight that is furthest from it black or white.
 * @param weights `[K, R, S, 3]`
 * @throws {ArgumentError} for weights of another shape
 */
export async function filtersPicture(
  weights: Float32Array,
  shape: readonly number[],
  { columns = 1, zoom = 4 }: FiltersPictureOptions = {},
): Promise<Buffer> {
  const [count = 0, height = 0, width = 0, channels = 0] = shape;
  if (shape.length !== 4 || channels !== 3 || weights.length !== count * height * width * channels)
    throw new ArgumentError(expected('[K, R, S, 3], as a first convolution has,', 'filters', shape));
  const each = Math.ceil(count / columns);
  const rowsEach = Math.ceil(each / PER_ROW);
  const [cellHeight, cellWidth] = [height * zoom + GAP, width * zoom + GAP];
  const pictureWidth = PER_ROW * cellWidth + GAP;
  const pictureHeight = columns * rowsEach * cellHeight + (columns - 1) * COLUMN_GAP + GAP;
  const pixels = Buffer.alloc(pictureWidth * pictureHeight * 3, WHITE);
  const filterSize = height * width * 3;
  for (let k = 0; k < count; k++) {
    const filter = weights.subarray(k * filterSize, (k + 1) * filterSize);
    const furthest = filter.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0) || 1;
    const [column, place] = [Math.floor(k / each), k % each];
    const row = column * rowsEach + Math.floor(place / PER_ROW);
    const top = GAP + row * cellHeight + column * COLUMN_GAP;
    const left = GAP + (place % PER_ROW) * cellWidth;
    for (let y = 0; y < height * zoom; y++)
      for (let x = 0; x < width * zoom; x++)
        for (let c = 0; c < 3; c++) {
          const weight = filter[(Math.floor(y / zoom) * width + Math.floor(x / zoom)) * 3 + c] ?? 0;
          pixels[((top + y) * pictureWidth + left + x) * 3 + c] = Math.round(
            127.5 + (127.5 * weight) / furthest,
          );
        }
  }
  return sharp(pixels, { raw: { width: pictureWidth, height: pictureHeight, channels: 3 } })
    .png()
    .toBuffer();
}
