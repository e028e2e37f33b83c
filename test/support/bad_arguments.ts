import { expect } from 'chai';
import { Device } from '../../lib/device.js';
import { NodeCudnnError, NonFiniteError } from '../../lib/errors.js';
import type { DType, TypedArray } from '../../lib/native.js';
import { tidy } from '../../lib/scope.js';
import * as tensors from '../../lib/tensor.js';
import { tables } from '../cases/index.js';
import { fillOf, type OpTable, type Params, type RefusedCase } from './op_table.js';
import { drawInputs, makeTensors } from './run_case.js';

const { empty } = tensors;
type Tensor = tensors.Tensor;
type ErrorName = 'ArgumentError' | 'ShapeError' | 'DeviceError' | 'DisposedError';
type Arguments = Pick<RefusedCase, 'name' | 'inputs' | 'params'>;

/** Calls the operation with one argument changed, and expects that error at the call, in the one form of messages. */
function expectRefusal(
  device: Device,
  table: OpTable,
  given: Arguments,
  error: ErrorName,
  change: (inputs: Record<string, Tensor>) => Params,
): void {
  const thrown = tidy(() => {
    const inputs = makeTensors(given, drawInputs(table, given), device);
    const params = change(inputs);
    const { liveBuffers } = device.memory();
    try {
      table.run(inputs, params, device);
    } catch (caught) {
      expect(device.memory().liveBuffers, 'live buffers').to.equal(liveBuffers);
      return caught;
    }
    return undefined;
  });
  if (!(thrown instanceof Error)) expect.fail(`no ${error} was thrown`);
  expect(`${thrown.name}: ${thrown.message}`).to.match(
    new RegExp(`^${error}: Expected .+ for .+ but received .+`),
  );
}

/** The parameters with a number replaced: each in turn where there are several. */
function changes(given: Arguments, param: string, number: unknown): Params[] {
  const value = given.params[param];
  const changed = Array.isArray(value)
    ? value.map((_, at) => value.map((each, i) => (i === at ? number : each)))
    : [number];
  return changed.map((each) => ({ ...given.params, [param]: each }) as Params);
}

/** An argument is refused at the call, or not at all. */
async function expectTakenOrThrown(
  device: Device,
  table: OpTable,
  given: Arguments,
  params: Params,
): Promise<void> {
  await tidy(async () => {
    const inputs = makeTensors(given, drawInputs(table, given), device);
    let outputs: Readonly<Record<string, Tensor>>;
    try {
      outputs = table.run(inputs, params, device);
    } catch (error) {
      expect(error).to.be.instanceOf(NodeCudnnError);
      return;
    }
    const waits = [...Object.values(outputs).map((y) => y.data<TypedArray>()), device.synchronize()];
    for (const outcome of await Promise.allSettled<unknown>(waits)) {
      // Weights that overflow are told of in this way.
      if (outcome.status === 'rejected') expect(outcome.reason).to.be.instanceOf(NonFiniteError);
    }
  });
}

/** The case with the most inputs, and of those one that is no scalar. */
function typicalCase(table: OpTable): Arguments {
  const weight = ({ inputs }: Arguments) =>
    Object.values(inputs).reduce((sum, { shape }) => sum + 100 + shape.length, 0);
  const [typical] = table.cases.toSorted((a, b) => weight(b) - weight(a));
  if (typical === undefined) throw new Error(`no case of ${table.op}`);
  return typical;
}

const NOT_TENSORS: readonly [string, unknown][] = [
  ['a number', 3],
  ['a string', 'x'],
  ['an array', [1, 2]],
  ['a typed array', new Float32Array(4)],
  [
    'something that looks like a tensor',
    { shape: [1], dtype: 'float32', device: Device.get('cpu'), handle: {}, size: 1 },
  ],
];

/** A tensor as another copy of the package, a worker's or a test runner's realm's, has it: of a class of its own. */
const { full: fullElsewhere } = (await import(
  new URL('../../lib/tensor.ts?elsewhere', import.meta.url).href
)) as typeof tensors;

/** The tests of every argument that has to be refused, or taken; `other` is another device. */
export function testBadArguments(device: () => Device, other: () => Device): void {
  for (const table of tables.filter(({ composed }) => !composed)) {
    describe(table.op, () => {
      const typical = typicalCase(table);
      const names = Object.keys(typical.inputs);
      for (const input of names) {
        const shape = typical.inputs[input]?.shape ?? [];
        const dtype = fillOf(typical.inputs[input] ?? { shape }).dtype;
        const optional = table.cases.some(({ inputs }) => inputs[input] === undefined);
        const replaced = (what: string, error: ErrorName, value: () => unknown) =>
          it(`${input}: ${what}`, () => {
            expectRefusal(device(), table, typical, error, (inputs) => {
              inputs[input] = value() as Tensor;
              return typical.params;
            });
          });

        it(`${input}: disposed`, () => {
          expectRefusal(device(), table, typical, 'DisposedError', (inputs) => {
            inputs[input]?.dispose();
            return typical.params;
          });
        });
        const others: readonly DType[] = table.anyDtype ? [] : ['float32', 'int32', 'uint8'];
        for (const other of others.filter((each) => each !== dtype)) {
          replaced(`${other} instead of ${dtype}`, 'ArgumentError', () =>
            empty(shape, { dtype: other, device: device() }),
          );
        }
        if (!table.anyShape) {
          replaced('a dimension more', 'ShapeError', () => empty([...shape, 1], { dtype, device: device() }));
          if (shape.length > 0)
            replaced('a dimension less', 'ShapeError', () =>
              empty(shape.slice(1), { dtype, device: device() }),
            );
        }
        replaced('of another environment', 'ArgumentError', () => fullElsewhere(shape, 0, { dtype }));
        if (names.length > 1) {
          replaced('every dimension larger by one', 'ShapeError', () =>
            empty(
              shape.map((dim) => dim + 1),
              { dtype, device: device() },
            ),
          );
          replaced('on another device', 'DeviceError', () => empty(shape, { dtype, device: other() }));
        }
        const missing: readonly [string, unknown][] = [
          ['undefined', undefined],
          ['null', null],
        ];
        for (const [what, value] of optional ? NOT_TENSORS : [...NOT_TENSORS, ...missing]) {
          replaced(what, 'ArgumentError', () => value);
        }
      }

      const numeric = new Map<string, Arguments>();
      for (const opCase of table.cases) {
        for (const [param, value] of Object.entries(opCase.params)) {
          if (typeof value === 'number' || Array.isArray(value)) numeric.set(param, opCase);
        }
      }
      for (const [param, opCase] of numeric) {
        const fraction: readonly unknown[] = table.real.includes(param) ? [] : [1.5];
        for (const bad of [
          Number.NaN,
          Number.POSITIVE_INFINITY,
          Number.NEGATIVE_INFINITY,
          '1',
          ...fraction,
        ]) {
          it(`${param}: ${bad} of type ${typeof bad}`, () => {
            for (const params of changes(opCase, param, bad)) {
              expectRefusal(device(), table, opCase, 'ArgumentError', () => params);
            }
          });
        }
        for (const extreme of [-1, 0, 0.5, 2 ** 53, 1e-300, 1e300]) {
          it(`${param}: ${extreme}, if the call takes it, fails no operation, but for overflow`, async () => {
            for (const params of changes(opCase, param, extreme))
              await expectTakenOrThrown(device(), table, opCase, params);
          });
        }
      }

      for (const refused of table.refused) {
        it(`refuses ${refused.name}`, () => {
          expectRefusal(device(), table, refused, refused.error, () => refused.params);
        });
      }
    });
  }
}
