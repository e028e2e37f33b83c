import type { Command } from 'commander';
import type { Classifier } from '../train/classifier.js';
import { addDeviceOptions, type DeviceOptions, openDevice } from './device.js';

export interface ModelOptions extends DeviceOptions {
  model: string;
}

/** The options of a command that uses a trained model. */
export function addModelOptions(command: Command): Command {
  return addDeviceOptions(
    command.requiredOption('--model <path>', 'model file, or folder of checkpoints: its last one'),
  );
}

export async function openModel(options: ModelOptions): Promise<Classifier> {
  // Here, so that --help does without the addon.
  const { loadModel } = await import('../train/classifier.js');
  return loadModel(options.model, { device: openDevice(options) });
}
