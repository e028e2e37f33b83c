import type { Classifier } from '../train/classifier.js';
import { type DeviceOptions, openDevice } from './device.js';

export const MODEL = ['--model <path>', 'model file, or folder of checkpoints: its last one'] as const;

export async function openModel(path: string, options: DeviceOptions): Promise<Classifier> {
  // Here, so that --help does without the addon.
  const { loadModel } = await import('../train/classifier.js');
  return loadModel(path, { device: openDevice(options) });
}
