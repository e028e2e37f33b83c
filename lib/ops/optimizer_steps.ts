import { expectFinite, expectInteger } from '../check.js';
import type { AdamParams, SgdParams } from '../native.js';
import type { Tensor } from '../tensor.js';
import { expectSameShape, expectTensors } from './check.js';

/**
 * Makes the gradients of a step valid together or not at all, on each of their devices. What updates by one that is not
 * valid is left out, and its tensors keep their numbers.
 */
export function together(gradients: readonly Tensor[]): void {
  for (const device of new Set(gradients.map((gradient) => gradient.device))) {
    const handles = gradients.filter((gradient) => gradient.device === device).map(({ handle }) => handle);
    device.backend.together(handles);
  }
}

/**
 * The paper's rule (section 5), in place: v ← momentum·v − weightDecay·lr·w − lr·g; w ← w + v.
 * @param w weights, @param v velocity, @param g gradient: of one shape
 * @throws {NonFiniteError} when `w` is read, where a weight is not finite afterwards
 */
export function sgdStep(w: Tensor, v: Tensor, g: Tensor, params: SgdParams): void {
  expectTensors({}, { w, v, g });
  expectSameShape('v', v, w);
  expectSameShape('g', g, w);
  expectFinite('lr', params.lr);
  expectFinite('momentum', params.momentum);
  expectFinite('weightDecay', params.weightDecay);
  w.device.backend.sgdStep(params, g.handle, w.handle, v.handle);
  for (const changed of [w, v]) changed.memory.changes++;
}

/**
 * Adam (Kingma and Ba, 2015, algorithm 1), in place; weight decay is added to the gradient, as in PyTorch's Adam.
 * @param w weights, @param m first moment, @param v second moment, @param g gradient: of one shape
 * @throws {NonFiniteError} when `w` is read, where a weight is not finite afterwards
 */
export function adamStep(w: Tensor, m: Tensor, v: Tensor, g: Tensor, params: AdamParams): void {
  expectTensors({}, { w, m, v, g });
  expectSameShape('m', m, w);
  expectSameShape('v', v, w);
  expectSameShape('g', g, w);
  expectFinite('lr', params.lr);
  expectFinite('beta1', params.beta1);
  expectFinite('beta2', params.beta2);
  expectFinite('eps', params.eps);
  expectFinite('weightDecay', params.weightDecay);
  expectInteger('step', params.step, 1);
  w.device.backend.adamStep(params, g.handle, w.handle, m.handle, v.handle);
  for (const changed of [w, m, v]) changed.memory.changes++;
}
