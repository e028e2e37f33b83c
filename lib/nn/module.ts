import { Tensor } from '../tensor.js';

/**
 * A part of a network: its own parameters, and other modules, found among its properties in the order in which they
 * were defined.
 */
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
    for (const [, child] of this.children()) child.train(mode);
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** The modules directly in this one, by the property's name. */
  *children(): Iterable<[string, Module]> {
    for (const [name, value] of Object.entries(this)) if (value instanceof Module) yield [name, value];
  }

  /** Every parameter by its path, such as `conv1.weight`; the order is stable. */
  *namedParameters(): Iterable<[string, Tensor]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Tensor && value.requiresGrad) yield [name, value];
    }
    for (const [name, child] of this.children()) {
      for (const [inner, parameter] of child.namedParameters()) yield [`${name}.${inner}`, parameter];
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
