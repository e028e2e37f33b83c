import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machine } from './machine.js';
import { type Result, runTrial, type Trial } from './network.js';

/** `npm run bench [-- --json]`: the whole network, `paper` preset, 227 pixels, each trial in a process of its own. */
const TRIALS: readonly Trial[] = [
  { kind: 'train', batch: 128, steps: 8 },
  { kind: 'infer', batch: 128, steps: 10 },
  { kind: 'infer', batch: 1, steps: 100 },
];

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, trial: { type: 'string' } },
});

if (values.trial !== undefined) {
  runTrial(JSON.parse(values.trial) as Trial).then((result) => console.log(JSON.stringify(result)));
} else {
  const results = TRIALS.map((trial) => ({ trial, result: measure(trial) }));
  const of = (kind: Trial['kind']) =>
    results.filter(({ trial }) => trial.kind === kind).map(({ result }) => result);
  const report = { machine: machine(), train: of('train'), infer: of('infer') };
  if (values.json) console.log(JSON.stringify(report));
  else print(report);
}

function measure(trial: Trial): Result {
  const self = fileURLToPath(import.meta.url);
  const child = spawnSync(process.execPath, [...process.execArgv, self, '--trial', JSON.stringify(trial)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.status !== 0)
    throw new Error(`Expected exit code 0 for ${JSON.stringify(trial)} but received ${child.status}`);
  return JSON.parse(child.stdout) as Result;
}

function print(report: { machine: Record<string, unknown>; train: Result[]; infer: Result[] }): void {
  console.log(
    Object.entries(report.machine)
      .map(([name, value]) => `${name}: ${value}`)
      .join(', '),
  );
  const row = (what: string) => (result: Result) => ({
    what,
    batch: result.batch,
    'images/s': Number(result.imagesPerSecond.toFixed(1)),
    'median ms': Number(result.stepMs.median.toFixed(1)),
    'p99 ms': Number(result.stepMs.p99.toFixed(1)),
    'peak resident GB': Number((result.peakResidentBytes / 1e9).toFixed(2)),
  });
  console.table([...report.train.map(row('training')), ...report.infer.map(row('inference'))]);
  for (const { eventLoopDelayMs: delay } of report.train) {
    if (delay === undefined) continue;
    const { idle, training, resolution } = delay;
    console.log(
      `event-loop delay p99 (resolution ${resolution} ms): idle ${idle.toFixed(1)} ms, training ${training.toFixed(1)} ms`,
    );
  }
}
