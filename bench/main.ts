import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type Machine, machine } from '../lib/bench/machine.js';
import { measureNetwork, type NetworkRow, networkTrials } from '../lib/bench/network.js';
import { runJson, runTrialProcess } from '../lib/bench/processes.js';
import { median } from '../lib/bench/statistics.js';
import { describeMachine } from '../lib/bench/tables.js';
import type { DeviceChoice, Trial } from '../lib/bench/trial.js';
import { addDeviceOptions, changedConvolutions, type DeviceOptions, openDevice } from '../lib/cli/device.js';
import { positiveInteger, positiveIntegers, positiveNumber } from '../lib/cli/options.js';
import { reasonOf } from '../lib/errors.js';
import { writeAtomically } from '../lib/io/atomic.js';
import { type Change, compare, printChanges } from './compare.js';
import { type Goal, goalsOf, printGoals } from './goals.js';
import type { HostReport, HostTraining } from './host.js';
import type { InputReport } from './input.js';
import { printLaunches } from './launches_simulated.js';
import type { LayerRow, LayersReport } from './layers.js';
import { type LrnRow, lrnRows } from './lrn.js';
import { PEER_NAMES, type PeerName, peersOf, type TorchLayers, torchLayers } from './peers.js';
import { printReport } from './tables.js';

/** `npm run bench`: see bench/README.md. */
const PARTS = ['layers', 'network', 'host', 'input', 'scaling', 'columns'] as const;
type Part = (typeof PARTS)[number];

export interface Report extends Partial<LayersReport>, Partial<Record<Trial['kind'], readonly NetworkRow[]>> {
  readonly machine: Machine;
  readonly lrn?: readonly LrnRow[];
  readonly host?: HostReport & { readonly training: HostTraining };
  readonly input?: InputReport;
  readonly scaling?: Scaling;
  /** A training step on one device with two threads, and with the columns on two devices with one each. */
  readonly columns?: { readonly one: NetworkRow; readonly two: NetworkRow; readonly ratio: number };
  /** With every part. */
  readonly goals?: readonly Goal[];
  readonly changes?: readonly Change[];
}

export interface Scaling extends Readonly<Record<Trial['kind'], readonly NetworkRow[]>> {
  /** The speed of two threads by that of one; empty where the device is no CPU. */
  readonly twoThreads: Readonly<Partial<Record<Trial['kind'], number>>>;
}

interface Options extends DeviceOptions {
  full?: boolean;
  only?: Part;
  batch: number[];
  rounds: number;
  seconds: number;
  repeats: number;
  peers: PeerName[];
  compare?: Report;
  out?: string;
  json?: boolean;
  launches?: boolean;
}

const REPORT = fileURLToPath(new URL('./report.json', import.meta.url));
const SCALED_BATCHES = [16, 32, 64, 128, 256];
const SCALED_THREADS = [1, 2];

const command = new Command('bench')
  .description('Measures; without --full or --only the whole network. See bench/README.md.')
  .addOption(new Option('--full', 'every part').conflicts('only'))
  .addOption(new Option('--only <part>', 'one part').choices(PARTS))
  .option(
    '--batch <sizes>',
    'pictures a step; layers, input and threads take the first',
    positiveIntegers,
    [128, 32, 1],
  )
  .option('--rounds <n>', 'trials of each', positiveInteger, 3)
  .option('--seconds <s>', 'at most so long a trial measures after its first steps', positiveNumber, 3)
  .option('--repeats <n>', 'of each layer', positiveInteger, 10)
  .addOption(
    new Option('--peers <names>', 'measured beside, if installed: torch, onnxruntime')
      .argParser((text) => text.split(',').map(expectPeer))
      .default([]),
  )
  .option(
    '--compare <file>',
    "another run's report: what changed, and whether by more than the spread",
    expectReport,
  )
  .option(
    '--out <file>',
    'where the report is written, as JSON (default: bench/report.json, or nowhere with --json)',
    expectWritable,
  )
  .option('--json', 'the report on stdout, and nothing else there')
  .option('--launches', 'only what operations cost on the host, on the simulator of CUDA');
addDeviceOptions(command);
command.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

function expectPeer(name: string): PeerName {
  const peer = PEER_NAMES.find((known) => known === name);
  if (peer === undefined)
    throw new InvalidArgumentError(`Expected ${PEER_NAMES.join(' or ')} but received ${name}`);
  return peer;
}

/** Refused before anything is measured. */
function expectReport(file: string): Report {
  try {
    const report: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof report === 'object' && report !== null && 'machine' in report) return report as Report;
  } catch (error) {
    throw new InvalidArgumentError(
      `Expected a report of this bench but received ${file}: ${reasonOf(error)}`,
    );
  }
  throw new InvalidArgumentError(
    `Expected a report of this bench but received ${file}, which has no machine`,
  );
}

function expectWritable(file: string): string {
  try {
    accessSync(`${dirname(file)}/.`, constants.W_OK);
    if (statSync(file, { throwIfNoEntry: false })?.isDirectory()) throw new Error('it is a folder');
    return file;
  } catch (error) {
    throw new InvalidArgumentError(
      `Expected a file in a folder that can be written to but received ${file}: ${reasonOf(error)}`,
    );
  }
}

async function run(options: Options): Promise<void> {
  const { json = false } = options;
  const out = options.out ?? (json ? undefined : REPORT);
  const old = options.compare;
  const measured = await measure(options, (line) => console.error(line));
  const report: Report = old === undefined ? measured : { ...measured, changes: compare(old, measured) };
  if (out !== undefined)
    await writeAtomically(out, (file) => file.writeFile(`${JSON.stringify(report, null, 1)}\n`));
  if (json) {
    console.log(JSON.stringify(report));
    return;
  }
  printReport(report);
  if (report.goals !== undefined) printGoals(report.goals);
  if (old === undefined) return;
  console.log(`before: ${describeMachine(old.machine)}`);
  printChanges(report.changes ?? []);
}

async function measure(options: Options, tell: (line: string) => void): Promise<Report> {
  const { rounds, seconds, repeats, threads, full = false, only } = options;
  const device = openDevice(options);
  const [batch = 1] = options.batch;
  const choice: DeviceChoice = {
    device: device.name,
    ...(threads === undefined ? {} : { threads }),
    ...changedConvolutions(options),
  };
  const peers = peersOf(options.peers, device.name);
  const isWanted = (part: Part) => full || part === (only ?? 'network');
  let report: Report = { machine: machine(device) };
  if (isWanted('network')) {
    const trials = networkTrials(options.batch, { seconds, ...choice });
    report = { ...report, ...(await measureNetwork({ trials, rounds, peers, tell })) };
  }
  const part = <T>(name: Part, given: object): Promise<T> => {
    tell(`${name} …`);
    return runJson<T>([
      process.execPath,
      ...process.execArgv,
      program,
      name,
      JSON.stringify({ ...choice, ...given }),
    ]);
  };
  if (isWanted('layers')) {
    const measured = await part<LayersReport>('layers', { batch, repeats });
    report = { ...report, ...measured, lrn: lrnRows([measured]) };
    if (options.peers.includes('torch') && device.name.startsWith('cpu'))
      report = { ...report, ...(await besideTorch(measured.layers)) };
  }
  if (isWanted('host')) {
    const host = await part<HostReport>('host', { rounds, calls: Math.min(10_000, 1000 * repeats) });
    const trial = { kind: 'train', batch, steps: 20, seconds, trace: true, ...choice } as const;
    const { firstStepMs, allocationHits, eventLoopDelayMs, longestCall } =
      report.train?.[0] ?? (await runTrialProcess(trial));
    const training = {
      batch,
      firstStepMs,
      allocationHits,
      eventLoopDelayMs,
      ...(longestCall === undefined ? {} : { longestCall }),
    };
    report = { ...report, host: { ...host, training } };
  }
  if (isWanted('input'))
    report = {
      ...report,
      input: await part('input', { batch, steps: repeats, rounds, pictures: Math.min(256, 32 * repeats) }),
    };
  if (isWanted('scaling')) {
    const trials = scalingTrials(options.batch, { seconds, ...choice });
    const rows = await measureNetwork({ trials, rounds, tell });
    const twoThreads = { ...speedOfTwo('train', rows.train), ...speedOfTwo('infer', rows.infer) };
    report = { ...report, scaling: { ...rows, twoThreads } };
  }
  if (isWanted('columns')) {
    const kind = device.name.replace(/:.*/, '');
    const isCpu = kind === 'cpu';
    const trial = { kind: 'train', batch, steps: 20, seconds, ...choice } as const;
    const trials: Trial[] = [
      { ...trial, device: `${kind}:0`, ...(isCpu ? { threads: 2 } : {}) },
      { ...trial, device: `${kind}:0,${kind}:1`, ...(isCpu ? { threads: 1 } : {}) },
    ];
    const { train } = await measureNetwork({ trials, rounds, tell });
    const [one, two] = train;
    if (one !== undefined && two !== undefined)
      report = { ...report, columns: { one, two, ratio: two.stepMs.median / one.stepMs.median } };
  }
  return full ? { ...report, goals: goalsOf(report) } : report;

  /** The normalisation layers, ours and PyTorch's in turns. */
  async function besideTorch(layers: readonly LayerRow[]): Promise<Pick<Report, 'lrn' | 'layers'>> {
    const turns: { layers: readonly LayerRow[]; torch: TorchLayers }[] = [];
    try {
      for (let round = 0; round < rounds; round++) {
        const torch = await torchLayers(batch, repeats, Number(device.arithmetic.threads));
        const ours = await part<LayersReport>('layers', { batch, repeats, only: ['norm1', 'norm2'] });
        turns.push({ layers: ours.layers, torch });
      }
    } catch (error) {
      tell(`layers, torch: ${reasonOf(error)}`);
      return {};
    }
    const withTorch = layers.map((row) => {
      const times = turns.flatMap(({ torch }) => torch[row.layer]?.[row.pass] ?? []);
      return times.length === 0 || row.batch !== batch ? row : { ...row, torchMs: median(times) };
    });
    return { lrn: lrnRows(turns), layers: withTorch };
  }
}

function speedOfTwo(kind: Trial['kind'], rows: readonly NetworkRow[]): Scaling['twoThreads'] {
  const [one, two] = SCALED_THREADS.map((threads) => rows.find((row) => row.threads === threads));
  return one === undefined || two === undefined ? {} : { [kind]: two.imagesPerSecond / one.imagesPerSecond };
}

const program = fileURLToPath(new URL('./program.ts', import.meta.url));

/** Threads with the first batch, and batches with all threads. */
function scalingTrials(
  [first = 1, ...others]: readonly number[],
  options: Pick<Trial, 'seconds'> & DeviceChoice,
): Trial[] {
  const batches = others.length === 0 ? [first] : SCALED_BATCHES;
  const withThreads = options.device?.startsWith('cpu')
    ? SCALED_THREADS.flatMap((threads) => networkTrials([first], { ...options, threads }))
    : [];
  return [...withThreads, ...networkTrials(batches, options)].map((trial) => ({ ...trial, trace: false }));
}

const { launches, ...options } = command.parse().opts<Options>();
if (launches) await printLaunches(options.json === true);
else await run(options);
