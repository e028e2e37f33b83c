import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { CONVOLUTION_DEFAULTS, type ConvolutionOptions, Device } from '../device.js';
import { expectDevices } from '../models/placement.js';
import { recall } from './autotune.js';
import { threads } from './options.js';

export interface DeviceOptions extends ConvolutionOptions {
  device?: string;
  threads?: number;
}

/** The options of a command that computes. */
export function addDeviceOptions(command: Command): Command {
  return command
    .option('--device <name>', 'cpu, cpu:N, cuda or cuda:N (default: cpu)')
    .option('--threads <n>', 'of each operation on a CPU (default: all cores)', threads)
    .option('--no-tf32', 'CUDA: convolutions of unrounded float32 (default: TF32 where the GPU has it)')
    .option('--deterministic', 'CUDA: convolutions that give equal bits for equal inputs')
    .option(
      '--autotune',
      'for each convolution the fastest implementation, measured at its first call and remembered on disk',
    );
}

/**
 * The devices of a network's columns, or one: names with commas between. CPU devices share the cores, unless `threads`
 * says how many each has.
 * @throws {DeviceError} {@link ArgumentError}
 */
export function openDevices(names: string, options: Omit<DeviceOptions, 'device'>): readonly Device[] {
  const devices = expectDevices(names.split(','));
  const share = Math.max(1, Math.floor(availableParallelism() / devices.length));
  for (const { name } of devices) {
    const isShare = devices.length > 1 && name.startsWith('cpu');
    openDevice({ ...options, device: name, ...(isShare ? { threads: options.threads ?? share } : {}) });
  }
  return devices;
}

/**
 * With `autotune` it has what earlier commands chose.
 * @throws {DeviceError} {@link ArgumentError} where options of CUDA are given for a CPU
 */
export function openDevice({ device: name, threads, ...given }: DeviceOptions): Device {
  const device = Device.get(name);
  if (threads !== undefined) device.setThreads(threads);
  device.setConvolutions(changedConvolutions(given));
  if (given.autotune) recall(device);
  return device;
}

/** Without those that are as they are by default, which a CPU does not have. */
export function changedConvolutions(given: ConvolutionOptions): ConvolutionOptions {
  const options = ['tf32', 'deterministic', 'autotune'] as const;
  return Object.fromEntries(
    options
      .map((option) => [option, given[option] ?? CONVOLUTION_DEFAULTS[option]] as const)
      .filter(([option, value]) => value !== CONVOLUTION_DEFAULTS[option]),
  );
}
