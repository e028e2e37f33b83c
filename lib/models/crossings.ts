import type { Device } from '../device.js';
import { type Shape, sizeOf } from '../tensor.js';
import type { AlexNetConfig } from './alexnet.js';
import { placed, share } from './placement.js';
import type { Preset } from './presets.js';
import { rowsOf } from './summary.js';

/** A tensor that goes from one device to another in each training step. */
export interface Crossing {
  /** The layer that made it, or `gradient of` that. */
  tensor: string;
  /** The layer that takes it, or `loss`; of a gradient that layer's, which it comes from. */
  layer: string;
  /** Devices, such as `cuda:0`. */
  from: string;
  to: string;
  shape: Shape;
  bytes: number;
}

/** See `AlexNet.crossings`. */
export function crossingsOf(
  config: AlexNetConfig,
  preset: Preset,
  devices: readonly Device[],
  batch: number,
): Crossing[] {
  const rows = rowsOf(config, preset);
  const columns = devices.length;
  /** Each column's outputs of the layer in that row go to each other device that takes them. */
  const between = (row: number, layer: string, takers: readonly Device[]): Crossing[] =>
    takers.flatMap((to) =>
      devices.flatMap((from, column): Crossing[] => {
        const { name = '', shape: [...shape] = [] } = rows[row] ?? {};
        const outputs = shape.pop() ?? 1;
        const crossing = [batch, ...shape, share(outputs, column, columns).count];
        if (from === to) return [];
        return [
          { tensor: name, layer, from: from.name, to: to.name, shape: crossing, bytes: 4 * sizeOf(crossing) },
        ];
      }),
    );
  const forward = placed(preset.layers).flatMap(({ layer, joins }, i) =>
    joins ? between(i, layer.name, devices) : [],
  );
  forward.push(...between(rows.length - 1, 'loss', devices.slice(0, 1)));
  const backward = forward.toReversed().map(
    ({ tensor, from, to, ...crossing }): Crossing => ({
      ...crossing,
      tensor: `gradient of ${tensor}`,
      from: to,
      to: from,
    }),
  );
  return [...forward, ...backward];
}
