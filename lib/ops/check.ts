import { ArgumentError, DeviceError, expected, ShapeError } from '../errors.js';
import type { DType } from '../native.js';
import { empty, type Shape, sameShape, Tensor } from '../tensor.js';

/**
 * Checks what an operation was given, all tensors of one call.
 * @throws {ArgumentError} for something that is no tensor, or one of another dtype
 * @throws {DisposedError}
 * @throws {DeviceError} for tensors of different devices
 */
export function expectTensors(dtypes: Record<string, DType>, tensors: Record<string, Tensor>): void {
  let first: Tensor | undefined;
  for (const [name, value] of Object.entries(tensors)) {
    const dtype = dtypes[name] ?? 'float32';
    if (!(value instanceof Tensor)) throw new ArgumentError(expected('tensor', name, value));
    if (value.dtype !== dtype) throw new ArgumentError(expected(`${dtype} tensor`, name, value.dtype));
    void value.handle;
    first ??= value;
    if (value.device !== first.device) {
      throw new DeviceError(expected(`tensor on ${first.device.name}`, name, value.device.name));
    }
  }
}

/** @throws {ShapeError} where a dimension is another; null admits any */
export function expectShape(name: string, value: Tensor, shape: readonly (number | null)[]): void {
  const fits =
    value.shape.length === shape.length && shape.every((dim, i) => dim === null || dim === value.shape[i]);
  if (fits) return;
  const wanted = shape.map((dim) => dim ?? '*').join(', ');
  throw new ShapeError(expected(`shape [${wanted}]`, name, value.shape));
}

export function expectSameShape(name: string, value: Tensor, other: Tensor): void {
  if (!sameShape(value.shape, other.shape)) expectShape(name, value, other.shape);
}

/** Dimension `axis` of a tensor whose rank was checked. */
export function dimension(value: Tensor, axis: number): number {
  return value.shape[axis] ?? 1;
}

/** An output beside `input`, on its device. */
export function output(input: Tensor, shape: Shape = input.shape, dtype: DType = 'float32'): Tensor {
  return empty(shape, { dtype, device: input.device });
}

/** The positions of a window of `kernel` (dilated) that moves by `stride` over `size` elements padded on both sides. */
export function windows(
  name: string,
  size: number,
  kernel: number,
  stride: number,
  padding: number,
  dilation = 1,
): number {
  const extent = dilation * (kernel - 1) + 1;
  const count = Math.floor((size + 2 * padding - extent) / stride) + 1;
  if (count < 1) {
    throw new ShapeError(expected(`at least ${extent - 2 * padding}`, `${name} of x`, size));
  }
  return count;
}
