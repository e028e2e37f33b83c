import sharp, { type OverlayOptions } from 'sharp';

const SIDE = 128;
const GAP = 4;

/** RGB, row by row. */
interface Pixels {
  pixels: Uint8Array;
  height: number;
  width: number;
}

/**
 * Pictures in rows, as a PNG; the first of each row stands apart.
 * @param rows what gives each picture, asked one after the other
 * @throws what one of them rejects with
 */
export async function rowsPicture(rows: readonly (readonly (() => Promise<Pixels>)[])[]): Promise<Buffer> {
  const longest = Math.max(1, ...rows.map((row) => row.length));
  const overlays: OverlayOptions[] = [];
  for (const [r, row] of rows.entries()) {
    for (const [c, read] of row.entries()) {
      const { pixels, height, width } = await read();
      const input = await sharp(pixels, { raw: { height, width, channels: 3 } })
        .resize(SIDE, SIDE, { fit: 'cover' })
        .png()
        .toBuffer();
      overlays.push({
        input,
        top: GAP + r * (SIDE + GAP),
        left: GAP + c * (SIDE + GAP) + (c > 0 ? 2 * GAP : 0),
      });
    }
  }
  const width = longest * (SIDE + GAP) + 3 * GAP;
  const height = rows.length * (SIDE + GAP) + GAP;
  return sharp({ create: { width, height, channels: 3, background: '#ffffff' } })
    .composite(overlays)
    .png()
    .toBuffer();
}
