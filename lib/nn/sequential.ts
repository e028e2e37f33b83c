import { ArgumentError, expected } from '../errors.js';
import { tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';

/**
 * Layers one after the other, by name: `new Sequential({ conv1: …, pool1: … })`, or a list of `[name, layer]` (an
 * object's keys that are integers come first, whatever their place).
 */
export class Sequential extends Module {
  readonly #layers = new Map<string, Module>();

  constructor(layers: Readonly<Record<string, Module>> | Iterable<readonly [string, Module]>) {
    super();
    for (const entry of Symbol.iterator in layers ? layers : Object.entries(layers)) {
      if (!Array.isArray(entry)) throw new ArgumentError(expected('[name, module]', 'a layer', entry));
      const [name, layer] = entry;
      if (!(layer instanceof Module)) throw new ArgumentError(expected('module', name, layer));
      if (this.#layers.has(name)) throw new ArgumentError(expected('each name once', 'layers', name));
      this.#layers.set(name, layer);
    }
  }

  override members(): Iterable<readonly [string, Module]> {
    return this.#layers;
  }

  /** Disposes of each intermediate result when the next layer has taken it: the tape keeps what it needs itself. */
  override forward(x: Tensor): Tensor {
    return this.#run(x, undefined);
  }

  /**
   * What the layer of that name makes of `x`, after those before it.
   * @throws {ArgumentError} where there is none of that name
   */
  forwardTo(name: string, x: Tensor): Tensor {
    if (!this.#layers.has(name)) {
      throw new ArgumentError(expected(`one of ${[...this.#layers.keys()].join(', ')}`, 'layer', name));
    }
    return this.#run(x, name);
  }

  #run(x: Tensor, last: string | undefined): Tensor {
    return tidy(() => {
      let current = x;
      for (const [name, layer] of this.#layers) {
        const input = current;
        const next = x.device.labelled(name, () => layer.forward(input));
        if (next !== current && current !== x) current.dispose();
        current = next;
        if (name === last) break;
      }
      return current;
    });
  }
}
