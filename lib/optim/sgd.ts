import { sgdStep } from '../ops/index.js';
import type { Tensor } from '../tensor.js';
import { type GroupOptions, Optimizer, type ParameterGroup, type ParameterList } from './optimizer.js';

export interface SGDGroupOptions extends GroupOptions {
  /** Default: the optimizer's. */
  momentum?: number;
}

/**
 * Stochastic gradient descent by the paper's rule (section 5): v ← momentum·v − weightDecay·lr·w − lr·g; w ← w + v. The
 * rate is inside the velocity: when it drops, the velocity of earlier steps stays as it was. PyTorch's rule differs there.
 */
export class SGD extends Optimizer<'momentum'> {
  readonly #momentum: number;

  constructor(
    params: ParameterList | readonly ParameterGroup<SGDGroupOptions>[],
    { lr, momentum = 0, weightDecay = 0 }: { lr: number; momentum?: number; weightDecay?: number },
  ) {
    super(params, { lr, momentum, weightDecay }, ['velocity']);
    this.#momentum = momentum;
  }

  protected override options(): Readonly<Record<string, number | string>> {
    return { kind: 'SGD', momentum: this.#momentum };
  }

  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    values: Required<SGDGroupOptions>,
    state: ReadonlyMap<string, Tensor>,
  ): void {
    const velocity = state.get('velocity');
    if (velocity) sgdStep(parameter, velocity, gradient, values);
  }
}
