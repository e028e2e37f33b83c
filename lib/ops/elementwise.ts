import { record } from '../autograd.js';
import { expectFinite } from '../check.js';
import { expected, ShapeError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { expectSameShape, expectShape, expectTensors, output } from './check.js';

/** max(0, x) */
export function relu(x: Tensor): Tensor {
  expectTensors({}, { x });
  const y = output(x);
  const { backend } = x.device;
  backend.relu(x.handle, y.handle);
  return record('relu', y, [x], (tape) => {
    const saved = tape.save(y);
    return (dy) => {
      const dx = output(dy);
      backend.reluBackward(saved.handle, dy.handle, dx.handle);
      return [dx];
    };
  });
}

export function tanh(x: Tensor): Tensor {
  expectTensors({}, { x });
  const y = output(x);
  const { backend } = x.device;
  backend.tanh(x.handle, y.handle);
  return record('tanh', y, [x], (tape) => {
    const saved = tape.save(y);
    return (dy) => {
      const dx = output(dy);
      backend.tanhBackward(saved.handle, dy.handle, dx.handle);
      return [dx];
    };
  });
}

/** a + b, of equal shapes. */
export function add(a: Tensor, b: Tensor): Tensor {
  expectTensors({}, { a, b });
  expectSameShape('b', b, a);
  const y = output(a);
  a.device.backend.add(a.handle, b.handle, y.handle);
  return record('add', y, [a, b], () => (dy) => [dy.view(dy.shape), dy.view(dy.shape)]);
}

/**
 * Two tensors side by side along the last axis, such as the channels of two columns.
 * @param a `[…, A]`
 * @param b `[…, B]`
 * @returns `[…, A + B]`
 */
export function cat(a: Tensor, b: Tensor): Tensor {
  expectTensors({}, { a, b });
  const rows = a.shape.slice(0, -1);
  const [left, right] = [a.shape.at(-1), b.shape.at(-1)];
  if (left === undefined) throw new ShapeError(expected('at least one dimension', 'a', a.shape));
  expectShape('b', b, [...rows, null]);
  const y = output(a, [...rows, left + (right ?? 0)]);
  const { backend } = a.device;
  backend.cat(a.handle, b.handle, y.handle);
  const shapes = [a.shape, b.shape];
  return record('cat', y, [a, b], () => (dy, needs) => {
    const [da = null, db = null] = shapes.map((shape, i) => (needs[i] ? output(dy, shape) : null));
    backend.catBackward(dy.handle, da?.handle ?? null, db?.handle ?? null);
    return [da, db];
  });
}

/** factor · x */
export function scale(x: Tensor, factor: number): Tensor {
  expectTensors({}, { x });
  const params = { factor: expectFinite('factor', factor) };
  const { backend } = x.device;
  const y = output(x);
  backend.scale(params, x.handle, y.handle);
  return record('scale', y, [x], () => (dy) => {
    const dx = output(dy);
    backend.scale(params, dy.handle, dx.handle);
    return [dx];
  });
}
