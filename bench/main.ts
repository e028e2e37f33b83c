import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { printLaunches } from './launches_simulated.js';
import { machine } from './machine.js';
import { type Result, runTrial, type Trial } from './network.js';

/**
 * `npm run bench [-- --json] [--peers torch]`: the whole network, `paper` preset, 227 pixels. Each trial has a process
 * of its own; a peer's follows ours at once, so that both see the same machine. `--launches`: what operations cost on
 * the host, on the simulator of CUDA with its arithmetic off.
 */
const TRIALS: readonly Trial[] = [
  { kind: 'train', batch: 128, steps: 8 },
  { kind: 'infer', batch: 128, steps: 10 },
  { kind: 'infer', batch: 1, steps: 100 },
];

interface Row {
  trial: Trial;
  ours: Result;
  /** PyTorch in eager mode. */
  torch?: Result;
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    peers: { type: 'string' },
    trial: { type: 'string' },
    launches: { type: 'boolean', default: false },
  },
});

if (values.trial !== undefined) {
  runTrial(JSON.parse(values.trial) as Trial).then((result) => console.log(JSON.stringify(result)));
} else if (values.launches) {
  printLaunches(values.json);
} else {
  const rows = TRIALS.map((trial): Row => {
    const ours = measure(trial);
    return values.peers === 'torch' ? { trial, ours, torch: measureTorch(trial) } : { trial, ours };
  });
  if (values.json) printJson(rows);
  else printTable(rows);
}

function measure(trial: Trial): Result {
  const self = fileURLToPath(import.meta.url);
  return run(process.execPath, [...process.execArgv, self, '--trial', JSON.stringify(trial)]);
}

/** `NODE_CUDNN_TEST_PYTHON` names a Python with PyTorch. */
function measureTorch({ kind, batch, steps }: Trial): Result {
  const script = fileURLToPath(new URL('peers/alexnet_torch.py', import.meta.url));
  return run(process.env.NODE_CUDNN_TEST_PYTHON ?? 'python3', [script, kind, String(batch), String(steps)]);
}

function run(command: string, args: readonly string[]): Result {
  const child = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.status !== 0) {
    throw new Error(`Expected exit code 0 for ${command} ${args.join(' ')} but received ${child.status}`);
  }
  return JSON.parse(child.stdout) as Result;
}

function printJson(rows: readonly Row[]): void {
  const of = (kind: Trial['kind']) =>
    rows
      .filter(({ trial }) => trial.kind === kind)
      .map(({ ours, torch }) => (torch === undefined ? ours : { ...ours, torch }));
  console.log(JSON.stringify({ machine: machine(), train: of('train'), infer: of('infer') }));
}

function printTable(rows: readonly Row[]): void {
  const facts = Object.entries(machine()).map(([name, value]) => `${name}: ${value}`);
  console.log(facts.join(', '));
  console.table(
    rows.map(({ trial, ours, torch }) => ({
      what: trial.kind === 'train' ? 'training' : 'inference',
      batch: trial.batch,
      'images/s': rounded(ours.imagesPerSecond),
      'median ms': rounded(ours.stepMs.median),
      'peak resident GB': rounded(ours.peakResidentBytes / 1e9, 2),
      ...(torch === undefined
        ? {}
        : {
            'PyTorch images/s': rounded(torch.imagesPerSecond),
            ratio: rounded(ours.imagesPerSecond / torch.imagesPerSecond, 2),
            'PyTorch GB': rounded(torch.peakResidentBytes / 1e9, 2),
          }),
    })),
  );
  for (const { trial, ours } of rows) {
    const { name, ms } = ours.longestCall;
    console.log(`longest native call, ${trial.kind} ${trial.batch}: ${name} ${rounded(ms, 2)} ms`);
    if (ours.eventLoopDelayMs === undefined) continue;
    const { idle, training, resolution } = ours.eventLoopDelayMs;
    console.log(
      `event-loop delay p99 (resolution ${resolution} ms): idle ${rounded(idle)} ms, training ${rounded(training)} ms`,
    );
  }
}

function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
