import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { build, needCuda } from '../cuda/targets.js';

/** Lines of test/simulator/checks/graph_check.cc. */
interface Run {
  case: string;
  pass: string;
  device: number;
  tf32: number;
  engine: string;
  workspace: number;
  /** max|a − b| / max|b| against sums in double. */
  error: number;
  /** Whether nothing around the output and the workspace was written. */
  whole: number;
}
interface Misuse {
  misuse: string;
  told: string;
  error: string;
}
interface Report {
  runs: Run[];
  misuses: Misuse[];
  strides: number;
  left: number;
}

const CASES = 9;
const folder = fileURLToPath(new URL('../cuda/devices/', import.meta.url));
const devices = readdirSync(folder).map((file) => join(folder, file));

function check(cudnn: 'real' | 'alone'): Report {
  const { status, signal, stdout, stderr } = spawnSync(build('graph_check'), [cudnn, ...devices], {
    encoding: 'utf8',
  });
  expect([status, signal, stderr]).to.deep.equal([0, null, '']);
  const lines: unknown[] = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const only = <T>(key: string): T[] => lines.filter((line): line is T => key in Object(line));
  const [strides = { strides: Number.NaN }] = only<{ strides: number }>('strides');
  const [left = { left: Number.NaN }] = only<{ left: number }>('left');
  return { runs: only<Run>('case'), misuses: only<Misuse>('misuse'), ...strides, ...left };
}

for (const cudnn of ['real', 'alone'] as const) {
  describe(`The simulator's graphs, ${cudnn === 'real' ? 'with the real cuDNN' : 'alone'}`, function () {
    this.timeout(600_000);
    let report: Report;
    before(function () {
      needCuda(this);
      report = check(cudnn);
    });

    it('compute every convolution on every device', () => {
      expect(devices).to.have.lengthOf(5);
      const graphs = new Set(report.runs.map((run) => `${run.case} ${run.pass} ${run.device} ${run.tf32}`));
      expect(graphs.size).to.equal(CASES * devices.length * 3 * 2);
      const wrong = report.runs.filter(({ tf32, error }) => !(error < (tf32 ? 1e-3 : 1e-6)));
      expect(wrong).to.deep.equal([]);
      expect(report.runs.filter(({ whole }) => whole !== 1)).to.deep.equal([]);
      expect(report.strides).to.be.below(1e-6);
    });

    it('round to TF32 where the plan does', () => {
      const rounded = report.runs.filter(({ error }) => error > 1e-5);
      expect(rounded.length).to.be.above(0);
      expect(rounded.filter(({ tf32 }) => tf32 !== 1)).to.deep.equal([]);
    });

    if (cudnn === 'alone')
      it('are computed by no engine that the caller avoids', () => {
        // Without TF32 the caller asks for repeatable bits too: cudnn_graph.cc says which engine is which.
        const enginesOf = (asked: number) =>
          new Set(report.runs.filter(({ tf32 }) => tf32 === asked).map(({ engine }) => engine.slice(0, 4)));
        expect([...enginesOf(0)]).to.deep.equal(['eng0']);
        expect([...enginesOf(1)].sort()).to.deep.equal(['eng0', 'eng1', 'eng2']);
      });

    it('need workspaces and have names', () => {
      expect(report.runs.some(({ workspace }) => workspace > 0)).to.equal(true);
      expect(report.runs.some(({ workspace }) => workspace === 0)).to.equal(true);
      const names = new Set(report.runs.map(({ engine }) => engine));
      expect(names.size).to.be.at.least(cudnn === 'real' ? 50 : 3);
      for (const engine of names) expect(engine).to.match(/^eng\d+/);
    });

    it('leave no descriptor', () => {
      expect(report.left).to.equal(0);
    });

    it('tell misuse', () => {
      const told = Object.fromEntries(
        report.misuses.map(({ misuse, told, error }) => [misuse, told || error]),
      );
      expect(told.none).to.equal('');
      const wanted: Record<string, RegExp> = {
        "another device's handle": /^cudnnBackendExecute: device 0's plan by device 1's handle/,
        'another current device': /^cudnnBackendExecute: device 0's handle while device 1 is current/,
        'a pointer of small alignment': /^cudnnBackendExecute: tensor 1 at .* no multiple of 16/,
        'a null pointer': /^cudnnBackendExecute: tensor 1 at .* null/,
        'output over input': /^cudnnBackendExecute: what is written.*overlaps/,
        'beyond a block': /outside of a block/,
        'a workspace too small': /outside of a block/,
        'no workspace': /workspace but received null/,
        'a workspace over the output': /^cudnnBackendExecute: what is written.*overlaps/,
        'an attribute of another type': /^status 2010$/,
        'too many elements': /^status 2000$/,
        'an unknown attribute': /does not know attribute 904/,
        'an incomplete descriptor': /^status 2000$/,
        'getting before finalizing': /^status 2004$/,
        'a destroyed descriptor': /^cudnnBackendFinalize: a descriptor that does not exist/,
        'destroying twice': /^cudnnBackendDestroyDescriptor: a descriptor that does not exist/,
      };
      expect(Object.keys(told).sort()).to.deep.equal([...Object.keys(wanted), 'none'].sort());
      for (const [misuse, message] of Object.entries(wanted)) expect(told[misuse], misuse).to.match(message);
    });
  });
}
