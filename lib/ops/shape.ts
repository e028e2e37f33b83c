import { record } from '../autograd.js';
import { Device, type DeviceLike } from '../device.js';
import { ArgumentError, DeviceError, expected, ShapeError } from '../errors.js';
import { checkShape, empty, type Shape, sizeOf, Tensor } from '../tensor.js';

/** The same numbers in another shape of the same size. No copy is made. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  if (!(x instanceof Tensor)) throw new ArgumentError(expected('tensor', 'x', x));
  const dims = checkShape(shape);
  if (sizeOf(dims) !== x.size) throw new ShapeError(expected(`${x.size} elements`, 'shape', shape));
  const original = x.shape;
  return record('reshape', x.view(dims), [x], () => (dy) => [dy.view(original)]);
}

/**
 * A copy on another device of the same backend; both streams go on in their own order.
 * @throws {DeviceError} where the backends differ
 */
export function to(x: Tensor, device: DeviceLike): Tensor {
  if (!(x instanceof Tensor)) throw new ArgumentError(expected('tensor', 'x', x));
  const { device: source } = x;
  const target = Device.get(device);
  const { label } = target;
  return record('to', transfer(x, target), [x], () => (dy) => [
    source.labelled(label, () => transfer(dy, source)),
  ]);
}

function transfer(x: Tensor, device: Device): Tensor {
  if (x.device.backend !== device.backend) {
    throw new DeviceError(
      `${expected(`device of the same backend as ${x.device}`, 'device', device.name)}: between backends go by data() and tensor()`,
    );
  }
  const y = empty(x.shape, { dtype: x.dtype, device });
  device.backend.transfer(x.handle, y.handle);
  return y;
}
