import type { Tensor } from '../tensor.js';
import { output } from './check.js';

/**
 * The backward of the bias and ReLU that are fused into conv2d and linear. The gradient before both takes the memory of
 * `dy` where nobody else sees that: of AlexNet's first layer, at batch 128, it is 149 MB.
 * @param y the output where there was a ReLU
 * @returns the gradient before both, and that of the bias `[channels]` if it is wanted
 */
export function biasReluBackward(
  y: Tensor | null,
  dy: Tensor,
  channels: number,
  wantsBias: boolean,
): { dz: Tensor; dbias: Tensor | null } {
  const dz = y === null ? dy : dy.memory.views === 1 ? dy.view(dy.shape) : output(dy);
  const dbias = wantsBias ? output(dy, [channels]) : null;
  if (y !== null || dbias !== null) {
    dy.device.backend.biasReluBackward(
      y?.handle ?? null,
      dy.handle,
      y === null ? null : dz.handle,
      dbias?.handle ?? null,
    );
  }
  return { dz, dbias };
}
