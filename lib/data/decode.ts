import { open, readFile, stat } from 'node:fs/promises';
import sharp, { type Sharp } from 'sharp';
import { expectInteger, expectOneOf } from '../check.js';
import { DataError, reasonOf } from '../errors.js';
import { RESIZE_KERNELS, type ResizeKernel } from './resize.js';

/** What decodes: pixels may differ from version to version. */
export const DECODER = `libvips ${sharp.versions.vips}`;

export interface DecodeOptions {
  /** Pixels on each side of what is returned. */
  size: number;
  /** Default `lanczos3`. */
  kernel?: ResizeKernel | undefined;
}

/** Of the machine, not of the file. */
const SHORTAGES = ['EMFILE', 'ENFILE', 'ENOMEM'];

export interface DecodedImage {
  /** RGB, row by row: height · width · 3 bytes. */
  pixels: Uint8Array;
  height: number;
  width: number;
}

/** Pictures of more pixels are refused, whatever their files say is in them. */
export const MAX_PIXELS = 16_383 ** 2;

/** Files of more bytes are refused: each that is decoded is held whole. */
export const MAX_BYTES = 2 ** 29;

/**
 * Pictures of more pixels are decoded one at a time. Most are never whole in memory, but interlaced ones are, with up to
 * 8 bytes a pixel.
 */
const LARGE_PIXELS = 2 ** 25;

let lastLarge: Promise<unknown> = Promise.resolve();

/**
 * Decodes a picture and makes it `size` × `size` pixels: upright as its EXIF orientation says, flattened on white,
 * in sRGB of 8 bits; the shorter side is resized to `size` and the centre cut out. Of an animation the first frame.
 * @param source a file's path, or its content
 * @throws {DataError} that names the file, where it is missing, no picture, broken, or of more than `MAX_PIXELS`
 *   or `MAX_BYTES`
 */
export async function decodeImage(
  source: string | Uint8Array,
  { size, kernel = 'lanczos3' }: DecodeOptions,
): Promise<DecodedImage> {
  expectInteger('size', size, 1);
  expectOneOf('kernel', kernel, RESIZE_KERNELS);
  const options = { size, kernel };
  try {
    // Read here: libvips would go on serving a file that it has in its cache after the file has changed.
    const input = typeof source === 'string' ? await readPicture(source) : source;
    try {
      return await decode(input, options, LARGE_PIXELS);
    } catch (error) {
      if (!(await isLarge(input))) throw error;
    }
    const alone = lastLarge.then(() => decode(input, options, MAX_PIXELS));
    lastLarge = alone.catch(() => {});
    return await alone;
  } catch (error) {
    if (SHORTAGES.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw new DataError(`${nameOf(source)} could not be decoded: ${decodeReason(error)}`, { cause: error });
  }
}

async function readPicture(file: string): Promise<Uint8Array> {
  const reason = await refusalOfFile(file);
  if (reason !== undefined) throw new Error(reason);
  return readFile(file);
}

/** What is no regular file may have no end, or wait for a writer when it is opened. */
async function refusalOfFile(file: string): Promise<string | undefined> {
  const stats = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? new Error('no such file', { cause: error }) : error;
  });
  if (!stats.isFile()) return stats.isDirectory() ? 'a folder' : 'not a regular file';
  if (stats.size > MAX_BYTES) return `${stats.size} bytes are more than the limit of ${MAX_BYTES}`;
  return stats.size === 0 ? 'empty file' : undefined;
}

async function decode(
  input: Uint8Array,
  { size, kernel }: { size: number; kernel: ResizeKernel },
  limitInputPixels: number,
): Promise<DecodedImage> {
  // Fails a file that ends early, but lets pass what decoders merely warn of.
  const picture = sharp(input, { failOn: 'truncated', autoOrient: true, limitInputPixels });
  const resized =
    kernel === 'linear'
      ? await resizeAsTorchvision(picture, size)
      : picture.resize(size, size, { fit: 'cover', position: 'centre', kernel });
  const { data, info } = await resized
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (info.channels !== 3) throw new Error(`decoded to ${info.channels} channels`);
  return { pixels: data, height: info.height, width: info.width };
}

/**
 * Takes the pixels that torchvision's `Resize(size)` and `CenterCrop(size)` take of a PIL image: the longer side is rounded down, the
 * crop's place to even. Of photos the grey levels are 0.1 to 0.4 from PIL's on average, 8 at most; of those that are more than
 * four times as large, libvips averages some pixels before.
 */
async function resizeAsTorchvision(picture: Sharp, size: number): Promise<Sharp> {
  const { format, autoOrient } = await picture.metadata();
  const { width, height } = autoOrient;
  const shorter = Math.min(width, height);
  const [toWidth, toHeight] = [width, height].map((side) => Math.floor((size * side) / shorter)) as [
    number,
    number,
  ];
  // A JPEG is decoded whole where a part of it is taken, and otherwise at a fraction of its size, by another filter.
  if (format === 'jpeg') picture.extract({ left: 0, top: 0, width, height });
  return picture
    .resize(toWidth, toHeight, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false })
    .extract({
      left: roundToEven((toWidth - size) / 2),
      top: roundToEven((toHeight - size) / 2),
      width: size,
      height: size,
    });
}

/** As Python's `round`. */
function roundToEven(value: number): number {
  return value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value);
}

/** Square pixels of RGB, made `size` × `size`. */
export async function resizePixels(
  pixels: Uint8Array,
  side: number,
  { size, kernel = 'lanczos3' }: DecodeOptions,
): Promise<DecodedImage> {
  if (side === size) return { pixels, height: side, width: side };
  const data = await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .resize(size, size, { kernel })
    .raw()
    .toBuffer();
  return { pixels: data, height: size, width: size };
}

/** Whether it is more than `LARGE_PIXELS` that its head promises; throws where it is more than `MAX_PIXELS`. */
async function isLarge(input: Uint8Array): Promise<boolean> {
  const head = await sharp(input, { limitInputPixels: false })
    .metadata()
    .catch(() => ({ width: 0, height: 0 }));
  const reason = refusalOfSize(head);
  if (reason !== undefined) throw new Error(reason);
  return head.width * head.height > LARGE_PIXELS;
}

function refusalOfSize({ width, height }: { width: number; height: number }): string | undefined {
  if (width * height <= MAX_PIXELS) return undefined;
  return `${width}×${height} pixels are more than the limit of ${MAX_PIXELS}`;
}

/** Why a file is no picture that can be decoded, as far as its head tells; undefined for one that is. */
export async function refusalOf(file: string): Promise<string | undefined> {
  try {
    const reason = await refusalOfFile(file);
    if (reason !== undefined) return reason;
    // sharp would take the end of a path like `photo[n=2]` for options.
    const input = file.endsWith(']') ? await readFile(file) : file;
    const head = await sharp(input, { limitInputPixels: false }).metadata();
    const bomb = refusalOfSize(head);
    if (bomb !== undefined) return bomb;
    const { compression } = head;
    // Most builds of sharp read the head of HEIC photos, and not the photos.
    if (compression === 'hevc' && !(await decodes(input))) return 'HEIC photo (HEVC): no decoder for it here';
    return undefined;
  } catch (error) {
    return decodeReason((await readingError(file)) ?? error);
  }
}

/** sharp calls a file that cannot be read one of an unsupported format. */
async function readingError(file: string): Promise<unknown> {
  try {
    await using handle = await open(file);
    await handle.read(Buffer.alloc(1));
    return undefined;
  } catch (error) {
    return error;
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
  const told = lines.filter((line) => line !== '' && line !== 'Unknown error' && !line.includes('bad seek'));
  return told.join('; ') || 'damaged, or cut short';
}
