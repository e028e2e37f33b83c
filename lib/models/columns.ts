import type { Device } from '../device.js';
import { ArgumentError, expected } from '../errors.js';
import { Dropout, type Module } from '../nn/index.js';
import { cat, to } from '../ops/index.js';
import { tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';

export interface PlacedLayer {
  name: string;
  /** One for each device; of a layer without parameters one for all. */
  modules: readonly [Module, ...Module[]];
  /** Whether it takes the outputs of all columns. */
  joins: boolean;
}

/**
 * Layers one after the other, each column of them on a device of its own. Between the devices goes what a layer takes of
 * the other column, its gradient on the way back, and the last layer's outputs to the first device.
 */
export class Columns {
  readonly #devices: readonly [Device, ...Device[]];
  readonly #layers: readonly PlacedLayer[];

  constructor(devices: readonly [Device, ...Device[]], layers: readonly PlacedLayer[]) {
    this.#devices = devices;
    this.#layers = layers;
  }

  /** Of several columns, `conv1.0` is that of the first. */
  *members(): Iterable<readonly [string, Module]> {
    for (const { name, modules } of this.#layers) {
      if (modules.length === 1) yield [name, modules[0]];
      else for (const [column, module] of modules.entries()) yield [`${name}.${column}`, module];
    }
  }

  /**
   * What the layers make of the inputs, one on each device, up to and including the layer `last`.
   * @throws {ArgumentError} where there is none of that name
   */
  run(inputs: readonly Tensor[], last = this.#layers.at(-1)?.name): Tensor {
    const names = this.#layers.map(({ name }) => name);
    if (last === undefined || !names.includes(last))
      throw new ArgumentError(expected(`one of ${names.join(', ')}`, 'layer', last));
    return tidy(() => {
      let current = inputs;
      for (const layer of this.#layers.slice(0, names.indexOf(last) + 1)) {
        const taken = layer.joins
          ? this.#devices.map((device) => join(layer.name, current, device))
          : current;
        const next = this.#forward(layer, taken);
        // The tape keeps what it needs itself.
        for (const tensor of [...current, ...taken])
          if (!inputs.includes(tensor) && !next.includes(tensor)) tensor.dispose();
        current = next;
      }
      return join('', current, this.#devices[0]);
    });
  }

  #forward({ name, modules: [first, ...others] }: PlacedLayer, inputs: readonly Tensor[]): Tensor[] {
    if (first instanceof Dropout && inputs.length > 1) return first.forwardColumns(inputs);
    return inputs.map((x, column) => x.device.labelled(name, () => (others[column - 1] ?? first).forward(x)));
  }
}

/** The columns side by side. */
function join(label: string, columns: readonly Tensor[], device: Device): Tensor {
  return device.labelled(label, () =>
    tidy(() =>
      columns
        .map((column) => (column.device === device ? column : to(column, device)))
        .reduce((left, right) => cat(left, right)),
    ),
  );
}
