import type { Device } from '../../lib/device.js';
import type { Shape, Tensor } from '../../lib/tensor.js';
import { type Fill, uniform } from './fill.js';

export interface InputSpec {
  readonly shape: Shape;
  /** Default: uniform in [-1, 1). */
  readonly fill?: Fill;
}

export type ParamValue = number | boolean | readonly number[] | undefined;
export type Params = Readonly<Record<string, ParamValue>>;
export type Inputs = Readonly<Record<string, Tensor>>;
/** What an operation computes, by name; a single tensor is `y`. */
export type Outputs = Readonly<Record<string, Tensor>>;

export interface OpCase {
  /** Unique within the table. */
  readonly name: string;
  /** In the order of the operation's arguments. */
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly params: Params;
  /** max|a − b| / max|b| that is allowed instead of 1e-5, and why. */
  readonly tolerance?: { readonly relative: number; readonly reason: string };
  /** Why finite differences say nothing here. */
  readonly kinks?: string;
}

/** Arguments that the operation must refuse. */
export interface RefusedCase {
  readonly name: string;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly params: Params;
  readonly error: 'ArgumentError' | 'ShapeError';
}

/**
 * All that the tests know of an operation. Correctness, gradients, refusal of bad arguments and the comparison of
 * backends follow from it.
 */
export interface OpTable {
  readonly op: string;
  /**
   * The same in Python, evaluated by golden/make_golden.py: a tensor, or a dict of them. In scope are the inputs and
   * parameters by name (None where a case has none), `params`, `torch`, `F` and what golden/reference.py defines.
   */
  readonly torch: string;
  readonly run: (inputs: Inputs, params: Params, device: Device) => Outputs;
  /** The inputs that have gradients. */
  readonly gradients: readonly string[];
  /** Several operations in one, which check their arguments themselves. */
  readonly composed: boolean;
  /** Inputs whose shape is free, as far as others need not agree with it. */
  readonly anyShape: boolean;
  readonly anyDtype: boolean;
  /** The numeric parameters that need not be integers. */
  readonly real: readonly string[];
  readonly cases: readonly OpCase[];
  readonly refused: readonly RefusedCase[];
}

/** `I` and `P` are the inputs and the parameters of `run`, optional ones marked so. */
interface Definition<I extends object, P extends object> {
  op: string;
  torch: string;
  run: (inputs: I, params: P, device: Device) => Tensor | Outputs;
  gradients?: readonly (keyof I & string)[];
  composed?: boolean;
  anyShape?: boolean;
  anyDtype?: boolean;
  real?: readonly (keyof P & string)[];
  cases: readonly (Omit<OpCase, 'inputs' | 'params'> & SpecsOf<I> & { params: P })[];
  refused?: readonly (Omit<RefusedCase, 'inputs' | 'params'> & SpecsOf<I> & { params: P })[];
}
interface SpecsOf<I extends object> {
  inputs: { [K in keyof I]: InputSpec };
}

export function defineOp<I extends object, P extends object>(definition: Definition<I, P>): OpTable {
  const {
    run,
    gradients = [],
    composed = false,
    anyShape = false,
    anyDtype = false,
    real = [],
    refused = [],
  } = definition;
  return {
    ...definition,
    gradients,
    composed,
    anyShape,
    anyDtype,
    real,
    cases: definition.cases as unknown as readonly OpCase[],
    refused: refused as unknown as readonly RefusedCase[],
    run: (inputs, params, device) => {
      const result = run(inputs as I, params as P, device);
      return 'handle' in result ? { y: result as Tensor } : result;
    },
  };
}

export function fillOf(spec: InputSpec): Fill {
  return spec.fill ?? uniform(-1, 1);
}
