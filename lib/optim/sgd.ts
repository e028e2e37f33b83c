import { expectInRange } from '../check.js';
import { sgdStep } from '../ops/index.js';
import type { Tensor } from '../tensor.js';
import { Optimizer, type ParameterGroup, type ParameterList } from './optimizer.js';

/**
 * Stochastic gradient descent by the paper's rule (section 5): v ← momentum·v − weightDecay·lr·w − lr·g; w ← w + v. The
 * rate is inside the velocity: when it drops, the velocity of earlier steps stays as it was. PyTorch's rule differs there.
 */
export class SGD extends Optimizer {
  readonly #momentum: number;

  constructor(
    params: ParameterList | readonly ParameterGroup[],
    options: { lr: number; momentum?: number; weightDecay?: number },
  ) {
    super(params, options, ['velocity']);
    this.#momentum = expectInRange('momentum', options.momentum ?? 0, 0, 1);
  }

  protected override options(): Readonly<Record<string, number | string>> {
    return { kind: 'SGD', momentum: this.#momentum };
  }

  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    lr: number,
    weightDecay: number,
    state: ReadonlyMap<string, Tensor>,
  ): void {
    const velocity = state.get('velocity');
    if (velocity) sgdStep(parameter, velocity, gradient, { lr, momentum: this.#momentum, weightDecay });
  }
}
