import { types } from 'node:util';
import { expectFinite, expectInteger, expectOneOf } from './check.js';
import { Device, type DeviceLike } from './device.js';
import { ArgumentError, DisposedError, expected, ShapeError } from './errors.js';
import { DTYPES, type DType, type Handle, type TypedArray } from './native.js';
import { type Disposable, keep, register } from './scope.js';

export type Shape = readonly number[];

/** What autograd.ts hangs on the output of a recorded operation. @internal */
export interface GraphLink {
  /** The output was disposed: the graph stays as long as another output needs it. */
  release(): void;
}

/** What the views of one memory share. @internal */
export interface Memory {
  /** So many times were the numbers changed in place. */
  changes: number;
  /** So many tensors, not disposed, show it. */
  views: number;
}

/**
 * An array on a device, row-major. Images are `[N, H, W, C]`.
 *
 * Operations on it are enqueued and return at once; `data()` waits. Its memory is freed by `dispose()`, by `using`, or
 * by the `tidy()` around; the garbage collector frees what was forgotten, later.
 */
export class Tensor implements Disposable {
  #requiresGrad = false;
  /** Whether it requires a gradient, or did: a module counts it among its parameters then, frozen ones too. @internal */
  isParameter = false;
  /** d loss / d this, after `backward(loss)`. Owned by this tensor. */
  grad: Tensor | undefined;
  /** @internal */
  scope: Disposable['scope'];
  /** @internal */
  link: GraphLink | undefined;
  #handle: Handle | undefined;

  /** @internal */
  constructor(
    handle: Handle,
    readonly shape: Shape,
    readonly dtype: DType,
    readonly device: Device,
    /** @internal */
    readonly memory: Memory = { changes: 0, views: 0 },
  ) {
    this.#handle = handle;
    memory.views++;
    register(this);
  }

  /**
   * Whether backward accumulates into `grad`: of leaves, such as a model's parameters. A parameter that no longer requires
   * one is frozen: it stays a parameter, and keeps its numbers.
   */
  get requiresGrad(): boolean {
    return this.#requiresGrad;
  }

  set requiresGrad(required: boolean) {
    this.#requiresGrad = required;
    this.isParameter ||= required;
  }

  /**
   * @internal
   * @throws {DisposedError}
   */
  get handle(): Handle {
    if (this.#handle === undefined)
      throw new DisposedError('Expected live tensor for tensor but received one that was disposed');
    return this.#handle;
  }

  get disposed(): boolean {
    return this.#handle === undefined;
  }

  /** The number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /**
   * The numbers, when all operations before have run.
   * @throws {OperationError} if this tensor was computed from the output of an operation that failed.
   */
  data<T extends TypedArray = TypedArray>(): Promise<T> {
    return this.device.backend.read(this.handle, new ARRAYS[this.dtype](this.size) as T);
  }

  /** The number of a tensor of one element. */
  async item(): Promise<number> {
    if (this.size !== 1) throw new ShapeError(expected('one element', 'tensor', this.shape));
    const [value = Number.NaN] = await this.data<TypedArray>();
    return value;
  }

  /**
   * Overwrites `data.length` elements from `offset` on. The array is copied before the call returns. Writing all of
   * the elements makes a tensor valid again that a failed operation spoilt.
   */
  write(data: TypedArray, offset = 0): void {
    expectInteger('offset', offset, 0, this.size);
    if (dtypeOf(data) !== this.dtype) throw new ArgumentError(expected(`${this.dtype} array`, 'data', data));
    if (offset + data.length > this.size) {
      throw new ShapeError(expected(`at most ${this.size - offset} elements`, 'data', data.length));
    }
    this.#write(data, offset, data.length === this.size);
  }

  /** Writes all of the elements of tensors, which are parts of one, piece by piece. @internal */
  static async writePieces(parts: readonly Tensor[], pieces: AsyncIterable<TypedArray>): Promise<void> {
    let start = 0;
    for await (const piece of pieces) {
      let first = -start;
      for (const part of parts) {
        const own = piece.subarray(Math.max(first, 0), Math.max(first + part.size, 0));
        if (own.length > 0) part.#write(own, Math.max(-first, 0), true);
        first += part.size;
      }
      start += piece.length;
    }
  }

  #write(data: TypedArray, offset: number, whole: boolean): void {
    for (let start = 0; start < data.length; start += WRITE_ELEMENTS) {
      const part = data.subarray(start, start + WRITE_ELEMENTS);
      this.device.backend.write(this.handle, offset + start, part, whole);
    }
    this.memory.changes++;
  }

  /** Another tensor of the same memory, in another shape of the same size; without gradient. @internal */
  view(shape: Shape): Tensor {
    return new Tensor(
      this.device.backend.view(this.handle, shape),
      shape,
      this.dtype,
      this.device,
      this.memory,
    );
  }

  /** Frees the memory, as soon as no other view and no graph needs it. */
  dispose(): void {
    if (this.#handle === undefined) return;
    keep(this);
    this.device.backend.release(this.#handle);
    this.#handle = undefined;
    this.memory.views--;
    this.grad?.dispose();
    this.link?.release();
    this.link = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What console.log shows. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  toString(): string {
    return `Tensor(${this.dtype} [${this.shape.join(', ')}] on ${this.device.name}${this.disposed ? ', disposed' : ''})`;
  }
}

/** One call into the addon copies at most so much, which takes a few ms; `write` makes as many as it needs. */
const WRITE_ELEMENTS = 1 << 20;

export interface TensorOptions {
  /** Default: `float32`; of a typed array: its own. */
  dtype?: DType;
  /** Default: `cpu`. */
  device?: DeviceLike;
  requiresGrad?: boolean;
}

export type NestedNumbers = number | readonly NestedNumbers[];

/**
 * A tensor with these numbers: a typed array, a number, or nested arrays (whose nesting is the shape).
 * @param shape of a typed array or a flat one; default `[data.length]`
 * @throws {ShapeError} where data and shape do not agree
 */
export function tensor(data: TypedArray | NestedNumbers, shape?: Shape, options: TensorOptions = {}): Tensor {
  const flat = isTypedArray(data) ? data : flatten(data, options.dtype ?? 'float32');
  const dims = shape ?? (isTypedArray(data) ? [data.length] : nesting(data));
  if (options.dtype !== undefined && dtypeOf(flat) !== options.dtype) {
    throw new ArgumentError(expected(`${options.dtype} array`, 'data', data));
  }
  const size = sizeOf(checkShape(dims));
  if (flat.length !== size) throw new ShapeError(expected(`${size} elements`, 'data', flat.length));
  const result = empty(dims, { ...options, dtype: dtypeOf(flat) });
  result.write(flat);
  return result;
}

/** A tensor whose numbers are not set. */
export function empty(shape: Shape, options: TensorOptions = {}): Tensor {
  const device = Device.get(options.device);
  const dtype = options.dtype ?? 'float32';
  const code = DTYPES.indexOf(expectOneOf('dtype', dtype, DTYPES));
  const dims = checkShape(shape);
  const requiresGrad = options.requiresGrad ?? false;
  if (requiresGrad && dtype !== 'float32')
    throw new ArgumentError(expected('float32 of a tensor that requires a gradient', 'dtype', dtype));
  const result = new Tensor(device.backend.empty(device.index, code, dims), dims, dtype, device);
  result.requiresGrad = requiresGrad;
  return result;
}

/**
 * A tensor of one value.
 * @throws {ArgumentError} where the dtype has no such value
 */
export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  expectNumber('value', value, options.dtype ?? 'float32');
  const result = empty(shape, options);
  result.device.backend.fill({ value }, result.handle);
  return result;
}

export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 0, options);
}

export interface RandomOptions extends TensorOptions {
  seed: number;
  /** Sequences of different streams are independent. Default 0. */
  stream?: number;
  /** Where in the sequence to start, in blocks of four numbers. Default 0. */
  offset?: number;
}

/** Normal numbers: Box–Muller over Philox4x32-10, equal on every machine up to rounding. */
export function randn(shape: Shape, options: RandomOptions & { mean?: number; std?: number }): Tensor {
  const a = expectFinite('mean', options.mean ?? 0);
  const b = expectFinite('std', options.std ?? 1);
  const params = { a, b, ...randomParams(options) };
  const result = empty(shape, options);
  result.device.backend.randomNormal(params, result.handle);
  return result;
}

/** Uniform numbers in [low, high), from Philox4x32-10. */
export function rand(shape: Shape, options: RandomOptions & { low?: number; high?: number }): Tensor {
  const a = expectFinite('low', options.low ?? 0);
  const b = expectFinite('high', options.high ?? 1);
  if (a > b) throw new ArgumentError(expected(`at most high = ${b}`, 'low', a));
  const params = { a, b, ...randomParams(options) };
  const result = empty(shape, options);
  result.device.backend.randomUniform(params, result.handle);
  return result;
}

function randomParams(options: RandomOptions) {
  expectOneOf('dtype', options.dtype ?? 'float32', ['float32']);
  return {
    seed: expectInteger('seed', options.seed, 0),
    stream: expectInteger('stream', options.stream ?? 0, 0),
    offset: expectInteger('offset', options.offset ?? 0, 0),
  };
}

export function sizeOf(shape: Shape): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** At most eight dimensions, each positive. */
export function checkShape(shape: Shape): Shape {
  if (!Array.isArray(shape)) throw new ArgumentError(expected('array of dimensions', 'shape', shape));
  if (shape.length > 8) throw new ShapeError(expected('at most 8 dimensions', 'shape', shape));
  const dims = shape.map((dim, i) => expectInteger(`shape[${i}]`, dim, 1));
  if (!Number.isSafeInteger(sizeOf(dims) * 4))
    throw new ShapeError(expected('size that a machine can address', 'shape', shape));
  return dims;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** Of any realm: a vm context has classes of its own. */
function isTypedArray(value: unknown): value is TypedArray {
  return types.isFloat32Array(value) || types.isInt32Array(value) || types.isUint8Array(value);
}

function dtypeOf(data: TypedArray): DType {
  if (types.isFloat32Array(data)) return 'float32';
  if (types.isInt32Array(data)) return 'int32';
  if (types.isUint8Array(data)) return 'uint8';
  throw new ArgumentError(expected('Float32Array, Int32Array or Uint8Array', 'data', data));
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array } as const;

const RANGES = { float32: [0, 0], int32: [-(2 ** 31), 2 ** 31 - 1], uint8: [0, 255] } as const;

/** What a tensor of that dtype can hold; float32 rounds, and holds NaN and infinities. */
function expectNumber(name: string, value: number, dtype: DType): void {
  if (typeof value !== 'number') throw new ArgumentError(expected('number', name, value));
  const [low, high] = RANGES[expectOneOf('dtype', dtype, DTYPES)];
  if (dtype !== 'float32') expectInteger(`${dtype} ${name}`, value, low, high);
}

function flatten(data: NestedNumbers, dtype: DType): TypedArray {
  const flat = (Array.isArray(data) ? data.flat(8) : [data]) as number[];
  for (const value of flat) expectNumber('data', value, dtype);
  return ARRAYS[dtype].from(flat);
}

function nesting(data: NestedNumbers): number[] {
  if (typeof data === 'number') return [];
  const inner = data.map(nesting);
  const [first = []] = inner;
  for (const other of inner) {
    if (!sameShape(first, other)) throw new ShapeError(expected('arrays of equal length', 'data', other));
  }
  return [data.length, ...first];
}
