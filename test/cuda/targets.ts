import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Context } from 'mocha';

const folder = fileURLToPath(new URL('../../build-cuda/', import.meta.url));
export const cudaAddon = join(folder, 'Release/node_cudnn_cuda.node');

/** What test/cuda/tests.cmake builds, by its target. */
const TARGETS = {
  plans: 'tests/plans',
  driver_stand_in: 'tests/driver_stand_in.so',
  node_cudnn_simulator: 'tests/node_cudnn_simulator.node',
  planted: 'tests/planted',
  node_cudnn_incomplete: 'tests/node_cudnn_incomplete.node',
  graph_check: 'tests/graph_check',
  launches: 'tests/launches',
  strict: 'tests/strict',
  stand_ins: 'tests/stand_ins',
} as const;

/** Skips the tests and says so where the CUDA addon was not built; NODE_CUDNN_TEST_CUDA=1 makes that a failure. */
export function needCuda(context: Context): void {
  if (existsSync(cudaAddon)) return;
  if (process.env.NODE_CUDNN_TEST_CUDA === '1') throw new Error(`there is no ${cudaAddon}`);
  console.log('      skipped: the CUDA addon is not built (npm run build:cuda)');
  context.skip();
}

/** The file of a target, which is made current. */
export function build(target: keyof typeof TARGETS): string {
  const args = ['--build', folder, '--target', target, '--parallel', '2'];
  const { status, stdout, stderr, error } = spawnSync('cmake', args, { encoding: 'utf8' });
  if (status !== 0) throw error ?? new Error(`cmake ${args.join(' ')}:\n${stdout}${stderr}`);
  return join(folder, TARGETS[target]);
}
