import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { Random } from '../../lib/random.js';

type Colour = readonly [number, number, number];

/** Writes `root/class/0.png` …: pictures of 32×32, each class of a colour of its own, lighter from picture to picture. */
export async function writePictures(
  root: string,
  classes: Readonly<Record<string, Colour>>,
  each: number,
): Promise<string> {
  for (const [name, [r, g, b]] of Object.entries(classes)) {
    await mkdir(join(root, name), { recursive: true });
    for (let i = 0; i < each; i++) {
      const background = { r: r + 5 * i, g: g + 5 * i, b: b + 5 * i };
      await sharp({ create: { width: 32, height: 32, channels: 3, background } })
        .png()
        .toFile(join(root, name, `${i}.png`));
    }
  }
  return root;
}

/** Writes pictures of noise, of which no crop is like another, or like its mirror image. */
export async function writeNoise(root: string, classes: readonly string[], each: number): Promise<void> {
  const random = new Random(7, 0);
  for (const name of classes) {
    await mkdir(join(root, name), { recursive: true });
    for (let i = 0; i < each; i++) {
      const pixels = Uint8Array.from({ length: 256 * 256 * 3 }, () => random.integer(256));
      await sharp(pixels, { raw: { width: 256, height: 256, channels: 3 } })
        .png()
        .toFile(join(root, name, `${i}.png`));
    }
  }
}

export const RED: Colour = [200, 30, 30];
export const BLUE: Colour = [30, 30, 200];

/** A JPEG whose head is whole, and that ends early. */
export async function truncatedJpeg(): Promise<Buffer> {
  const noise = Buffer.from(Array.from({ length: 99 * 99 * 3 }, (_, i) => (i * 7919) % 251));
  const jpeg = await sharp(noise, { raw: { width: 99, height: 99, channels: 3 } })
    .jpeg()
    .toBuffer();
  return jpeg.subarray(0, jpeg.length / 2);
}
