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

type Devices = readonly [Device, ...Device[]];

/**
 * The devices of a model: one, or one for each column of the preset.
 * @throws {ArgumentError} {@link DeviceError}
 */
export function devicesOf(
  { device, devices }: { device?: DeviceLike; devices?: readonly DeviceLike[] },
  name: string,
  { layers }: Preset,
): Devices {
  if (devices === undefined) return [Device.get(device)];
  if (device !== undefined) throw new ArgumentError(expected('either device or devices', 'devices', devices));
  const found = expectDevices(devices);
  if (found.length > 1 && !layers.some((layer) => layer.kind === 'conv' && layer.groups === found.length))
    throw new ArgumentError(expected('one of two columns, such as paper, for two devices', 'preset', name));
  return found;
}

/**
 * One device, or two that a network's columns can be on.
 * @throws {ArgumentError} {@link DeviceError}
 */
export function expectDevices(devices: readonly DeviceLike[]): Devices {
  if (!Array.isArray(devices)) throw new ArgumentError(expected('array of devices', 'devices', devices));
  const names: string = devices.join(', ');
  if (devices.length < 1 || devices.length > 2)
    throw new ArgumentError(expected('one device, or two for the columns,', 'devices', names));
  const kinds = new Set(devices.map((device: DeviceLike) => String(device).replace(/:.*/, '')));
  if (kinds.size > 1) throw new DeviceError(expected('devices of one kind, CPU or CUDA,', 'devices', names));
  const [first = Device.get(), ...others] = devices.map((device: DeviceLike) => Device.get(device));
  if (others.includes(first)) throw new ArgumentError(expected('each device once', 'devices', names));
  return [first, ...others];
}
