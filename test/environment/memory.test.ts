import { expect } from 'chai';
import { runProgram } from './child.js';

/** See programs/memory.mjs. */
const nodeArgs = ['--expose-gc', '--max-semi-space-size=1', '--no-opt', '--no-sparkplug'];

describe('memory', () => {
  it('that is resident is flat over 2,000 small steps', async () => {
    expect(await runProgram('memory.mjs', ['steps'], { nodeArgs })).to.deep.equal({
      code: 0,
      signal: null,
      stdout: 'memory flat\n',
      stderr: '',
    });
  });

  it('of 2 KiB a step would be seen', async () => {
    const { code, stdout } = await runProgram('memory.mjs', ['leak'], { nodeArgs });
    expect(code).to.equal(0);
    expect(stdout).to.match(/^(-?\d+,){6}-?\d+ bytes more\n$/);
  });

  it('of 2,000 models that were dropped without dispose() comes back by itself', async () => {
    expect(await runProgram('memory.mjs', ['models'], { nodeArgs })).to.deep.equal({
      code: 0,
      signal: null,
      stdout: 'memory flat\n0 0\n',
      stderr: '',
    });
  });

  it('of dropped tensors is collected in time, as V8 is told of its size', async () => {
    expect(await runProgram('memory.mjs', ['garbage'])).to.deep.equal({
      code: 0,
      signal: null,
      stdout: 'collected in time\n',
      stderr: '',
    });
  });
});
