import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const root = fileURLToPath(new URL('../', import.meta.url));
const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
const tests = ['test/ops.test.ts', 'test/gradients.test.ts', 'test/conv2d_alexnet.test.ts'];

/** The choice among implementations is made once for each process. */
async function runForced(NODE_CUDNN_CONV2D: string, args: readonly string[]): Promise<string> {
  const options = { cwd: root, env: { ...process.env, NODE_CUDNN_CONV2D } };
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx/esm', ...args],
      options,
    );
    return stdout;
  } catch (error) {
    throw new Error((error as { stdout: string }).stdout);
  }
}

describe('conv2d, all that an implementation supports computed by it', () => {
  for (const implementation of ['onednn', 'jit', 'blocked', 'im2col', 'winograd']) {
    it(implementation, async () => {
      const options = ['--no-config', '--timeout', '60000', '--reporter', 'dot', '--grep', 'conv2d'];
      await runForced(implementation, [mocha, ...options, ...tests]);
    });
  }

  /** The losses fall from 2.3 to LAST; Winograd's differ from the direct ones by MEASURED at most. */
  it('trains as well by Winograd as directly, step by step', async () => {
    const program = fileURLToPath(new URL('support/print_losses.ts', import.meta.url));
    const [direct = [], winograd = []] = await Promise.all(
      ['onednn', 'winograd'].map(
        async (implementation) => JSON.parse(await runForced(implementation, [program])) as number[],
      ),
    );
    expect(direct).to.have.length(200);
    const differences = direct.map((loss, step) => Math.abs(loss - (winograd[step] ?? Number.NaN)));
    console.log(direct[0], direct[199], Math.max(...differences), differences.filter((_, i) => i % 20 === 19));
  });
});
