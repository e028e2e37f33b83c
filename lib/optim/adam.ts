import { expectInRange, expectInteger } from '../check.js';
import { adamStep } from '../ops/index.js';
import type { Tensor } from '../tensor.js';
import { type GroupOptions, Optimizer, type ParameterGroup, type ParameterList } from './optimizer.js';

/** Adam (Kingma and Ba, 2015), with PyTorch's defaults. */
export class Adam extends Optimizer {
  readonly #beta1: number;
  readonly #beta2: number;
  readonly #eps: number;
  #step = 0;

  constructor(
    params: ParameterList | readonly ParameterGroup[],
    {
      lr,
      weightDecay = 0,
      ...options
    }: { lr: number; beta1?: number; beta2?: number; eps?: number; weightDecay?: number },
  ) {
    super(params, { lr, weightDecay }, ['m', 'v']);
    this.#beta1 = expectInRange('beta1', options.beta1 ?? 0.9, 0, 1, true);
    this.#beta2 = expectInRange('beta2', options.beta2 ?? 0.999, 0, 1, true);
    this.#eps = expectInRange('eps', options.eps ?? 1e-8, 0, 1);
  }

  protected override options(): Readonly<Record<string, number | string>> {
    return { kind: 'Adam', beta1: this.#beta1, beta2: this.#beta2, eps: this.#eps };
  }

  protected override beforeStep(): void {
    this.#step++;
  }

  protected override update(
    parameter: Tensor,
    gradient: Tensor,
    { lr, weightDecay }: Required<GroupOptions>,
    state: ReadonlyMap<string, Tensor>,
  ): void {
    const [m, v] = [state.get('m'), state.get('v')];
    const [beta1, beta2, eps, step] = [this.#beta1, this.#beta2, this.#eps, this.#step];
    if (m && v) adamStep(parameter, m, v, gradient, { lr, beta1, beta2, eps, weightDecay, step });
  }

  override state(): Readonly<Record<string, number>> {
    return { step: this.#step };
  }

  override load(state: Readonly<Record<string, number>>): void {
    this.#step = expectInteger('step', state.step, 0);
  }
}
