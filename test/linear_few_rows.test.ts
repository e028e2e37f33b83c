import { backward } from '../lib/autograd.js';
import { linear } from '../lib/ops/index.js';
import { tidy } from '../lib/scope.js';
import { type Tensor, tensor } from '../lib/tensor.js';
import { expectEqual } from './support/compare.js';
import { draw, multiplesOf } from './support/fill.js';

/** Odd, so that no two rows are aligned alike; more than 16 MB of weights, whose gradient is written past the caches. */
const OUTPUTS = 2053;
const INPUTS = 2051;

describe('a fully connected layer of few rows and many weights', () => {
  for (const batch of [1, 3, 4]) {
    it(`batch ${batch}: output and gradients to the bit, as all sums are exact`, () =>
      tidy(async () => {
        const fill = (what: string, ...shape: [number, number]): [Float32Array, Tensor] => {
          const data = Float32Array.from(draw(multiplesOf(1 / 8), what, shape[0] * shape[1]));
          return [data, tensor(data, shape, { requiresGrad: true })];
        };
        const [x, xTensor] = fill('x', batch, INPUTS);
        const [w, wTensor] = fill('w', OUTPUTS, INPUTS);
        const [dy, dyTensor] = fill('dy', batch, OUTPUTS);
        const yTensor = linear(xTensor, wTensor);
        backward(yTensor, dyTensor);
        const y = new Float32Array(dy.length);
        const dx = new Float32Array(x.length);
        const dw = new Float32Array(w.length);
        for (let row = 0; row < batch; row++)
          for (let o = 0; o < OUTPUTS; o++) {
            const [outAt, rowAt, inAt] = [row * OUTPUTS + o, row * INPUTS, o * INPUTS];
            const gradient = dy[outAt] ?? Number.NaN;
            let sum = 0;
            for (let i = 0; i < INPUTS; i++) {
              const [value, weight] = [x[rowAt + i] ?? Number.NaN, w[inAt + i] ?? Number.NaN];
              sum += value * weight;
              dx[rowAt + i] = (dx[rowAt + i] ?? Number.NaN) + gradient * weight;
              dw[inAt + i] = (dw[inAt + i] ?? Number.NaN) + gradient * value;
            }
            y[outAt] = sum;
          }
        for (const [what, actual, wanted] of [
          ['y', yTensor, y],
          ['dx', xTensor.grad, dx],
          ['dw', wTensor.grad, dw],
        ] as const)
          expectEqual(what, (await actual?.data<Float32Array>()) ?? new Float32Array(), wanted);
      }));
  }
});
