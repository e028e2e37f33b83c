import { expect } from 'chai';
import { backward } from '../lib/autograd.js';
import { lrn } from '../lib/ops/index.js';
import { tidy } from '../lib/scope.js';
import { tensor } from '../lib/tensor.js';

/** As PyTorch's in float32: what is divided by ∞ is 0, and ∞ itself no number. */
describe('lrn of numbers whose squares are no float', () => {
  for (const beta of [0.75, 0.6])
    it(`is 0, with its gradient, in the windows that have one and nowhere else; beta ${beta}`, async () => {
      const values = Float32Array.from({ length: 40 }, (_, i) => (i === 17 ? -1e30 : 0.5));
      await tidy(async () => {
        const x = tensor(values, [1, 1, 1, 40], { requiresGrad: true });
        const y = lrn(x, { beta });
        backward(y, tensor(new Float32Array(40).fill(1), [1, 1, 1, 40]));
        const gradient = await x.grad?.data();
        for (const [i, value] of (await y.data()).entries()) {
          const isNear = i >= 15 && i <= 19;
          expect(value, `y[${i}]`).to.satisfy((v: number) => (isNear ? v === 0 : v > 0.49 && v < 0.5));
          // What its neighbours' outputs have from it is of alpha's order.
          expect(gradient?.[i], `dx[${i}]`).to.be.closeTo(isNear ? 0 : 1, 1e-4);
        }
      });
    });

  it('is NaN where it is infinite', async () => {
    await tidy(async () => {
      const y = await lrn(tensor(Float32Array.of(1, 1, Number.POSITIVE_INFINITY, 1), [1, 1, 1, 4])).data();
      expect([...y]).to.deep.equal([0, 0, Number.NaN, 0]);
    });
  });
});
