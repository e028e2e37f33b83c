import { createRequire } from 'node:module';
import { expect } from 'chai';
import { cpuFeatures } from '../lib/bench/machine.js';
import { runCommand } from './support/child.js';

const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
const tests = ['test/ops.test.ts', 'test/linear_large.test.ts', 'test/conv2d_alexnet.test.ts'];

describe('AVX2, on a processor that has AVX-512 (elsewhere skipped: it is what all tests run on)', () => {
  before(function () {
    if (cpuFeatures()?.includes('avx512f') !== true) this.skip();
  });

  /** What then goes by another table, or by a loop of our own. */
  it('conv2d, linear and matmul are as PyTorch', async () => {
    const options = [
      '--no-config',
      '--timeout',
      '60000',
      '--reporter',
      'dot',
      '--grep',
      'conv2d|linear|matmul',
    ];
    const command = ['ONEDNN_MAX_CPU_ISA=AVX2', process.execPath, '--import', 'tsx/esm', mocha];
    const { code, stdout, stderr } = await runCommand('env', [...command, ...options, ...tests], 110_000);
    expect(code, stdout + stderr).to.equal(0);
    expect(stdout).to.match(/\d{2,} passing/);
  });
});
