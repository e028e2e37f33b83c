import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../', import.meta.url));
const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
const tests = ['test/ops.test.ts', 'test/gradients.test.ts'];

/** The choice among implementations is made once for each process. */
describe('conv2d, all that an implementation supports computed by it', () => {
  for (const NODE_CUDNN_CONV2D of ['onednn', 'jit', 'blocked', 'im2col', 'winograd']) {
    it(NODE_CUDNN_CONV2D, async () => {
      const options = { cwd: root, env: { ...process.env, NODE_CUDNN_CONV2D } };
      const args = [
        '--import',
        'tsx/esm',
        mocha,
        '--no-config',
        '--timeout',
        '60000',
        '--reporter',
        'dot',
        '--grep',
        'conv2d',
        ...tests,
      ];
      try {
        await promisify(execFile)(process.execPath, args, options);
      } catch (error) {
        throw new Error((error as { stdout: string }).stdout);
      }
    });
  }
});
