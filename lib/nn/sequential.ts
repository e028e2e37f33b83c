import type { Tensor } from '../tensor.js';
import { Module } from './module.js';

/** Layers one after the other, by name: `new Sequential({ conv1: …, pool1: … })`. */
export class Sequential extends Module {
  readonly #layers: ReadonlyMap<string, Module>;

  constructor(layers: Readonly<Record<string, Module>>) {
    super();
    this.#layers = new Map(Object.entries(layers));
  }

  override children(): Iterable<[string, Module]> {
    return this.#layers;
  }

  /** Disposes of each intermediate result when the next layer has taken it: the tape keeps what it needs itself. */
  override forward(x: Tensor): Tensor {
    let current = x;
    try {
      for (const layer of this.#layers.values()) {
        const next = layer.forward(current);
        if (next !== current && current !== x) current.dispose();
        current = next;
      }
    } catch (error) {
      if (current !== x) current.dispose();
      throw error;
    }
    return current;
  }
}
