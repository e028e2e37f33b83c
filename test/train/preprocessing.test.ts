import { expect } from 'chai';
import { Device } from '../../lib/index.js';
import { tidy } from '../../lib/scope.js';
import { InputPipeline } from '../../lib/train/preprocessing.js';

const preprocessing = { resize: 4, crop: 2, mean: [100, 110, 120], scale: [0.1, 0.2, 0.5] } as const;
/** One picture of 3 × 3 pixels: the numbers 0 to 26. */
const picture = { pixels: [Uint8Array.from({ length: 27 }, (_, i) => i)], height: 3, width: 3 };
/** Row 1, column 1, mirrored: pixels 5, 4 and 8, 7. */
const place = Int32Array.of(1, 1, 1);
const CROP = [15, 16, 17, 12, 13, 14, 24, 25, 26, 21, 22, 23];

describe('InputPipeline', () => {
  for (const [kind, gain] of [
    ['paper', 1],
    ['krizhevsky2012', 1 / 1.1],
  ] as const) {
    it(`adds colours in grey levels, before the scale, and multiplies with ${gain}: ${kind}`, () =>
      tidy(async () => {
        const input = new InputPipeline(preprocessing, Device.get('cpu'), kind);
        const images = input.upload(picture);
        const plain = await input.prepare(images, place).data();
        const noisy = await input.prepare(images, place, Float32Array.of(3, -2, 1)).data();
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
