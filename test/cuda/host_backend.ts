import { Device } from '../../lib/device.js';
import { ArgumentError, NonFiniteError, OperationError } from '../../lib/errors.js';
import type { NativeBackend } from '../../lib/native.js';

/** The devices of the addon that has our CUDA kernels on the CPU. */
export function hostDevices(addon: string): readonly [Device, Device] {
  const module = { exports: {} as NativeBackend };
  process.dlopen(module, addon);
  const backend = module.exports;
  backend.initialize((code, message, op) =>
    code === 4
      ? new NonFiniteError(message, op)
      : op === ''
        ? new ArgumentError(message)
        : new OperationError(message, op),
  );
  process.once('exit', () => backend.stop());
  // The constructor is lib/'s own: there is no device of this kind for users.
  const make = (index: number): Device => Reflect.construct(Device, [`host:${index}`, index, backend]);
  return [make(0), make(1)];
}
