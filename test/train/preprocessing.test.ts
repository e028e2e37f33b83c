import { expect } from 'chai';
import { ArgumentError, Device } from '../../lib/index.js';
import { tidy } from '../../lib/scope.js';
import type { Tensor } from '../../lib/tensor.js';
import { InputPipeline } from '../../lib/train/preprocessing.js';

const preprocessing = { resize: 4, crop: 2, mean: [100, 110, 120], scale: [0.1, 0.2, 0.5] } as const;
/** One picture of 3 × 3 pixels: the numbers 0 to 26. */
const picture = { pixels: [Uint8Array.from({ length: 27 }, (_, i) => i)], height: 3, width: 3 };
/** Row 1, column 1, mirrored: pixels 5, 4 and 8, 7. */
const place = Int32Array.of(1, 1, 1);
const CROP = [15, 16, 17, 12, 13, 14, 24, 25, 26, 21, 22, 23];

const MODEL = { devices: [Device.get('cpu')] as const, inputSize: 2, cropSize: 2 };

function only([x]: readonly Tensor[]): Tensor {
  if (x === undefined) throw new Error('no tensor');
  return x;
}

describe('InputPipeline', () => {
  it('subtracts the centre of a mean image from every crop, mirrored or not, and leaves the rest 0', () =>
    tidy(async () => {
      const mean = Float32Array.from({ length: 48 }, (_, i) => i / 2);
      /** Of 4 × 4 pixels, those of rows and columns 1 and 2. */
      const centre = [5, 6, 9, 10].flatMap((pixel) => [0, 1, 2].map((c) => mean[3 * pixel + c] ?? 0));
      const input = new InputPipeline({ ...preprocessing, mean }, { ...MODEL, inputSize: 3 });
      const y = await only(input.prepare(input.upload(picture), place)).data();
      const pixels = [0, 1, 3, 4];
      const wanted = new Array<number>(27).fill(0);
      CROP.forEach((value, i) => {
        const at = 3 * (pixels[Math.floor(i / 3)] ?? 0) + (i % 3);
        wanted[at] = (value - (centre[i] ?? 0)) * (preprocessing.scale[i % 3] ?? 0);
      });
      wanted.forEach((value, i) => {
        expect(y[i]).to.be.closeTo(value, 1e-5);
      });
      input.dispose();
    }));

  it("refuses a mean image of another size, or that is not finite, and a crop that is not the model's", () => {
    const make = (changes: object, model = MODEL) =>
      new InputPipeline({ ...preprocessing, ...changes }, model);
    expect(() => make({ mean: new Float32Array(12) })).to.throw(
      ArgumentError,
      /4 × 4 × 3 numbers, .* for preprocessing\.mean but received 12/,
    );
    expect(() => make({ mean: new Float32Array(48).fill(Number.NaN) })).to.throw(
      ArgumentError,
      /finite number for preprocessing\.mean but received NaN/,
    );
    expect(() => make({}, { ...MODEL, inputSize: 3, cropSize: 3 })).to.throw(
      ArgumentError,
      /3, as the model takes, for preprocessing\.crop but received 2/,
    );
  });

  for (const [kind, gain] of [
    ['paper', 1],
    ['krizhevsky2012', 1 / 1.1],
  ] as const) {
    it(`adds colours in grey levels, before the scale, and multiplies with ${gain}: ${kind}`, () =>
      tidy(async () => {
        const input = new InputPipeline(preprocessing, MODEL, kind);
        const images = input.upload(picture);
        const plain = await only(input.prepare(images, place)).data();
        const noisy = await only(input.prepare(images, place, Float32Array.of(3, -2, 1))).data();
        CROP.forEach((value, i) => {
          const c = i % 3;
          const [mean = 0, scale = 0, shift = 0] = [
            preprocessing.mean[c],
            preprocessing.scale[c],
            [3, -2, 1][c],
          ];
          expect(plain[i]).to.be.closeTo((value - mean) * scale, 1e-4);
          expect(noisy[i]).to.be.closeTo((value + shift - mean) * scale * gain, 1e-4);
        });
        input.dispose();
      }));
  }
});
