import { expect } from 'chai';
import { backward } from '../lib/autograd.js';
import { Device } from '../lib/device.js';
import { linear } from '../lib/ops/index.js';
import { tidy } from '../lib/scope.js';
import { type Tensor, tensor } from '../lib/tensor.js';
import { expectClose } from './support/compare.js';
import { draw, uniform } from './support/fill.js';

/**
 * Our own loops of the data gradient: of up to 3 rows in blocks of 1024 inputs and 8 outputs; with AVX2 of 24
 * to 511 rows in blocks of 256 inputs and 256 outputs.
 */
const [INPUTS, OUTPUTS] = [2300, 270];

/** rows × columns sums of `depth` products in float64. */
function product(
  rows: number,
  columns: number,
  depth: number,
  of: (row: number, column: number, i: number) => number,
): Float64Array {
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0;
    for (let i = 0; i < depth; i++) sum += of(Math.floor(at / columns), at % columns, i);
    return sum;
  });
}

async function expectProducts(rowCount: number): Promise<void> {
  const device = Device.get();
  const make = (what: string, rows: number, columns: number): [Float32Array, Tensor] => {
    const data = Float32Array.from(draw(uniform(-1, 1), `linear/${what}`, rows * columns));
    return [data, tensor(data, [rows, columns], { requiresGrad: true })];
  };
  const [x, xTensor] = make('x', rowCount, INPUTS);
  const [w, wTensor] = make('w', OUTPUTS, INPUTS);
  const [dy, dyTensor] = make('dy', rowCount, OUTPUTS);
  device.trace(true);
  const yTensor = linear(xTensor, wTensor);
  backward(yTensor, dyTensor);
  device.trace(false);
  const at = (a: Float32Array, columns: number, row: number, column: number): number =>
    a[row * columns + column] ?? Number.NaN;
  const wanted = {
    y: product(rowCount, OUTPUTS, INPUTS, (row, out, i) => at(x, INPUTS, row, i) * at(w, INPUTS, out, i)),
    dx: product(
      rowCount,
      INPUTS,
      OUTPUTS,
      (row, i, out) => at(dy, OUTPUTS, row, out) * at(w, INPUTS, out, i),
    ),
    dw: product(
      OUTPUTS,
      INPUTS,
      rowCount,
      (out, i, row) => at(dy, OUTPUTS, row, out) * at(x, INPUTS, row, i),
    ),
  };
  expectClose('y', await yTensor.data(), wanted.y, 1e-5);
  expectClose('dx', (await xTensor.grad?.data()) ?? [], wanted.dx, 1e-5);
  expectClose('dw', (await wTensor.grad?.data()) ?? [], wanted.dw, 1e-5);
  const spans = await device.takeSpans();
  const data = spans.find(({ op }) => op === 'linearBackwardData');
  const isa = device.arithmetic.instructionSet;
  const isOwn = isa === 'AVX2' || (isa === 'AVX-512' && rowCount <= 3);
  const own = rowCount <= 3 ? 'read once' : 'few rows';
  expect(data?.implementation).to.equal(isOwn ? own : 'sgemm');
}

describe('linear of several blocks against float64', () => {
  for (const rows of [1, 2, 3, 37])
    it(`forward, and both gradients, of ${rows} rows`, () => tidy(() => expectProducts(rows)));
});
