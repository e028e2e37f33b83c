import type { Command } from 'commander';
import type { Classifier } from '../train/classifier.js';
import { threads } from './options.js';

export interface ModelOptions {
  model: string;
  threads?: number;
  device?: string;
}

/** The options of a command that uses a trained model. */
export function addModelOptions(command: Command): Command {
  return command
    .requiredOption('--model <path>', 'model file, or folder of checkpoints: its last one')
    .option('--threads <n>', 'of each operation (default: all cores)', threads)
    .option('--device <name>', 'cpu, cpu:N, cuda or cuda:N (default: cpu)');
}

export async function openModel(options: ModelOptions): Promise<Classifier> {
  // Here, so that --help does without the addon.
  const { loadModel } = await import('../train/classifier.js');
  const { Device } = await import('../device.js');
  const device = Device.get(options.device);
  if (options.threads !== undefined) device.setThreads(options.threads);
  return loadModel(options.model, { device });
}
