import type { Device } from '../device.js';

type Facts = Readonly<Record<string, string>>;

/** What the last bits of a model's results depend on: see `Device.arithmetic`. */
export function arithmeticOf([first, ...others]: readonly [Device, ...Device[]]): Facts {
  if (others.length === 0) return first.arithmetic;
  const facts: Record<string, string> = { ...first.arithmetic, devices: [first, ...others].join(', ') };
  for (const device of others)
    for (const [name, value] of Object.entries(device.arithmetic))
      if (value !== facts[name]) facts[`${name} of ${device}`] = value;
  return facts;
}

/** What autotune chose on a model's devices: by what it serves, and of all but the first with the device's place before. */
export function choicesOf(devices: readonly Device[]): Facts {
  return Object.fromEntries(
    devices.flatMap((device, i) =>
      Object.entries(device.choices).map(([what, choice]) => [i === 0 ? what : `${i}/${what}`, choice]),
    ),
  );
}

/** Makes autotune take those. */
export function choose(devices: readonly Device[], choices: Facts): void {
  const entries = Object.entries(choices);
  for (const [i, device] of devices.entries()) {
    const own = entries.flatMap(([name, choice]) => {
      const [, place = '0', what = ''] = /^(?:(\d+)\/)?(.*)$/s.exec(name) ?? [];
      return Number(place) === i ? [[what, choice]] : [];
    });
    device.choose(Object.fromEntries(own));
  }
}
