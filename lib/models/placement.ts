import { Device, type DeviceLike } from '../device.js';
import { ArgumentError, DeviceError, expected } from '../errors.js';
import type { Layer, Preset } from './presets.js';

/** A layer of a network of two columns (section 3.5 of the paper, figure 2). */
export interface Placed {
  layer: Layer;
  /** Whether it takes the outputs of both columns, which have to be joined before it. */
  joins: boolean;
}

/**
 * Which layers see both columns: convolutions without groups, but for the first, which sees the picture, and fully
 * connected layers. `flatten` counts to the one that follows it: the order of its outputs is that of both columns' maps.
 */
export function placed(layers: readonly Layer[]): Placed[] {
  let inColumns = false;
  return layers.map((layer) => {
    const hasOutputs = layer.kind === 'conv' || layer.kind === 'linear';
    const seesBoth = layer.kind === 'conv' ? layer.groups === 1 : hasOutputs || layer.kind === 'flatten';
    const joins = inColumns && seesBoth;
    inColumns = hasOutputs || (inColumns && !joins);
    return { layer, joins };
  });
}

/** Which of a layer's outputs a column has: the first of them, and how many. */
export function share(outputs: number, column: number, columns: number): { first: number; count: number } {
  const first = Math.ceil((outputs * column) / columns);
  return { first, count: Math.ceil((outputs * (column + 1)) / columns) - first };
}

/**
 * The devices of a model: one, or one for each column of the preset.
 * @throws {ArgumentError} {@link DeviceError}
 */
export function devicesOf(
  { device, devices }: { device?: DeviceLike; devices?: readonly DeviceLike[] },
  name: string,
  { layers }: Preset,
): readonly [Device, ...Device[]] {
  if (devices === undefined) return [Device.get(device)];
  if (device !== undefined) throw new ArgumentError(expected('either device or devices', 'devices', devices));
  if (!Array.isArray(devices)) throw new ArgumentError(expected('array of devices', 'devices', devices));
  const [first, ...others] = devices.map((each: DeviceLike) => Device.get(each));
  const names = [first, ...others].join(', ');
  if (first === undefined || others.length > 1)
    throw new ArgumentError(expected('one device, or two for the columns,', 'devices', names));
  const [second] = others;
  if (second === undefined) return [first];
  if (first === second) throw new ArgumentError(expected('each device once', 'devices', names));
  if (first.backend !== second.backend)
    throw new DeviceError(expected('devices of one kind, CPU or CUDA,', 'devices', names));
  if (!layers.some((layer) => layer.kind === 'conv' && layer.groups === 2))
    throw new ArgumentError(expected('one of two columns, such as paper, for two devices', 'preset', name));
  return [first, second];
}
