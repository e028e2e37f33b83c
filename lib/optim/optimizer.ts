import { expectInRange } from '../check.js';
import { ArgumentError, expected } from '../errors.js';
import { check, together } from '../ops/optimizer_steps.js';
import { unscoped } from '../scope.js';
import { Tensor, zeros } from '../tensor.js';

/**
 * Parameters with their names, as `model.namedParameters()` has them, or without: those are named by their place. Those
 * that require no gradient are frozen: an optimizer leaves them out.
 */
export type ParameterList = Iterable<Tensor | readonly [string, Tensor]>;

export interface GroupOptions {
  /** Base learning rate; default: the optimizer's. */
  lr?: number;
  /** Default: the optimizer's. */
  weightDecay?: number;
}

/** Parameters with a rate and decay of their own, such as biases. */
export interface ParameterGroup extends GroupOptions {
  params: ParameterList;
}

interface Entry {
  name: string;
  parameter: Tensor;
  lr: number;
  weightDecay: number;
}

interface Slot extends Entry {
  /** The optimizer's tensors for this parameter, by the state's name. */
  state: ReadonlyMap<string, Tensor>;
}

/** What SGD and Adam share: parameters with a rate, decay and state each, and a factor on all rates. */
export abstract class Optimizer {
  readonly #slots: Slot[];
  readonly #lr: number;
  #lrFactor = 1;

  constructor(
    params: ParameterList | readonly ParameterGroup[],
    options: { lr: number; weightDecay?: number },
    stateNames: readonly string[],
  ) {
    this.#lr = expectInRange('lr', options.lr, 0, Number.MAX_VALUE);
    this.#slots = entriesOf(params, options).map((entry) => ({
      ...entry,
      state: new Map(stateNames.map((state) => [state, zerosLike(entry.parameter)])),
    }));
  }

  /** The rate of the next step, without groups that have one of their own. */
  get lr(): number {
    return this.#lr * this.#lrFactor;
  }

  /** Multiplies all base rates by `factor` from the next step on; a schedule calls it. */
  setLrFactor(factor: number): void {
    this.#lrFactor = expectInRange('factor', factor, 0, Number.MAX_VALUE);
  }

  /**
   * Updates every parameter that has a gradient. Where an operation that led to one of them failed on the device, such as
   * for want of memory, none that lives there is changed. Where an update itself is refused, its parameter and state
   * keep their numbers, and the others are changed; the next step is possible.
   * @returns a promise that need not be awaited: it rejects with that failure, or with a NonFiniteError where a weight
   *   is NaN or infinite afterwards
   */
  step(): Promise<void> {
    this.beforeStep();
    const gradients = this.#slots.flatMap(({ parameter }) => parameter.grad ?? []);
    together(gradients);
    for (const { parameter, lr, weightDecay, state } of this.#slots) {
      if (parameter.grad !== undefined)
        this.update(parameter, parameter.grad, lr * this.#lrFactor, weightDecay, state);
    }
    return check([...gradients, ...this.parameters()]);
  }

  protected beforeStep(): void {}
  protected abstract update(
    parameter: Tensor,
    gradient: Tensor,
    lr: number,
    weightDecay: number,
    state: ReadonlyMap<string, Tensor>,
  ): void;

  /** What it updates. */
  *parameters(): Iterable<Tensor> {
    for (const { parameter } of this.#slots) yield parameter;
  }

  /** Frees all gradients. */
  zeroGrad(): void {
    for (const { parameter } of this.#slots) {
      parameter.grad?.dispose();
      parameter.grad = undefined;
    }
  }

  /** Its kind and options, in words: what a resumed run is compared by. */
  settings(): string {
    const groups = new Set(this.#slots.map(({ lr, weightDecay }) => `lr ${lr}, weightDecay ${weightDecay}`));
    return [...groups, ...Object.entries(this.options()).map(([name, value]) => `${name} ${value}`)].join(
      '; ',
    );
  }

  /** Those that hold for all parameters. */
  protected abstract options(): Readonly<Record<string, number | string>>;

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

function entriesOf(
  params: ParameterList | readonly ParameterGroup[],
  defaults: { lr: number; weightDecay?: number },
): Entry[] {
  const entries: Entry[] = [];
  const names = new Set<string>();
  const tensors = new Set<Tensor>();
  let place = 0;
  for (const item of iterable<Tensor | readonly [string, Tensor] | ParameterGroup>(params)) {
    const group: ParameterGroup = isGroup(item) ? item : { params: [item] };
    const lr = expectInRange('lr', group.lr ?? defaults.lr, 0, Number.MAX_VALUE);
    const weightDecay = expectInRange(
      'weightDecay',
      group.weightDecay ?? defaults.weightDecay ?? 0,
      0,
      Number.MAX_VALUE,
    );
    for (const element of iterable(group.params)) {
      const [name, parameter] = Array.isArray(element) ? element : [String(place), element];
      place++;
      if (!(parameter instanceof Tensor)) throw new ArgumentError(expected('tensor', name, parameter));
      if (names.has(name) || tensors.has(parameter))
        throw new ArgumentError(expected('each parameter once', 'params', name));
      names.add(name);
      tensors.add(parameter);
      if (parameter.requiresGrad) entries.push({ name, parameter, lr, weightDecay });
    }
  }
  if (entries.length === 0) {
    const what = 'at least one parameter that requires a gradient';
    throw new ArgumentError(expected(what, 'params', 0));
  }
  return entries;
}

function iterable<T>(params: Iterable<T>): Iterable<T> {
  if (typeof params === 'object' && params !== null && Symbol.iterator in params) return params;
  throw new ArgumentError(expected('iterable of parameters, such as model.parameters(),', 'params', params));
}

function isGroup(item: Tensor | readonly [string, Tensor] | ParameterGroup): item is ParameterGroup {
  return typeof item === 'object' && item !== null && 'params' in item;
}

function zerosLike(parameter: Tensor): Tensor {
  return unscoped(() => zeros(parameter.shape, { device: parameter.device }));
}
