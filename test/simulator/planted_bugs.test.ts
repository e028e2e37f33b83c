import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { build, needCuda } from '../cuda/targets.js';
import { runNode } from '../support/child.js';

/**
 * In one source of native/cuda, `to` instead of `from`; what is told first has to be `caught`, where blocks are exact in
 * that mode.
 */
interface Bug {
  readonly name: string;
  readonly title: string;
  readonly does: string;
  readonly exact?: true;
  readonly caught: string;
}
const bugs = JSON.parse(
  readFileSync(new URL('./planted_bugs.json', import.meta.url), 'utf8'),
) as readonly Bug[];
const scenario = fileURLToPath(new URL('./scenario.ts', import.meta.url));

describe('simulator: what it finds', function () {
  this.timeout(600_000);
  const run = (addon: string, exact = false) =>
    runNode(['--import', 'tsx/esm', scenario, addon, ...(exact ? ['exact'] : [])], 300_000);
  const SETTINGS = 'devices=h100,h100,h100 peers=0,1';
  const outside = process.env.NODE_CUDNN_SIMULATOR;
  let planted: string;
  before(function () {
    needCuda(this);
    process.env.NODE_CUDNN_SIMULATOR = SETTINGS;
    planted = build('planted');
  });
  after(() => {
    if (outside === undefined) delete process.env.NODE_CUDNN_SIMULATOR;
    else process.env.NODE_CUDNN_SIMULATOR = outside;
  });

  it('is nothing where nothing is wrong', async () => {
    for (const exact of [false, true])
      expect(await run(build('node_cudnn_simulator'), exact)).to.include({
        code: 0,
        signal: null,
        stderr: '',
      });
  });

  it('is nothing where the real cuDNN is not there', async () => {
    process.env.NODE_CUDNN_SIMULATOR = `${SETTINGS} cudnn=none`;
    try {
      expect(await run(build('node_cudnn_simulator'))).to.include({ code: 0, signal: null, stderr: '' });
    } finally {
      process.env.NODE_CUDNN_SIMULATOR = SETTINGS;
    }
  });

  for (const { name, title, does, caught, exact } of bugs) {
    it(`planted bug: ${title}: ${does}`, async () => {
      const { code, signal, stderr } = await run(join(planted, `${name}.node`), exact);
      expect(stderr.split('\n')[0]).to.match(new RegExp(caught));
      // Wrong numbers are told by those who compare them.
      if (!/^(numbers|a copy)/.test(stderr)) expect(code === 99 || signal === 'SIGSEGV').to.equal(true);
    });
  }
});
