import { expect } from 'chai';
import { runProgram } from './child.js';

describe('the end of a process', () => {
  it('comes by itself after the import of the package', async () => {
    expect(await runProgram('import.mjs')).to.deep.equal({ code: 0, signal: null, stdout: '', stderr: '' });
  });

  it('comes by itself with work queued that nobody waits for', async () => {
    expect(await runProgram('exit.mjs', ['end'])).to.deep.equal({
      code: 0,
      signal: null,
      stdout: '',
      stderr: '',
    });
  });

  it('waits for a read', async () => {
    expect(await runProgram('exit.mjs', ['read'])).to.deep.equal({
      code: 0,
      signal: null,
      stdout: 'read 1\n',
      stderr: '',
    });
  });

  for (const how of ['exit', 'exit with a read']) {
    it(`by process.exit, with work queued: ${how}`, async () => {
      for (let i = 0; i < 5; i++) {
        expect(await runProgram('exit.mjs', [how])).to.deep.equal({
          code: 3,
          signal: null,
          stdout: '',
          stderr: '',
        });
      }
    });
  }

  it('by process.exit in the middle of an operation, on several threads', async () => {
    for (const turns of [0, 1, 10, 100, 1000]) {
      expect(await runProgram('exit_in_step.mjs', [String(turns)])).to.deep.equal({
        code: 3,
        signal: null,
        stdout: '',
        stderr: '',
      });
    }
  });

  it('with work that is queued by an exit handler', async () => {
    expect(await runProgram('exit.mjs', ['exit handler'])).to.deep.equal({
      code: 0,
      signal: null,
      stdout: '',
      stderr: '',
    });
  });

  it('by an uncaught error, with work queued', async () => {
    const { code, signal, stderr } = await runProgram('exit.mjs', ['throw']);
    expect({ code, signal }).to.deep.equal({ code: 1, signal: null });
    expect(stderr).to.match(/Error: on purpose/);
  });

  it('by an operation that fails and a read that nobody catches', async () => {
    const { code, signal, stderr } = await runProgram('exit.mjs', ['reject']);
    expect({ code, signal }).to.deep.equal({ code: 1, signal: null });
    expect(stderr).to.match(/OperationError: softmaxCrossEntropy failed/);
  });

  it('by a signal, with work queued', async () => {
    expect(await runProgram('exit.mjs', ['signal'])).to.deep.equal({
      code: null,
      signal: 'SIGTERM',
      stdout: '',
      stderr: '',
    });
  });

  for (const [how, lines] of [
    ['end', 'exit: 0'],
    ['read', 'read 1\nexit: 0'],
    ['exit', 'exit: 3'],
    ['exit with a read', 'exit: 3'],
    ['throw', 'error: on purpose\nexit: 1'],
  ]) {
    it(`of a worker does not harm the process: ${how}`, async () => {
      expect(await runProgram('exit.mjs', ['worker', how ?? ''])).to.deep.equal({
        code: 0,
        signal: null,
        stdout: `${lines}\nmain: 1\n`,
        stderr: '',
      });
    });
  }
});
