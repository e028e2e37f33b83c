import { record } from '../autograd.js';
import type { Tensor } from '../tensor.js';
import { dimension, expectShape, expectTensors, output } from './check.js';

export interface MatmulOptions {
  /** Use aᵀ. Default false. */
  transposeA?: boolean;
  /** Use bᵀ. Default false. */
  transposeB?: boolean;
}

/**
 * op(a) · op(b)
 * @param a `[M, K]`, or `[K, M]` where transposed
 * @param b `[K, N]`, or `[N, K]` where transposed
 * @returns `[M, N]`
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = options;
  expectTensors({}, { a, b });
  expectShape('a', a, [null, null]);
  const inner = dimension(a, transposeA ? 0 : 1);
  expectShape('b', b, transposeB ? [null, inner] : [inner, null]);
  const y = product(a, transposeA, b, transposeB);
  return record('matmul', y, [a, b], (tape) => {
    const [A, B] = [tape.save(a), tape.save(b)];
    return (dy, [wantsA, wantsB]) => [
      wantsA ? (transposeA ? product(B, transposeB, dy, true) : product(dy, false, B, !transposeB)) : null,
      wantsB ? (transposeB ? product(dy, true, A, transposeA) : product(A, !transposeA, dy, false)) : null,
    ];
  });
}

function product(a: Tensor, transposeA: boolean, b: Tensor, transposeB: boolean): Tensor {
  const y = output(a, [dimension(a, transposeA ? 1 : 0), dimension(b, transposeB ? 0 : 1)]);
  a.device.backend.matmul({ transposeA, transposeB }, a.handle, b.handle, y.handle);
  return y;
}
