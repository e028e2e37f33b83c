import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { expectInteger } from '../check.js';
import { DataError, reasonOf } from '../errors.js';

export interface DecodedImage {
  /** RGB, row by row: height · width · 3 bytes. */
  pixels: Uint8Array;
  height: number;
  width: number;
}

/**
 * Decodes a picture and makes it `size` × `size` pixels: upright as its EXIF orientation says, flattened on white,
 * in sRGB of 8 bits; the shorter side is resized to `size` and the centre cut out. Of an animation the first frame.
 * @param source a file's path, or its content
 * @throws {DataError} that names the file, where it is missing, no picture, or broken
 */
export async function decodeImage(
  source: string | Uint8Array,
  { size }: { size: number },
): Promise<DecodedImage> {
  expectInteger('size', size, 1);
  try {
    // Read here: libvips would go on serving a file that it has in its cache after the file has changed.
    const input = typeof source === 'string' ? await readFile(source) : source;
    // Fails a file that ends early, but lets pass what decoders merely warn of.
    const { data, info } = await sharp(input, { failOn: 'truncated', autoOrient: true })
      .resize(size, size, { fit: 'cover', position: 'centre' })
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) throw new Error(`decoded to ${info.channels} channels`);
    return { pixels: data, height: info.height, width: info.width };
  } catch (error) {
    throw new DataError(`${nameOf(source)} could not be decoded: ${decodeReason(error)}`, { cause: error });
  }
}

/** Why a file is no picture that can be decoded, as far as its head tells; undefined for one that is. */
export async function refusalOf(file: string): Promise<string | undefined> {
  try {
    // sharp would take the end of a path like `photo[n=2]` for options.
    const input = file.endsWith(']') ? await readFile(file) : file;
    const { compression } = await sharp(input).metadata();
    // Most builds of sharp read the head of HEIC photos, and not the photos.
    if (compression === 'hevc' && !(await decodes(input))) return 'HEIC photo (HEVC): no decoder for it here';
    return undefined;
  } catch (error) {
    return decodeReason(error);
  }
}

async function decodes(input: string | Uint8Array): Promise<boolean> {
  return sharp(input, { failOn: 'truncated' })
    .resize(1)
    .toBuffer()
    .then(
      () => true,
      () => false,
    );
}

function nameOf(source: string | Uint8Array): string {
  return typeof source === 'string' ? source : `A picture of ${source.length} bytes`;
}

/**
 * In one line, without libvips's account of where in the file it looked. libvips has one text for all threads: where
 * several pictures fail at a time, it may be empty or another's.
 */
function decodeReason(error: unknown): string {
  const lines = reasonOf(error)
    .split('\n')
    .map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.includes('bad seek')).join('; ') || 'unknown reason';
}
