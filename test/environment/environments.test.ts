import { expect } from 'chai';
import { runProgram } from './child.js';

describe('several environments', () => {
  it('train at a time in workers, each with devices of its own', async () => {
    expect(await runProgram('workers.mjs')).to.deep.equal({
      code: 0,
      signal: null,
      stdout: '1 50 0\n',
      stderr: '',
    });
  });

  it('end by terminate() in the middle of calls, 200 times', async function () {
    this.timeout(300_000);
    // Otherwise the C library keeps some MiB more for each thread that has ended, now and then.
    const env = { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '65536' };
    expect(await runProgram('terminate.mjs', [], { limitMs: 290_000, env })).to.deep.equal({
      code: 0,
      signal: null,
      stdout: '200 ended, memory flat\n1,2\n',
      stderr: '',
    });
  });

  it('are refused the tensors and handles of another copy of the package', async () => {
    const refusals = [
      'ArgumentError: Expected tensor for b but received an object of class Tensor',
      'ArgumentError: Expected tensor handle of this environment but received another value',
    ];
    const each = ['4,6 4,6', ...refusals];
    expect(await runProgram('copies.mjs')).to.deep.equal({
      code: 0,
      signal: null,
      stdout: [...each, ...each, ''].join('\n'),
      stderr: '',
    });
  });

  it('may be vm contexts, whose values have classes of their own', async () => {
    expect(await runProgram('vm.mjs')).to.deep.equal({
      code: 0,
      signal: null,
      stdout: 'Float32Array 2 4 6, Uint8Array 1 2\n0\n',
      stderr: '',
    });
  });
});
