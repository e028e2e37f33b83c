import { record } from '../autograd.js';
import { expectFinite } from '../check.js';
import type { Tensor } from '../tensor.js';
import { expectSameShape, expectTensors, output } from './check.js';

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
