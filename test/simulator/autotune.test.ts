import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { MAIN, useFolder } from '../cli/alexnet.js';
import { BLUE, RED, writePictures } from '../cli/pictures.js';
import { build, needCuda } from '../cuda/targets.js';
import type { Step } from './autotune.js';
import { SEEDS } from './simulator.js';

const program = fileURLToPath(new URL('./autotune.ts', import.meta.url));
const asCuda = fileURLToPath(new URL('./as_cuda.mjs', import.meta.url));
/** Forward, data gradient and filter gradient. */
const PASSES = 3;
/** Of each plan, after one that is not timed. */
const RUNS = 4;

describe('simulator: autotune', function () {
  this.timeout(600_000);
  let addon: string;
  before(function () {
    needCuda(this);
    addon = build('node_cudnn_simulator');
  });

  for (const cudnn of ['real', 'none'])
    for (const seed of SEEDS) {
      describe(`seed ${seed}, ${cudnn === 'real' ? 'plans of the real cuDNN' : 'plans of the simulator'}`, () => {
        let steps: Map<string, Step>;
        const step = (what: string): Step => {
          const found = steps.get(what);
          if (found === undefined) throw new Error(`no step ${what}`);
          return found;
        };

        before(() => {
          const settings = `devices=h100,h100,t4,a100 seed=${seed}${cudnn === 'none' ? ' cudnn=none' : ''}`;
          const { status, signal, stdout, stderr } = spawnSync(
            process.execPath,
            ['--import', 'tsx/esm', program, addon],
            { env: { ...process.env, NODE_CUDNN_SIMULATOR: settings }, encoding: 'utf8' },
          );
          expect([status, signal, stderr]).to.deep.equal([0, null, '']);
          steps = new Map((JSON.parse(stdout) as Step[]).map((each) => [each.what, each]));
        });

        it('computes what the CPU backend does', () => {
          for (const [what, { error }] of steps) expect(error, what).to.be.below(1e-5);
        });

        it('measures the plans of each pass once, and keeps their names', () => {
          const { timed, executed, choices } = step('first');
          expect(Object.keys(choices)).to.have.lengthOf(PASSES);
          for (const name of Object.values(choices)) expect(name).to.match(/^eng\d+/);
          expect(timed).to.be.above(PASSES * RUNS);
          expect(timed % RUNS).to.equal(0);
          expect(executed).to.equal(timed + PASSES);
          const again = step('again');
          expect([again.timed, again.executed]).to.deep.equal([0, PASSES]);
          expect(again.choices).to.deep.equal(choices);
          expect(again.sameAsFirst).to.equal(true);
        });

        it('takes what was chosen on a device that is alike, and gets the same bits', () => {
          const alike = step('alike, with the choices');
          expect([alike.timed, alike.executed]).to.deep.equal([0, PASSES]);
          expect(alike.choices).to.deep.equal(step('first').choices);
          expect(alike.sameAsFirst).to.equal(true);
        });

        it('measures where a choice is not to be had', () => {
          const { timed, choices } = step('choices of another device');
          expect(timed).to.be.at.least(PASSES * RUNS);
          expect(Object.keys(choices)).to.deep.equal(Object.keys(step('first').choices));
          for (const name of Object.values(choices)) expect(name).to.match(/^eng\d+/);
        });

        it('passes over a plan that fails', () => {
          const { timed, choices } = step('a plan fails');
          expect(timed).to.be.above(0);
          expect(Object.keys(choices)).to.have.lengthOf(PASSES);
        });

        it('measures nothing where it is off', () => {
          const { timed, executed } = step('off');
          expect([timed, executed]).to.deep.equal([0, PASSES]);
        });
      });
    }

  describe('in training', () => {
    const folder = useFolder();
    const at = (...path: string[]) => join(folder(), ...path);
    const saved = { NODE_OPTIONS: '', NODE_CUDNN_SIMULATOR: '', XDG_CACHE_HOME: '' };
    before(async () => {
      for (const name of ['NODE_OPTIONS', 'NODE_CUDNN_SIMULATOR', 'XDG_CACHE_HOME'] as const)
        saved[name] = process.env[name] ?? '';
      process.env.NODE_OPTIONS = `--import=${asCuda}`;
      process.env.XDG_CACHE_HOME = at('cache');
      await writePictures(at('train'), { blue: BLUE, red: RED }, 3);
      await writePictures(at('val'), { blue: BLUE, red: RED }, 1);
    });
    after(() => {
      Object.assign(process.env, saved);
    });

    /** The losses of a training, which is stopped after a step of that number. */
    async function train(seed: number, args: readonly string[], stopAfter = Number.POSITIVE_INFINITY) {
      process.env.NODE_CUDNN_SIMULATOR = `devices=h100 seed=${seed}`;
      const child = spawn(process.execPath, [MAIN, 'train', ...args, '--json'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const losses: unknown[] = [];
      createInterface(child.stdout).on('line', (line) => {
        const { event, step, loss } = JSON.parse(line);
        if (event === 'step') losses.push(loss);
        if (event === 'step' && step === stopAfter) child.kill('SIGINT');
      });
      const [status] = await once(child, 'close');
      expect(status).to.equal(stopAfter < Number.POSITIVE_INFINITY ? 130 : 0);
      return losses;
    }

    it('a run that is stopped goes on with what was chosen, to the very file of one that is not', async () => {
      const data = ['--data', at('train'), '--val', at('val')];
      const recipe = ['--batch', '2', '--epochs', '3', '--optimizer', 'sgd', '--lr', '1e-5'];
      await train(1, [...data, ...recipe, '--device', 'cuda', '--autotune', '--out', at('straight')], 1);
      await cp(at('straight'), at('stopped'), { recursive: true });
      // Of other seeds: what is measured anew is chosen otherwise.
      const straight = await train(2, ['--resume', at('straight')]);
      const stopped = [
        ...(await train(3, ['--resume', at('stopped')], 4)),
        ...(await train(4, ['--resume', at('stopped')])),
      ];
      expect(stopped).to.deep.equal(straight);
      const [wanted, actual] = await Promise.all(
        ['straight', 'stopped'].map((run) => readFile(at(run, 'last.safetensors'))),
      );
      expect(actual?.equals(wanted ?? Buffer.of()), 'equal files').to.equal(true);
    });
  });
});
