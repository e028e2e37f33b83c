import { createRequire } from 'node:module';
import { expect } from 'chai';
import { cpuFeatures } from '../lib/bench/machine.js';
import { runCommand } from './support/child.js';

const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
const tests = [
  'test/ops.test.ts',
  'test/linear_large.test.ts',
  'test/conv2d_alexnet.test.ts',
  'test/lrn.test.ts',
];

describe('an older instruction set, on a processor that has AVX-512 (elsewhere skipped)', () => {
  before(function () {
    if (cpuFeatures()?.includes('avx512f') !== true) this.skip();
  });

  /** What then goes by another table, or by loops of our own that are compiled for it. */
  for (const [isa, forced] of [
    ['AVX2', ''],
    ['AVX2', 'winograd'],
    ['AVX2', 'onednn'],
    ['SSE41', ''],
    ['SSE41', 'winograd'],
    ['SSE41', 'onednn'],
    ['SSE41', 'windows'],
  ])
    it(`${isa}, ${forced || "the table's"} convolutions: conv2d, linear, matmul and lrn are as PyTorch`, async () => {
      const options = ['--no-config', '--timeout', '60000', '--reporter', 'dot'];
      const which = ['--grep', 'conv2d|linear|matmul|lrn'];
      const set = [`ONEDNN_MAX_CPU_ISA=${isa}`, `NODE_CUDNN_CONV2D=${forced}`];
      const command = [
        ...set,
        process.execPath,
        '--import',
        'tsx/esm',
        mocha,
        ...options,
        ...which,
        ...tests,
      ];
      const { code, stdout, stderr } = await runCommand('env', command, 110_000);
      expect(code, stdout + stderr).to.equal(0);
      expect(stdout).to.match(/\d{2,} passing/);
    });
});
