import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type LaunchTimes, measureLaunches } from '../../bench/launches.js';
import { machine as cpuMachine } from '../../lib/bench/machine.js';
import type { Trial } from '../../lib/bench/trial.js';
import { cudaReport } from '../../lib/cuda.js';
import { Device } from '../../lib/device.js';
import { reasonOf } from '../../lib/errors.js';
import { writeAtomically } from '../../lib/io/atomic.js';
import { type Bounded, runBounded } from './bounded.js';
import {
  determinism,
  dropout,
  operations,
  operationsTf32,
  outOfMemory,
  trace,
  twoDevices,
} from './correctness.js';
import { Section, type SectionReport } from './section.js';
import { type LayerSpeed, layerSpeeds, type NetSpeed, netSpeeds } from './speed.js';

/**
 * `npm run test:gpu [-- --out gpu-report.json] [--simulator]`: what has to be true of the CUDA backend on a GPU, and how
 * fast it is there. Ends with status 1 where something failed or was not reached. `--simulator` takes small sizes, and
 * the simulator in place of a GPU (needs `npm run build:cuda`). All of it runs in a child process, `--child`.
 */
const LIMIT_MS = 15 * 60_000;
/** Which is slow. */
const SIMULATOR_LIMIT_MS = 60 * 60_000;

interface Sizes {
  readonly batch: number;
  readonly traceSteps: number;
  /** That are compared bit by bit, or between devices. */
  readonly steps: number;
  readonly blockBytes: number;
  readonly repeats: number;
  readonly convs: number;
  readonly launchedSteps: number;
  readonly trials: readonly Trial[];
}
const device = 'cuda';
const GPU: Sizes = {
  batch: 128,
  traceSteps: 10,
  steps: 5,
  blockBytes: 2 ** 30,
  repeats: 50,
  convs: 1000,
  launchedSteps: 20,
  trials: [
    { kind: 'train', batch: 128, steps: 50, device },
    { kind: 'train', batch: 128, steps: 50, device, autotune: true },
    { kind: 'infer', batch: 128, steps: 100, device },
    { kind: 'infer', batch: 128, steps: 100, device, autotune: true },
    { kind: 'infer', batch: 1, steps: 500, device },
  ],
};
const SIMULATOR: Sizes = {
  batch: 2,
  traceSteps: 1,
  steps: 2,
  // The simulator writes to what it gives: more than there is, at once.
  blockBytes: 2 ** 40,
  repeats: 1,
  convs: 5,
  launchedSteps: 1,
  trials: [{ kind: 'train', batch: 2, steps: 1, device }],
};

export interface Report extends Bounded {
  machine: Record<string, unknown>;
  sections: SectionReport[];
  speed: {
    /** How times were taken. */
    clock: string;
    launches?: LaunchTimes | undefined;
    layers?: LayerSpeed[];
    net?: NetSpeed[];
  };
}

const CLOCK = "the host's, over spans of repetitions that begin and end with an idle device";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: 'gpu-report.json' },
      simulator: { type: 'boolean', default: false },
      child: { type: 'boolean', default: false },
    },
  });
  const { out, simulator, child } = values;
  if (!child) {
    const args = [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2), '--child'];
    const limit = AbortSignal.timeout(simulator ? SIMULATOR_LIMIT_MS : LIMIT_MS);
    const { status, told } = await runBounded(args, out, limit);
    if (told !== null) console.error(`FAILED: ${told}`);
    console.log(`report: ${out}`);
    process.exitCode = status;
    return;
  }
  if (simulator) await useSimulator();
  const save = (soFar: Report) =>
    writeAtomically(out, async (file) => {
      await file.writeFile(`${JSON.stringify(soFar, null, 2)}\n`);
    });
  const report: Report = {
    unfinished: null,
    machine: machine(simulator),
    sections: [],
    speed: { clock: CLOCK },
  };
  const { reason } = cudaReport();
  if (reason !== null) {
    console.error(`CUDA: ${reason}`);
    await save({ ...report, unfinished: `CUDA: ${reason}` });
    process.exitCode = 1;
    return;
  }
  await runAll(report, simulator, save);
  print(report);
  const isRight = report.sections.every(({ status }) => status === 'passed' || status === 'skipped');
  process.exitCode = isRight ? 0 : 1;
}

/** Child processes inherit it. */
async function useSimulator(): Promise<void> {
  const { build } = await import('../cuda/targets.js');
  build('node_cudnn_simulator');
  const preload = new URL('../simulator/as_cuda.mjs', import.meta.url);
  // The newest: every build has kernels for it, or PTX.
  process.env.NODE_CUDNN_SIMULATOR ??= 'seed=1 devices=b200,b200';
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --import ${preload.href}`;
  await import(preload.href);
}

/** `save` gets the report before and after each section: a GPU may end the process. */
async function runAll(report: Report, isSimulated: boolean, save: (report: Report) => Promise<void>) {
  const sizes = isSimulated ? SIMULATOR : GPU;
  const { batch, steps } = sizes;
  const device = Device.get('cuda');
  const { sections, speed } = report;
  /** All of them are at most 14 minutes; the simulator, which is slow, has longer. */
  const section = async (name: string, seconds: number, body: (section: Section) => Promise<unknown>) => {
    console.log(`${name} …`);
    await save({ ...report, unfinished: name });
    const one = new Section(name, isSimulated ? 600 : seconds);
    try {
      await body(one);
      // What no case has read fails here, and not in the next section.
      await one.run('all of its operations', () => device.synchronize());
    } catch (error) {
      one.fail('the section itself', reasonOf(error));
    }
    sections.push(one.report());
  };
  await section('operations, TF32 off', 150, (s) => operations(s, device));
  await section('operations, TF32 on', 60, (s) => operationsTf32(s, device));
  await section('training trace', 60, (s) => trace(s, device, sizes.traceSteps));
  await section('determinism', 60, (s) => determinism(s, device, batch, steps));
  await section('dropout and random numbers', 30, (s) => dropout(s, device));
  await section('out of memory', 40, (s) => outOfMemory(s, device, sizes.blockBytes, batch));
  await section('two devices', 60, (s) => twoDevices(s, Math.min(batch, 8), steps));
  await section('launch overhead', 30, async (s) => {
    speed.launches = await s.run('conv2d, training step', () =>
      measureLaunches(device, sizes.convs, sizes.launchedSteps),
    );
  });
  device.setConvolutions({ tf32: true });
  await section('speed of layers', 120, async (s) => {
    speed.layers = await layerSpeeds(s, device, batch, sizes.repeats);
    device.emptyCache();
  });
  await section('speed of the net', 230, async (s) => {
    speed.net = await netSpeeds(s, sizes.trials, !isSimulated);
  });
  await save(report);
}

function machine(isSimulated: boolean): Report['machine'] {
  const { available, devices, driver, version, cudnn } = cudaReport();
  return {
    ...cpuMachine(Device.get(available ? 'cuda' : 'cpu')),
    gpus: devices.map(({ name, model, computeCapability }) => ({ name, model, computeCapability })),
    simulated: isSimulated,
    driver: driverVersion(),
    cudaOfDriver: driver,
    cuda: version,
    cudnn,
  };
}

/** Such as `580.65.06`; null where the kernel's module does not tell. */
function driverVersion(): string | null {
  try {
    const text = readFileSync('/proc/driver/nvidia/version', 'utf8');
    return /Kernel Module.*?\s(\d+(?:\.\d+)+)/.exec(text)?.[1] ?? null;
  } catch {
    return null;
  }
}

function print({ machine, sections, speed }: Report): void {
  console.log(
    Object.entries(machine)
      .map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
      .join(', '),
  );
  console.table(
    sections.map(({ name, status, cases, failures, notReached, worst, seconds }) => ({
      section: name,
      status,
      cases,
      failures: failures.length,
      'not reached': notReached.length,
      worst: worst === null ? '' : worst.relative.toExponential(1),
      seconds: Number(seconds.toFixed(1)),
    })),
  );
  for (const { name, failures, notReached, notes } of sections) {
    for (const failure of failures) console.log(`FAILED ${name}: ${failure.name}: ${failure.error}`);
    for (const missed of notReached) console.log(`not reached ${name}: ${missed}`);
    for (const note of notes) console.log(`${name}: ${note}`);
  }
  if (speed.launches !== undefined) console.table(speed.launches);
  if (speed.layers !== undefined) console.table(speed.layers);
  if (speed.net !== undefined) console.table(speed.net);
}

await main();
