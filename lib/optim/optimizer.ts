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

/** Parameters with options of their own, such as biases. */
export type ParameterGroup<Options extends GroupOptions = GroupOptions> = Options & {
  params: ParameterList;
};

/** The largest value of what a parameter has by its group; the least is 0. */
const LARGEST = { lr: Number.MAX_VALUE, weightDecay: Number.MAX_VALUE, momentum: 1 } as const;

/** What a parameter's group has; `Own` is what not every optimizer has. */
export type GroupValues<Own extends 'momentum'> = Readonly<Record<'lr' | 'weightDecay' | Own, number>>;

interface Entry<Own extends 'momentum'> {
  name: string;
  parameter: Tensor;
  values: GroupValues<Own>;
}

interface Slot<Own extends 'momentum'> extends Entry<Own> {
  /** The optimizer's tensors for this parameter, by the state's name. */
  state: ReadonlyMap<string, Tensor>;
}

/** What SGD and Adam share: parameters with a rate, decay and state each, and a factor on all rates. */
export abstract class Optimizer<Own extends 'momentum' = never> {
  readonly #slots: Slot<Own>[];
  readonly #defaults: GroupValues<Own>;
  #lrFactor = 1;

  /** @param defaults of parameters whose group says nothing else */
  constructor(
    params: ParameterList | readonly ParameterGroup<Partial<GroupValues<Own>>>[],
    defaults: GroupValues<Own>,
    stateNames: readonly string[],
  ) {
    this.#defaults = valuesOf({}, defaults);
    this.#slots = entriesOf(params, defaults).map((entry) => ({
      ...entry,
      state: new Map(stateNames.map((state) => [state, zerosLike(entry.parameter)])),
    }));
  }

  /** The rate of the next step, without groups that have one of their own. */
  get lr(): number {
    return this.#defaults.lr * this.#lrFactor;
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
    for (const { parameter, values, state } of this.#slots) {
      const lr = values.lr * this.#lrFactor;
      if (parameter.grad !== undefined) this.update(parameter, parameter.grad, { ...values, lr }, state);
    }
    return check([...gradients, ...this.parameters()]);
  }

  protected beforeStep(): void {}
  protected abstract update(
    parameter: Tensor,
    gradient: Tensor,
    values: GroupValues<Own>,
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
    const groups = new Set(this.#slots.map(({ values }) => this.#describe(values)));
    return [...groups, ...Object.entries(this.options()).map(([name, value]) => `${name} ${value}`)].join(
      '; ',
    );
  }

  #describe({ lr, weightDecay, ...own }: GroupValues<Own>): string {
    const others = Object.entries(own).filter(([name, value]) => value !== this.#defaults[name as Own]);
    return [['lr', lr], ['weightDecay', weightDecay], ...others].map((pair) => pair.join(' ')).join(', ');
  }

  /** Those that hold for all parameters whose group has none of its own. */
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

function entriesOf<Own extends 'momentum'>(
  params: ParameterList | readonly ParameterGroup<Partial<GroupValues<Own>>>[],
  defaults: GroupValues<Own>,
): Entry<Own>[] {
  const entries: Entry<Own>[] = [];
  const names = new Set<string>();
  const tensors = new Set<Tensor>();
  let place = 0;
  type Group = ParameterGroup<Partial<GroupValues<Own>>>;
  for (const item of iterable<Tensor | readonly [string, Tensor] | Group>(params)) {
    const [group, list] = isGroup(item) ? [item, item.params] : [{}, [item]];
    const values = valuesOf(group, defaults);
    for (const element of iterable<Tensor | readonly [string, Tensor]>(list)) {
      const [name, parameter] = Array.isArray(element) ? element : [String(place), element];
      place++;
      if (!(parameter instanceof Tensor)) throw new ArgumentError(expected('tensor', name, parameter));
      if (names.has(name) || tensors.has(parameter))
        throw new ArgumentError(expected('each parameter once', 'params', name));
      names.add(name);
      tensors.add(parameter);
      if (parameter.requiresGrad) entries.push({ name, parameter, values });
    }
  }
  if (entries.length === 0) {
    const what = 'at least one parameter that requires a gradient';
    throw new ArgumentError(expected(what, 'params', 0));
  }
  return entries;
}

function valuesOf<Own extends 'momentum'>(
  group: Partial<GroupValues<Own>>,
  defaults: GroupValues<Own>,
): GroupValues<Own> {
  const values: Record<'lr' | 'weightDecay' | Own, number> = { ...defaults };
  for (const name of Object.keys(defaults) as (keyof typeof values)[])
    values[name] = expectInRange(name, group[name] ?? defaults[name], 0, LARGEST[name]);
  return values;
}

function iterable<T>(params: Iterable<T>): Iterable<T> {
  if (typeof params === 'object' && params !== null && Symbol.iterator in params) return params;
  throw new ArgumentError(expected('iterable of parameters, such as model.parameters(),', 'params', params));
}

function isGroup<G extends ParameterGroup>(item: Tensor | readonly [string, Tensor] | G): item is G {
  return typeof item === 'object' && item !== null && 'params' in item;
}

function zerosLike(parameter: Tensor): Tensor {
  return unscoped(() => zeros(parameter.shape, { device: parameter.device }));
}
