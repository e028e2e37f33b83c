import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { runCommand } from '../support/child.js';
import { useTree } from './trees.js';

const PROGRAM = fileURLToPath(new URL('./print_batches.ts', import.meta.url));

describe('decoding threads', function () {
  this.timeout(120_000);
  const { at, paint } = useTree();

  it('change nothing of batches: pixels, order, crops, reflections, colours', async () => {
    for (let i = 0; i < 24; i++)
      await paint(`${i % 2 === 0 ? 'a' : 'b'}/${i}.jpg`, i, 280 + 40 * (i % 5), 300);
    const hashes: string[] = [];
    for (const threads of [1, 2, 9]) {
      const node = [process.execPath, '--import', 'tsx', PROGRAM, at(), String(threads)];
      const { code, stdout } = await runCommand('env', [`UV_THREADPOOL_SIZE=${threads}`, ...node], 100_000);
      expect(code).to.equal(0);
      hashes.push(stdout);
    }
    expect(hashes[0]).to.match(/^[0-9a-f]{64}$/);
    expect(new Set(hashes).size).to.equal(1);
  });
});
