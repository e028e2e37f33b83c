import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { machine } from '../lib/bench/machine.js';
import { Device } from '../lib/device.js';
import { measureLaunches } from './launches.js';
import { hostTimes } from './tables.js';

const [CONVS, STEPS] = [1000, 20];

/**
 * What is measured is production's time and the simulator's own, which are not told apart: production's is less. On
 * a GPU CUDA's own takes the simulator's place.
 */
export async function printLaunches(json: boolean): Promise<void> {
  const simulator = new URL('../build-cuda/tests/node_cudnn_simulator.node', import.meta.url);
  if (!existsSync(simulator)) {
    console.log('skipped: the simulator is not built (npm run build:cuda, npm run test:simulator)');
    return;
  }
  const preload = new URL('../test/simulator/as_cuda.mjs', import.meta.url);
  process.env.NODE_CUDNN_SIMULATOR = 'devices=b200 arithmetic=none';
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --import ${fileURLToPath(preload)}`;
  await import(preload.href);
  const times = await measureLaunches(Device.get('cuda'), CONVS, STEPS);
  if (json) {
    console.log(JSON.stringify({ machine: machine(Device.get('cuda')), launches: times }));
    return;
  }
  console.table({
    'conv2d, µs': hostTimes(times.conv2d),
    'training step, µs': hostTimes(times.trainingStep),
  });
}
