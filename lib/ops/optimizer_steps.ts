import { expectFinite, expectInteger } from '../check.js';
import type { Device } from '../device.js';
import type { AdamParams, Handle, SgdParams } from '../native.js';
import type { Tensor } from '../tensor.js';
import { expectSameShape, expectTensors } from './check.js';

/**
 * Makes the gradients of a step valid together or not at all, on each of their devices. What updates by one that is not
 * valid is left out, and its tensors keep their numbers.
 */
export function together(gradients: readonly Tensor[]): void {
  for (const [device, handles] of handlesByDevice(gradients)) device.backend.together(handles);
}

/**
 * Resolves when all that was enqueued before has run.
 * @throws {OperationError} where one of the tensors comes from an operation that failed
 */
export async function check(tensors: readonly Tensor[]): Promise<void> {
  await Promise.all([...handlesByDevice(tensors)].map(([device, handles]) => device.backend.check(handles)));
}

function handlesByDevice(tensors: readonly Tensor[]): Map<Device, Handle[]> {
  const handles = new Map<Device, Handle[]>();
  for (const { device, handle } of tensors) handles.set(device, [...(handles.get(device) ?? []), handle]);
  return handles;
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
