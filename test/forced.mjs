// npm run test:forced [-- FILE …]: the test suite, or some of its files, with each implementation of conv2d in turn
// computing all that it supports. NODE_CUDNN_CONV2D names one to run it with that only.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
const { NODE_CUDNN_CONV2D: only } = process.env;
const files = process.argv.slice(2);
const failed = [];

for (const implementation of only ? [only] : ['onednn', 'jit', 'blocked', 'im2col', 'windows', 'winograd']) {
  console.log(`NODE_CUDNN_CONV2D=${implementation}`);
  const { status } = spawnSync(
    process.execPath,
    [mocha, ...(files.length > 0 ? files : ['test/**/*.test.ts'])],
    {
      cwd: fileURLToPath(new URL('../', import.meta.url)),
      stdio: 'inherit',
      env: { ...process.env, NODE_CUDNN_CONV2D: implementation },
    },
  );
  if (status !== 0) failed.push(implementation);
}
if (failed.length > 0) {
  console.error(`Failed with ${failed.join(', ')}`);
  process.exit(1);
}
