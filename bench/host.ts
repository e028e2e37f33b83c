import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { noGrad } from '../lib/autograd.js';
import { runJson } from '../lib/bench/processes.js';
import { type Spread, spreadOf } from '../lib/bench/statistics.js';
import type { Result } from '../lib/bench/trial.js';
import { type DeviceChoice, openDevice } from '../lib/bench/trial.js';
import { relu } from '../lib/ops/index.js';
import { tidy } from '../lib/scope.js';
import { full } from '../lib/tensor.js';
import { type LaunchTimes, measureLaunches } from './launches.js';

/** Of the training trial that also tells the host's side. */
export type HostTraining = Pick<
  Result,
  'batch' | 'firstStepMs' | 'allocationHits' | 'eventLoopDelayMs' | 'longestCall'
>;

/** What is not computing. */
export interface HostReport {
  /** JavaScript's part of `relu` of one number, with its output's memory. */
  readonly callUs: Spread;
  /** Until the device has done them. */
  readonly operationsPerSecond: Spread;
  readonly launches: LaunchTimes;
  /** Of a process of its own, from the built package; null where that is not built. */
  readonly start: {
    /** `import` of the package. */
    readonly importMs: Spread;
    /** From the start of the import to the first number that was computed. */
    readonly firstResultMs: Spread;
  } | null;
}

export interface HostOptions extends DeviceChoice {
  readonly rounds: number;
  readonly calls: number;
}

/** Rounds until all of a call is compiled: the first takes 3 times as long, the second twice. */
const WARM_UP_ROUNDS = 3;
const LAUNCHED_CONVS = 1000;
const LAUNCHED_STEPS = 10;

export async function measureHost(options: HostOptions): Promise<HostReport> {
  const { rounds, calls } = options;
  const device = openDevice(options);
  using x = full([1], 1, { device });
  const callUs: number[] = [];
  const perSecond: number[] = [];
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    const start = performance.now();
    for (let i = 0; i < calls; i++) noGrad(() => tidy(() => void relu(x)));
    const enqueued = performance.now();
    await device.synchronize();
    if (round < 0) continue;
    callUs.push(((enqueued - start) * 1000) / calls);
    perSecond.push((calls / (performance.now() - start)) * 1000);
  }
  return {
    callUs: spreadOf(callUs),
    operationsPerSecond: spreadOf(perSecond),
    launches: await measureLaunches(device, Math.min(calls, LAUNCHED_CONVS), Math.min(calls, LAUNCHED_STEPS)),
    start: await measureStart(device.name, rounds),
  };
}

async function measureStart(device: string, rounds: number): Promise<HostReport['start']> {
  const built = fileURLToPath(new URL('../dist/index.js', import.meta.url));
  if (!existsSync(built)) return null;
  const program = `
    const start = performance.now();
    const { relu, tensor } = await import(${JSON.stringify(pathToFileURL(built).href)});
    const importMs = performance.now() - start;
    await relu(tensor([1], [1], { device: ${JSON.stringify(device)} })).data();
    console.log(JSON.stringify({ importMs, firstResultMs: performance.now() - start }));`;
  const times: { importMs: number; firstResultMs: number }[] = [];
  for (let round = 0; round < rounds; round++)
    times.push(await runJson([process.execPath, '--input-type=module', '--eval', program]));
  return {
    importMs: spreadOf(times.map(({ importMs }) => importMs)),
    firstResultMs: spreadOf(times.map(({ firstResultMs }) => firstResultMs)),
  };
}
