import { expect } from 'chai';
import { runProgram } from './child.js';

describe('memory', () => {
  it('that is resident is flat over 2,000 small steps', async () => {
    expect(
      await runProgram('memory.mjs', ['steps'], { nodeArgs: ['--expose-gc', '--max-semi-space-size=1'] }),
    ).to.deep.equal({
      code: 0,
      signal: null,
      stdout: 'memory flat\n',
      stderr: '',
    });
  });

  it('of 2,000 models that were dropped without dispose() comes back by itself', async () => {
    expect(
      await runProgram('memory.mjs', ['models'], { nodeArgs: ['--expose-gc', '--max-semi-space-size=1'] }),
    ).to.deep.equal({
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
