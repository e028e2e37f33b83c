import {
  expectFinite,
  expectInteger,
  expectMembers,
  expectOneOf,
  expectPositiveInteger,
  expectTriple,
} from '../check.js';
import { type ColourNoise, NOISE_GAINS } from '../data/colour.js';
import type { DecodeOptions } from '../data/decode.js';
import { RESIZE_KERNELS, type ResizeKernel } from '../data/resize.js';
import type { Device } from '../device.js';
import { ArgumentError, expected } from '../errors.js';
import type { AlexNet } from '../models/alexnet.js';
import { PRESETS, type PresetName } from '../models/presets.js';
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
  /**
   * Subtracted from pixels of 0…255: a colour, or a mean image, `resize` × `resize` × 3 numbers, row by row. As in the
   * code of 2012 it is the centre of the image that is subtracted from every crop, wherever that lies and mirrored or not.
   */
  mean: readonly [number, number, number] | Float32Array;
  /** What the difference is multiplied with, per channel. */
  scale: readonly [number, number, number];
}

/** A picture of it takes 50 MB. */
export const MAX_RESIZE = 4096;

/** @throws {ArgumentError} for anything else than a {@link Preprocessing} */
export function expectPreprocessing(value: unknown): Preprocessing {
  const keys = ['resize', 'kernel', 'crop', 'mean', 'scale'] as const;
  const members = expectMembers('preprocessing', value, keys);
  const crop = expectPositiveInteger('preprocessing.crop', members.crop);
  const resize = expectInteger('preprocessing.resize', members.resize, crop, MAX_RESIZE);
  return {
    resize,
    kernel: expectOneOf('preprocessing.kernel', members.kernel ?? 'lanczos3', RESIZE_KERNELS),
    crop,
    mean:
      members.mean instanceof Float32Array
        ? expectMeanImage(members.mean, resize)
        : expectTriple('preprocessing.mean', members.mean),
    scale: expectTriple('preprocessing.scale', members.scale),
  };
}

function expectMeanImage(image: Float32Array, resize: number): Float32Array {
  if (image.length !== resize ** 2 * 3) {
    const what = `${resize} × ${resize} × 3 numbers, an image as large as the resized pictures,`;
    throw new ArgumentError(expected(what, 'preprocessing.mean', image.length));
  }
  for (const value of image) expectFinite('preprocessing.mean', value);
  return image;
}

/** What a preset's weights take, whatever the data are; undefined where it is measured on the training data. */
export function preprocessingOf(preset: PresetName): Preprocessing | undefined {
  return preset === 'torchvision' ? torchPreprocessing(preset) : undefined;
}

/**
 * What weights of ImageNet take that were trained with PyTorch. torchvision: what
 * `AlexNet_Weights.IMAGENET1K_V1.transforms()` does. dansuh17: its `CenterCrop(227)`, of pictures of 256 pixels, and
 * its `Normalize`.
 */
export function torchPreprocessing(preset: PresetName): Preprocessing {
  return {
    resize: 256,
    kernel: 'linear',
    crop: PRESETS[preset].cropSize,
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

/** The centre of an image of `size` × `size` × 3 numbers. */
function centreOf(image: Float32Array, size: number, crop: number): Float32Array {
  const start = Math.floor((size - crop) / 2);
  const centre = new Float32Array(crop ** 2 * 3);
  for (let row = 0; row < crop; row++) {
    const from = ((start + row) * size + start) * 3;
    centre.set(image.subarray(from, from + crop * 3), row * crop * 3);
  }
  return centre;
}

/** The network's input on one device: what its crops are less, and times. */
interface Place {
  device: Device;
  mean: Tensor;
  scale: Tensor;
  noisyScale: Tensor;
}

/**
 * Uploads pictures picture by picture, and makes the network's input of their crops on the device. Of a network on two
 * devices each gets the pictures, and makes all of the input: nothing crosses between them.
 */
export class InputPipeline {
  readonly preprocessing: Preprocessing;
  readonly #inputSize: number;
  readonly #places: readonly Place[];

  /** @throws {ArgumentError} where it has not the crop that the model takes */
  constructor(
    preprocessing: Preprocessing,
    model: Pick<AlexNet, 'devices' | 'inputSize' | 'cropSize'>,
    noise: ColourNoise['kind'] = 'paper',
  ) {
    this.preprocessing = expectPreprocessing(preprocessing);
    const { resize, crop, mean, scale } = this.preprocessing;
    if (crop !== model.cropSize) {
      throw new ArgumentError(expected(`${model.cropSize}, as the model takes,`, 'preprocessing.crop', crop));
    }
    this.#inputSize = model.inputSize;
    const noisy = Float32Array.from(scale, (factor) => factor * NOISE_GAINS[noise]);
    this.#places = model.devices.map((device) =>
      unscoped(() => ({
        device,
        mean:
          mean instanceof Float32Array
            ? tensor(centreOf(mean, resize, crop), [crop, crop, 3], { device })
            : tensor(Float32Array.from(mean), [3], { device }),
        scale: tensor(Float32Array.from(scale), [3], { device }),
        noisyScale: tensor(noisy, [3], { device }),
      })),
    );
  }

  /** `[N, height, width, 3]`, uint8, on each device. Call it in a tidy(), like the next: the result belongs to the caller. */
  upload({ height, width, pixels }: Pictures): Tensor[] {
    return this.#places.map(({ device }) => {
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
    });
  }

  /**
   * @param images as `upload` returns them
   * @param shifts colours that are added, where there is noise
   * @returns `[N, inputSize, inputSize, 3]` on each device
   */
  prepare(images: readonly Tensor[], places: Int32Array, shifts: Float32Array | null = null): Tensor[] {
    const { crop } = this.preprocessing;
    return images.flatMap((pictures, i) => {
      const place = this.#places[i];
      if (place === undefined) return [];
      const { device, mean, scale, noisyScale } = place;
      const shape = [pictures.shape[0] ?? 0, 3];
      const crops = tensor(places, shape, { device });
      const shift = shifts === null ? null : tensor(shifts, shape, { device });
      const x = prepareImages(pictures, {
        crops,
        height: crop,
        width: crop,
        outputSize: this.#inputSize,
        mean,
        scale: shift === null ? scale : noisyScale,
        shift,
      });
      crops.dispose();
      shift?.dispose();
      return x;
    });
  }

  dispose(): void {
    for (const { mean, scale, noisyScale } of this.#places)
      for (const constant of [mean, scale, noisyScale]) constant.dispose();
  }
}
