import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { Device } from '../lib/device.js';
import { expectClose } from './support/compare.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
const program = fileURLToPath(new URL('support/print_losses.ts', import.meta.url));
const tests = ['test/ops.test.ts', 'test/gradients.test.ts', 'test/conv2d_alexnet.test.ts'];

interface Losses {
  readonly losses: readonly number[];
  readonly implementations: Readonly<Record<string, readonly string[]>>;
}
const train = async (implementation: string, steps: number): Promise<Losses> =>
  JSON.parse(await runForced(implementation, [program, String(steps)]));

/** The choice among implementations is made once for each process. */
async function runForced(
  NODE_CUDNN_CONV2D: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const options = { cwd: root, env: { ...process.env, ...env, NODE_CUDNN_CONV2D } };
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx/esm', ...args], options);
    return stdout;
  } catch (error) {
    throw new Error((error as { stdout: string }).stdout);
  }
}

describe('conv2d, all that an implementation supports computed by it', () => {
  for (const implementation of ['onednn', 'jit', 'blocked', 'im2col', 'windows', 'winograd']) {
    it(implementation, async () => {
      const options = ['--no-config', '--timeout', '60000', '--reporter', 'dot', '--grep', 'conv2d'];
      await runForced(implementation, [mocha, ...options, ...tests]);
    });

    it(`${implementation} computes where it is forced`, async () => {
      const { implementations } = await train(implementation, 1);
      expect(implementations).to.have.all.keys('conv2d', 'conv2dBackwardData', 'conv2dBackwardFilter');
      for (const [op, names] of Object.entries(implementations)) {
        const isForFilters = implementation === 'blocked' || implementation === 'windows';
        if (isForFilters && op !== 'conv2dBackwardFilter') expect(names, op).to.not.include(implementation);
        // Of the network's three conv1 only is one that it supports.
        else if (implementation === 'windows') expect(names, op).to.include(implementation);
        else expect(names, op).to.deep.equal([implementation]);
      }
    });
  }

  it("onednn's filters are transposed by a kernel of our own", async function () {
    // The blocks of older instruction sets have input channels in them too.
    if (Device.get().arithmetic.instructionSet?.startsWith('AVX') !== true) this.skip();
    const convolve = `import { conv2d, randn } from './dist/index.js';
      const [x, weight] = [[1, 13, 13, 64], [96, 3, 3, 64]].map((shape, seed) => randn(shape, { seed }));
      await conv2d(x, weight, { padding: 1 }).data();`;
    const log = await runForced('onednn', ['--input-type=module', '--eval', convolve], {
      ONEDNN_VERBOSE: '1',
    });
    expect(log).to.match(/exec,cpu,convolution/);
    expect(log).to.not.match(/exec,cpu,reorder/);
  });

  /** The loss falls from 2.3 to 0.11; measured are differences of 4e-7 at most, 3e-7 between im2col's and oneDNN's. */
  it('trains as well by Winograd as directly, over 200 steps', async function () {
    this.timeout(300_000);
    const [{ losses: direct }, { losses: winograd }] = await Promise.all([
      train('onednn', 200),
      train('winograd', 200),
    ]);
    expect(direct).to.have.length(200);
    expect(direct.at(-1)).to.be.lessThan(0.2);
    expectClose('losses', winograd, direct, 2e-6);
    expect(winograd, 'bits of two ways to compute').to.not.deep.equal(direct);
  });
});
