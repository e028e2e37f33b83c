import { backward, noGrad } from '../../lib/autograd.js';
import { Device, type DeviceLike } from '../../lib/device.js';
import type { TypedArray } from '../../lib/native.js';
import { tidy } from '../../lib/scope.js';
import { sizeOf, type Tensor, tensor } from '../../lib/tensor.js';
import { draw, uniform } from './fill.js';
import { fillOf, type InputSpec, type OpCase, type OpTable } from './op_table.js';

type Arrays = Readonly<Record<string, TypedArray>>;

export interface CaseResult {
  readonly outputs: Arrays;
  /** Of Σ y · cotangent, by input. */
  readonly gradients: Arrays;
}

export function nameOf(table: OpTable, opCase: Pick<OpCase, 'name'>): string {
  return `${table.op}/${opCase.name}`;
}

export function drawInput(
  table: OpTable,
  opCase: Pick<OpCase, 'name'>,
  input: string,
  spec: InputSpec,
): TypedArray {
  return draw(fillOf(spec), `${nameOf(table, opCase)}/${input}`, sizeOf(spec.shape));
}

export function drawInputs(table: OpTable, opCase: Pick<OpCase, 'name' | 'inputs'>): Arrays {
  return mapValues(opCase.inputs, (spec, input) => drawInput(table, opCase, input, spec));
}

/** The inputs that have gradients in this case. */
export function differentiable(table: OpTable, opCase: OpCase): string[] {
  return table.gradients.filter((input) => {
    const spec = opCase.inputs[input];
    return spec !== undefined && fillOf(spec).dtype === 'float32';
  });
}

/** The random direction that gradients are taken of. */
export function cotangent(table: OpTable, opCase: OpCase, size: number): Float32Array {
  return Float32Array.from(draw(uniform(-1, 1), cotangentName(table, opCase), size));
}

export function cotangentName(table: OpTable, opCase: OpCase): string {
  return `${nameOf(table, opCase)}/dy`;
}

export function makeTensors(
  opCase: Pick<OpCase, 'inputs'>,
  values: Arrays,
  device: DeviceLike,
  requiresGrad: readonly string[] = [],
): Record<string, Tensor> {
  return mapValues(opCase.inputs, ({ shape }, input) =>
    tensor(values[input] ?? new Float32Array(), shape, {
      device,
      requiresGrad: requiresGrad.includes(input),
    }),
  );
}

/** Runs a case and its backward on a device; `wanted` are the inputs whose gradients are computed. */
export function runCase(
  table: OpTable,
  opCase: OpCase,
  device: DeviceLike,
  wanted: readonly string[] = differentiable(table, opCase),
): Promise<CaseResult> {
  return tidy(async () => {
    const inputs = makeTensors(opCase, drawInputs(table, opCase), device, wanted);
    const outputs = table.run(inputs, opCase.params, Device.get(device));
    if (wanted.length > 0) {
      const y = only(outputs);
      backward(y, tensor(cotangent(table, opCase, y.size), y.shape, { device: y.device }));
    }
    const gradients: Record<string, TypedArray> = {};
    for (const input of wanted) {
      const gradient = inputs[input]?.grad;
      if (gradient === undefined) throw new Error(`${nameOf(table, opCase)}: no gradient for ${input}`);
      gradients[input] = await gradient.data();
    }
    return { outputs: await read(outputs), gradients };
  });
}

/** Runs a case as in inference: nothing is kept for a backward. */
export function runForward(
  table: OpTable,
  opCase: OpCase,
  values: Arrays,
  device: DeviceLike,
): Promise<Arrays> {
  return tidy(() =>
    noGrad(async () => {
      const outputs = table.run(makeTensors(opCase, values, device), opCase.params, Device.get(device));
      return read(outputs);
    }),
  );
}

async function read(outputs: Readonly<Record<string, Tensor>>): Promise<Arrays> {
  const arrays: Record<string, TypedArray> = {};
  for (const [name, y] of Object.entries(outputs)) arrays[name] = await y.data<TypedArray>();
  return arrays;
}

function only(outputs: Readonly<Record<string, Tensor>>): Tensor {
  const [y, ...others] = Object.values(outputs);
  if (y === undefined || others.length > 0) throw new Error('an operation with gradients has one output');
  return y;
}

function mapValues<T, U>(
  object: Readonly<Record<string, T>>,
  f: (value: T, key: string) => U,
): Record<string, U> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, f(value, key)]));
}
