import { expectFinite, expectInRange } from '../check.js';
import { ArgumentError, expected } from '../errors.js';
import { unscoped } from '../scope.js';
import { type Tensor, zeros } from '../tensor.js';

export type NamedParameters = Iterable<readonly [string, Tensor]>;

export interface GroupOptions {
  /** Base learning rate; default: the optimizer's. */
  lr?: number;
  /** Default: the optimizer's. */
  weightDecay?: number;
}

/** Parameters with a rate and decay of their own, such as biases. */
export interface ParameterGroup extends GroupOptions {
  params: NamedParameters;
}

interface Slot {
  name: string;
  parameter: Tensor;
  lr: number;
  weightDecay: number;
  /** The optimizer's tensors for this parameter, by the state's name. */
  state: ReadonlyMap<string, Tensor>;
}

/** What SGD and Adam share: parameters with a rate, decay and state each, and a factor on all rates. */
export abstract class Optimizer {
  readonly #slots: Slot[];
  readonly #lr: number;
  #rate = 1;

  constructor(
    params: NamedParameters | readonly ParameterGroup[],
    options: { lr: number; weightDecay?: number },
    stateNames: readonly string[],
  ) {
    this.#lr = expectInRange('lr', options.lr, 0, Number.MAX_VALUE);
    this.#slots = groupsOf(params).flatMap((group) => {
      const lr = expectInRange('lr', group.lr ?? options.lr, 0, Number.MAX_VALUE);
      const weightDecay = expectFinite('weightDecay', group.weightDecay ?? options.weightDecay ?? 0);
      return [...group.params].map(([name, parameter]) => ({
        name,
        parameter,
        lr,
        weightDecay,
        state: new Map(stateNames.map((state) => [state, zerosLike(parameter)])),
      }));
    });
    const names = this.#slots.map((slot) => slot.name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) throw new ArgumentError(expected('each parameter once', 'params', twice));
    if (names.length === 0) throw new ArgumentError(expected('at least one parameter', 'params', 0));
  }

  /** The rate of the next step, without groups that have one of their own. */
  get lr(): number {
    return this.#lr * this.#rate;
  }

  /** Multiplies all base rates by `factor` from the next step on; a schedule calls it. */
  setRate(factor: number): void {
    this.#rate = expectInRange('factor', factor, 0, Number.MAX_VALUE);
  }

  /** Updates every parameter that has a gradient. */
  step(): void {
    this.beforeStep();
    for (const { parameter, lr, weightDecay, state } of this.#slots) {
      if (parameter.grad !== undefined)
        this.update(parameter, parameter.grad, lr * this.#rate, weightDecay, state);
    }
  }

  protected beforeStep(): void {}
  protected abstract update(
    parameter: Tensor,
    gradient: Tensor,
    lr: number,
    weightDecay: number,
    state: ReadonlyMap<string, Tensor>,
  ): void;

  /** Frees all gradients. */
  zeroGrad(): void {
    for (const { parameter } of this.#slots) {
      parameter.grad?.dispose();
      parameter.grad = undefined;
    }
  }

  /** What a checkpoint keeps beside tensors. */
  state(): Readonly<Record<string, number>> {
    return {};
  }

  load(_state: Readonly<Record<string, number>>): void {}

  /** The tensors of a checkpoint, such as `velocity/conv1.weight`. */
  *stateTensors(): Iterable<[string, Tensor]> {
    for (const { name, state } of this.#slots)
      for (const [kind, tensor] of state) yield [`${kind}/${name}`, tensor];
  }

  /** Frees the optimizer's state; the parameters are their maker's. */
  dispose(): void {
    for (const [, tensor] of this.stateTensors()) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function groupsOf(params: NamedParameters | readonly ParameterGroup[]): readonly ParameterGroup[] {
  const groups: ParameterGroup[] = [];
  const ungrouped: (readonly [string, Tensor])[] = [];
  for (const item of params) {
    if ('params' in item) groups.push(item);
    else ungrouped.push(item);
  }
  return ungrouped.length === 0 ? groups : [...groups, { params: ungrouped }];
}

function zerosLike(parameter: Tensor): Tensor {
  return unscoped(() => zeros(parameter.shape, { device: parameter.device }));
}
