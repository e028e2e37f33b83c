import { record } from '../autograd.js';
import type { Tensor } from '../tensor.js';
import { biasReluBackward } from './bias_relu.js';
import { dimension, expectShape, expectTensors, output } from './check.js';

/**
 * relu?(x · weightᵀ + bias), a fully connected layer.
 * @param x `[N, in]`
 * @param weight `[out, in]`
 * @param options.bias `[out]`
 * @param options.relu fused: a NaN may come out as 0, as from oneDNN and cuDNN
 * @returns `[N, out]`
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  options: { bias?: Tensor | null; relu?: boolean } = {},
): Tensor {
  const bias = options.bias ?? null;
  const relu = options.relu ?? false;
  expectTensors({}, bias === null ? { x, weight } : { x, weight, bias });
  expectShape('weight', weight, [null, null]);
  expectShape('x', x, [null, dimension(weight, 1)]);
  const outputs = dimension(weight, 0);
  if (bias !== null) expectShape('bias', bias, [outputs]);
  const y = output(x, [dimension(x, 0), outputs]);
  const { backend } = x.device;
  backend.linear({ relu }, x.handle, weight.handle, bias?.handle ?? null, y.handle);

  return record('linear', y, [x, weight, bias], (tape) => {
    const saved = { x: tape.save(x), weight: tape.save(weight), y: relu ? tape.save(y) : null };
    return (dy, [wantsX, wantsWeight, wantsBias]) => {
      const { dz, dbias } = biasReluBackward(saved.y, dy, outputs, wantsBias === true);
      const dweight = wantsWeight ? output(dy, saved.weight.shape) : null;
      if (dweight) backend.linearBackwardWeight(saved.x.handle, dz.handle, dweight.handle);
      const dx = wantsX ? output(dy, saved.x.shape) : null;
      if (dx) backend.linearBackwardData(dz.handle, saved.weight.handle, dx.handle);
      return [dx, dweight, dbias];
    };
  });
}
