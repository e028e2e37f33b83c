import sharp, { type OverlayOptions } from 'sharp';

const SIDE = 128;
const GAP = 4;

/** Pictures in rows, as a PNG; the first of each row stands apart. @throws where a file cannot be decoded */
export async function rowsPicture(rows: readonly (readonly string[])[]): Promise<Buffer> {
  const longest = Math.max(1, ...rows.map((row) => row.length));
  const overlays: OverlayOptions[] = [];
  for (const [r, row] of rows.entries()) {
    for (const [c, file] of row.entries()) {
      const input = await sharp(file, { autoOrient: true })
        .resize(SIDE, SIDE, { fit: 'cover' })
        .flatten({ background: '#ffffff' })
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
