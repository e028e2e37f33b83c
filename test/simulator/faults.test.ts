import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { build, needCuda } from '../cuda/targets.js';
import type { Calls, Outcome, Phase, Trial } from './faults.js';
import { FAULTS, SEEDS } from './simulator.js';

const program = fileURLToPath(new URL('./faults.ts', import.meta.url));
const PHASES: readonly Phase[] = ['use', 'first step', 'later step', 'two devices'];
/** The steps of other optimizers than SGD differ by their updates alone. */
const LAUNCH = 'cudaLaunchKernel';
/** A device takes 70 MB. */
const DEVICES = 24;
/** How many of a call's times fail where each needs a device of its own. */
const TIMES = Math.max(3, Math.min(SEEDS.length, 12));

/** So many numbers from 1 to `most`, the first and the last among them. */
function spread(most: number, count: number): number[] {
  const last = Math.min(most, count) - 1;
  return Array.from({ length: last + 1 }, (_, i) =>
    last === 0 ? 1 : 1 + Math.round((i * (most - 1)) / last),
  );
}

describe('simulator: any call of a training step fails', function () {
  this.timeout(600_000);
  let addon: string;
  let calls: Calls;

  function run(trials: readonly Trial[]): string[] {
    const own = trials.map(({ phase }) => (phase === 'two devices' ? 2 : 1));
    const most = own.reduce((sum, each) => sum + each, 0);
    const devices = Array<string>(Math.min(most, DEVICES) + 4).fill('h100');
    const env = {
      ...process.env,
      NODE_CUDNN_SIMULATOR: `devices=${devices.join(',')} seed=${trials.length}`,
    };
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx/esm', program, addon],
      {
        env,
        input: trials.map((trial) => JSON.stringify(trial)).join('\n'),
        encoding: 'utf8',
        maxBuffer: 2 ** 26,
      },
    );
    expect([status, signal, stderr], JSON.stringify(trials)).to.deep.equal([0, null, '']);
    return stdout.trimEnd().split('\n');
  }

  before(function () {
    needCuda(this);
    addon = build('node_cudnn_simulator');
    calls = JSON.parse(run([])[0] ?? '') as Calls;
  });

  for (const fault of FAULTS) {
    for (const phase of PHASES) {
      it(`${fault} in ${phase === 'two devices' ? 'a step of' : "a device's"} ${phase}: it is told, and the next step is ${fault === 'DeviceLost' ? 'refused' : 'right'}`, () => {
        const isNew = phase !== 'later step' || fault === 'DeviceLost';
        const trials = Object.entries(calls[phase]).flatMap(([call, count]) =>
          spread(count, isNew ? TIMES : count).flatMap((nth): Trial[] =>
            (call === LAUNCH && !isNew ? (['SGD', 'Adam'] as const) : (['SGD'] as const)).map(
              (optimizer) => ({ call, nth, fault, phase, optimizer }),
            ),
          ),
        );
        const outcomes: Outcome[] = [];
        const together = isNew ? DEVICES / (phase === 'two devices' ? 2 : 1) : trials.length;
        for (let at = 0; at < trials.length; at += together)
          for (const line of run(trials.slice(at, at + together))) outcomes.push(JSON.parse(line) as Outcome);
        expect(outcomes).to.have.lengthOf(trials.length);
        const wrong = outcomes.filter(({ problems }) => problems.length > 0);
        expect(wrong).to.deep.equal([]);
        const silent = outcomes.filter(({ errors }) => errors.length === 0);
        console.log(
          `        ${outcomes.length} calls; without an error and right all the same: ` +
            `${silent.map(({ call, nth }) => `${call} ${nth}`).join(', ') || 'none'}`,
        );
      });
    }
  }
});
