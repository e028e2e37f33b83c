import { expect } from 'chai';
import type { DeviceLike } from '../../lib/device.js';
import type { TypedArray } from '../../lib/native.js';
import { tables } from '../cases/index.js';
import { draw, uniform } from './fill.js';
import { fillOf, type OpCase, type OpTable } from './op_table.js';
import { cotangent, differentiable, drawInputs, nameOf, runCase, runForward } from './run_case.js';

/** Of the root of the sum of the squared contributions of each element of the input. */
const TOLERANCE = 1e-3;
const FLOAT32_EPSILON = 2 ** -23;

/**
 * Compares <gradient, Δ> with the change of <f, c> from x − Δ/2 to x + Δ/2, Δ and the cotangent c random. Δ is taken
 * from the rounded inputs, so it is exact; what remains is the rounding of f, and its third derivative.
 */
async function checkGradient(
  table: OpTable,
  opCase: OpCase,
  input: string,
  device: DeviceLike,
): Promise<void> {
  const name = `${nameOf(table, opCase)}/${input}`;
  const values = drawInputs(table, opCase);
  const spec = opCase.inputs[input];
  const x = values[input];
  if (spec === undefined || x === undefined) throw new Error(`no input ${name}`);
  const { gradients, outputs } = await runCase(table, opCase, device, [input]);
  const gradient = gradients[input] ?? [];
  const y = outputs.y ?? new Float32Array();
  const direction = draw(uniform(-1, 1), `${name}/direction`, x.length);
  const move = (sign: number) =>
    Float32Array.from(x, (value, i) => value + sign * fillOf(spec).step * (direction[i] ?? 0));
  const [low, high] = [move(-1), move(1)];
  const evaluate = async (at: TypedArray) =>
    (await runForward(table, opCase, { ...values, [input]: at }, device)).y ?? [];
  const [yLow, yHigh] = [await evaluate(low), await evaluate(high)];

  const c = cotangent(table, opCase, y.length);
  let [numeric, rounding] = [0, 0];
  c.forEach((weight, i) => {
    numeric += weight * ((yHigh[i] ?? 0) - (yLow[i] ?? 0));
    rounding += (weight * (y[i] ?? 0)) ** 2;
  });
  let [analytic, size] = [0, 0];
  high.forEach((value, i) => {
    const part = (gradient[i] ?? 0) * (value - (low[i] ?? 0));
    analytic += part;
    size += part ** 2;
  });
  const allowed = TOLERANCE * Math.sqrt(size) + 4 * FLOAT32_EPSILON * Math.sqrt(rounding);
  const error = Math.abs(numeric - analytic);
  expect(
    error <= allowed,
    `${name}: <gradient, Δ> is ${analytic}, differences give ${numeric}; ${allowed} is allowed`,
  ).to.equal(true);
}

/** The tests of every gradient on a device. */
export function testGradients(device: () => DeviceLike): void {
  for (const table of tables) {
    for (const opCase of table.cases) {
      if (opCase.kinks !== undefined) continue;
      for (const input of differentiable(table, opCase)) {
        it(`${nameOf(table, opCase)}, ${input}`, () => checkGradient(table, opCase, input, device()));
      }
    }
  }
}
