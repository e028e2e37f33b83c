import { Tensor } from '../tensor.js';

/** A part of a network: its own parameters, and other modules, found among its properties. */
export abstract class Module {
  #training = true;

  abstract forward(x: Tensor): Tensor;

  /** Whether dropout is on: true after `train()`, false after `eval()`. */
  get training(): boolean {
    return this.#training;
  }

  /** Sets the mode of this module and all in it. */
  train(mode = true): this {
    this.#training = mode;
    for (const [, member] of this.members()) if (member instanceof Module) member.train(mode);
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /**
   * What is directly in this module, in the order in which its properties were defined: parameters, which are tensors that
   * require a gradient or did before they were frozen, modules, and arrays' modules by name and index. A module that keeps others elsewhere overrides it.
   */
  *members(): Iterable<readonly [string, Module | Tensor]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Module || (value instanceof Tensor && value.isParameter)) yield [name, value];
      if (!Array.isArray(value)) continue;
      for (const [i, item] of value.entries()) if (item instanceof Module) yield [`${name}.${i}`, item];
    }
  }

  /** Every parameter, frozen or not, by its path, such as `conv1.weight`, in the order of {@link members}. */
  *namedParameters(): Iterable<[string, Tensor]> {
    for (const [name, member] of this.members()) {
      if (member instanceof Tensor) {
        yield [name, member];
      } else {
        for (const [inner, parameter] of member.namedParameters()) yield [`${name}.${inner}`, parameter];
      }
    }
  }

  *parameters(): Iterable<Tensor> {
    for (const [, parameter] of this.namedParameters()) yield parameter;
  }

  /** Frees the parameters and their gradients. */
  dispose(): void {
    for (const parameter of this.parameters()) parameter.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
