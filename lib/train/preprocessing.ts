import { expectInteger, expectMembers, expectOneOf, expectPositiveInteger, expectTriple } from '../check.js';
import { type ColourNoise, NOISE_GAINS } from '../data/colour.js';
import { type DecodeOptions, RESIZE_KERNELS, type ResizeKernel } from '../data/decode.js';
import type { Device } from '../device.js';
import { ArgumentError, expected } from '../errors.js';
import type { PresetName } from '../models/presets.js';
import { prepareImages } from '../ops/index.js';
import { unscoped } from '../scope.js';
import { empty, type Tensor, tensor } from '../tensor.js';

/** How pictures become the network's input. Stored in the model file, so that every use of the model does the same. */
export interface Preprocessing {
  /** The shorter side is resized to it, and the centre cut out: `resize` × `resize` pixels. */
  resize: number;
  /** What resizes. Default `lanczos3`. */
  kernel?: ResizeKernel;
  /** The crop that the network sees. */
  crop: number;
  /** Subtracted from pixels of 0…255, per channel. */
  mean: readonly [number, number, number];
  /** What the difference is multiplied with, per channel. */
  scale: readonly [number, number, number];
}

/** A picture of it takes 50 MB. */
const MAX_RESIZE = 4096;

/** @throws {ArgumentError} for anything else than a {@link Preprocessing} */
export function expectPreprocessing(value: unknown): Preprocessing {
  const keys = ['resize', 'kernel', 'crop', 'mean', 'scale'] as const;
  const members = expectMembers('preprocessing', value, keys);
  const crop = expectPositiveInteger('preprocessing.crop', members.crop);
  return {
    resize: expectInteger('preprocessing.resize', members.resize, crop, MAX_RESIZE),
    kernel: expectOneOf('preprocessing.kernel', members.kernel ?? 'lanczos3', RESIZE_KERNELS),
    crop,
    mean: expectTriple('preprocessing.mean', members.mean),
    scale: expectTriple('preprocessing.scale', members.scale),
  };
}

/**
 * What a preset's weights take, whatever the data are; undefined where it is measured on the training data.
 * torchvision: what `AlexNet_Weights.IMAGENET1K_V1.transforms()` does.
 */
export function preprocessingOf(preset: PresetName): Preprocessing | undefined {
  if (preset !== 'torchvision') return undefined;
  return {
    resize: 256,
    kernel: 'linear',
    crop: 224,
    mean: [0.485 * 255, 0.456 * 255, 0.406 * 255],
    scale: [1 / (0.229 * 255), 1 / (0.224 * 255), 1 / (0.225 * 255)],
  };
}

/** How its pictures are decoded. */
export function decodingOf({ resize, kernel }: Preprocessing): DecodeOptions {
  return { size: resize, kernel };
}

/** Pictures of one size. */
export interface Pictures {
  /** One array of height · width · 3 bytes for each picture. */
  pixels: readonly Uint8Array[];
  height: number;
  width: number;
}

type Size = readonly [height: number, width: number];

/** Centre crops, not mirrored: three numbers a picture, top, left and mirrored. */
export function centreCrops(count: number, [height, width]: Size, crop: number): Int32Array {
  return repeated(count, [Math.floor((height - crop) / 2), Math.floor((width - crop) / 2), 0]);
}

/** The four corners and the centre, and the reflections of them. */
export function tenCrops(count: number, [height, width]: Size, crop: number): Int32Array[] {
  const [bottom, right] = [height - crop, width - crop];
  const places = [
    [0, 0],
    [0, right],
    [bottom, 0],
    [bottom, right],
    [Math.floor(bottom / 2), Math.floor(right / 2)],
  ] as const;
  return [0, 1].flatMap((mirrored) => places.map(([top, left]) => repeated(count, [top, left, mirrored])));
}

function repeated(count: number, place: readonly [number, number, number]): Int32Array {
  return Int32Array.from({ length: 3 * count }, (_, i) => place[i % 3] ?? 0);
}

/** Uploads pictures picture by picture, and makes the network's input of their crops on the device. */
export class InputPipeline {
  readonly preprocessing: Preprocessing;
  readonly #mean: Tensor;
  readonly #scale: Tensor;
  readonly #noisyScale: Tensor;

  constructor(
    preprocessing: Preprocessing,
    readonly device: Device,
    noise: ColourNoise['kind'] = 'paper',
  ) {
    this.preprocessing = expectPreprocessing(preprocessing);
    const { mean, scale } = this.preprocessing;
    this.#mean = unscoped(() => tensor(Float32Array.from(mean), [3], { device }));
    this.#scale = unscoped(() => tensor(Float32Array.from(scale), [3], { device }));
    const noisy = Float32Array.from(scale, (factor) => factor * NOISE_GAINS[noise]);
    this.#noisyScale = unscoped(() => tensor(noisy, [3], { device }));
  }

  /** `[N, height, width, 3]`, uint8. Call it in a tidy(), like the next: the result belongs to the caller. */
  upload({ height, width, pixels }: Pictures): Tensor {
    const { device } = this;
    const images = empty([pixels.length, height, width, 3], { dtype: 'uint8', device });
    pixels.forEach((picture, i) => {
      if (picture.length !== height * width * 3) {
        throw new ArgumentError(
          expected(`${height * width * 3} bytes`, `pixels of picture ${i}`, picture.length),
        );
      }
      images.write(picture, i * picture.length);
    });
    return images;
  }

  /**
   * @param shifts colours that are added, where there is noise
   * @returns `[N, crop, crop, 3]`
   */
  prepare(images: Tensor, places: Int32Array, shifts: Float32Array | null = null): Tensor {
    const { crop } = this.preprocessing;
    const shape = [images.shape[0] ?? 0, 3];
    const crops = tensor(places, shape, { device: this.device });
    const shift = shifts === null ? null : tensor(shifts, shape, { device: this.device });
    const x = prepareImages(images, {
      crops,
      height: crop,
      width: crop,
      mean: this.#mean,
      scale: shift === null ? this.#scale : this.#noisyScale,
      shift,
    });
    crops.dispose();
    shift?.dispose();
    return x;
  }

  dispose(): void {
    this.#mean.dispose();
    this.#scale.dispose();
    this.#noisyScale.dispose();
  }
}
