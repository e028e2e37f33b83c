import { existsSync, openSync, readSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { backward, noGrad } from '../autograd.js';
import { type ConvolutionOptions, Device } from '../device.js';
import { AlexNet } from '../models/alexnet.js';
import { softmaxCrossEntropy } from '../ops/index.js';
import { SGD } from '../optim/index.js';
import { tidy } from '../scope.js';
import { randn, type Tensor, tensor } from '../tensor.js';
import { type Breakdown, breakdownOf } from './breakdown.js';
import { median, quantile } from './statistics.js';

/** Where to measure, and how. */
export interface DeviceChoice extends ConvolutionOptions {
  /** Default: `cpu`. Two with a comma between: the network's columns. */
  readonly device?: string;
  /** Of a CPU device. */
  readonly threads?: number;
}

/** One process measures one of these: a fresh process has no other's memory. */
export interface Trial extends DeviceChoice {
  readonly kind: 'train' | 'infer';
  readonly batch: number;
  /** At most so many are measured. */
  readonly steps: number;
  /** After so long, and three steps, no other begins. Default: never. */
  readonly seconds?: number;
  /** Whether some more steps tell where their time goes, and some the longest call. Default: false. */
  readonly trace?: boolean;
}

export interface Result {
  readonly batch: number;
  /** Of each operation; null where they are not a CPU's. */
  readonly cpuThreads: number | null;
  readonly imagesPerSecond: number;
  readonly stepMs: { readonly median: number; readonly p99: number };
  /** Its plans and memory are made in it. */
  readonly firstStepMs: number;
  readonly peakResidentBytes: number;
  /** The most at once; of two devices of the one that has more. */
  readonly deviceBytes: number;
  readonly bytesByDevice: Readonly<Record<string, number>>;
  /** Of the tensors that the measured steps made: the fraction that got the memory of an earlier one. */
  readonly allocationHits: number;
  /** Its 99th percentile, less the histogram's resolution. */
  readonly eventLoopDelayMs: { readonly idle: number; readonly working: number };
  /** Of the calls into the addon: the event loop stands still for so long at once, waits for a free core left out. */
  readonly longestCall?: { readonly name: string; readonly ms: number };
  readonly breakdown?: Breakdown;
}

const CLASSES = 1000;
const WARM_UP_STEPS = 2;
const LEAST_STEPS = 3;
const LOOP_RESOLUTION_MS = 1;
const IDLE_MS = 500;

/** The network of the `paper` preset, 227 pixels, on random numbers. */
export async function runTrial(trial: Trial): Promise<Result> {
  const { kind, batch, steps, seconds = Number.POSITIVE_INFINITY, trace, ...on } = trial;
  const devices = (on.device ?? 'cpu').split(',').map((name) => openDevice({ ...on, device: name }));
  const model = new AlexNet({ classes: CLASSES, preset: 'paper', devices });
  const { device } = model;
  const x = model.devices.map((each) => randn([batch, 227, 227, 3], { seed: 1, device: each }));
  const labels = tensor(
    Int32Array.from({ length: batch }, (_, i) => i % CLASSES),
    [batch],
    { device },
  );
  await synchronize(model);
  const step = kind === 'train' ? trainingStep(model, x, labels) : inferenceStep(model, x);
  if (kind === 'infer') model.eval();
  const idle = await eventLoopDelayMs(() => delay(IDLE_MS));

  const first = await milliseconds(step);
  for (let i = 1; i < WARM_UP_STEPS; i++) await step();
  const before = device.memory();
  const times: number[] = [];
  const working = await eventLoopDelayMs(async () => {
    const end = performance.now() + 1000 * seconds;
    while (times.length < steps && (times.length < LEAST_STEPS || performance.now() < end))
      times.push(await milliseconds(step));
  });
  const after = device.memory();
  const bytesByDevice = Object.fromEntries(model.devices.map((each) => [each.name, each.memory().peakBytes]));
  const hits = after.cacheHits - before.cacheHits;
  const misses = after.cacheMisses - before.cacheMisses;
  const { threads } = device.arithmetic;
  const more = Math.max(2, Math.min(10, Math.floor(32 / batch)));
  return {
    batch,
    cpuThreads: threads === undefined ? null : Number(threads),
    imagesPerSecond: (batch / median(times)) * 1000,
    stepMs: { median: median(times), p99: quantile(times, 0.99) },
    firstStepMs: first,
    peakResidentBytes: process.resourceUsage().maxRSS * 1024,
    deviceBytes: Math.max(...Object.values(bytesByDevice)),
    bytesByDevice,
    allocationHits: hits / (hits + misses),
    eventLoopDelayMs: { idle, working },
    ...(trace
      ? {
          breakdown: await traced(device, step, more),
          longestCall: await longestCall(device, step, more),
        }
      : {}),
  };
}

/** Options that are not named stay as they are by default. */
export function openDevice({ device: name, threads, tf32, deterministic, autotune }: DeviceChoice): Device {
  const device = Device.get(name);
  if (threads !== undefined) device.setThreads(threads);
  device.setConvolutions({
    ...(tf32 === undefined ? {} : { tf32 }),
    ...(deterministic === undefined ? {} : { deterministic }),
    ...(autotune === undefined ? {} : { autotune }),
  });
  return device;
}

async function synchronize({ devices }: AlexNet): Promise<void> {
  await Promise.all(devices.map((device) => device.synchronize()));
}

function trainingStep(model: AlexNet, x: readonly Tensor[], labels: Tensor): () => Promise<number> {
  const optimizer = new SGD(model.namedParameters(), { lr: 1e-4, momentum: 0.9, weightDecay: 5e-4 });
  return () =>
    tidy(() => {
      const loss = softmaxCrossEntropy(model.forward(x), labels);
      backward(loss);
      // A rejection would come with the next synchronize() too.
      optimizer.step().catch(() => {});
      optimizer.zeroGrad();
      return synchronize(model).then(() => loss.item());
    });
}

function inferenceStep(model: AlexNet, x: readonly Tensor[]): () => Promise<unknown> {
  return () => noGrad(() => tidy(() => model.forward(x).data()));
}

async function traced(device: Device, step: () => Promise<unknown>, steps: number): Promise<Breakdown> {
  device.trace(true);
  const start = Number(process.hrtime.bigint());
  for (let i = 0; i < steps; i++) await step();
  const end = Number(process.hrtime.bigint());
  device.trace(false);
  return breakdownOf(await device.takeSpans(), start, end, steps);
}

async function milliseconds(body: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await body();
  return performance.now() - start;
}

/** Of some steps, in which every call is timed, as in all after them. */
async function longestCall(
  device: Device,
  step: () => Promise<unknown>,
  steps: number,
): Promise<{ name: string; ms: number }> {
  const longest = { name: 'none', ms: 0 };
  const backend = device.backend as unknown as Record<string, (...args: unknown[]) => unknown>;
  const waitedMs = coreWaits();
  for (const [name, call] of Object.entries(backend)) {
    backend[name] = (...args) => {
      const waited = waitedMs();
      const start = performance.now();
      try {
        return call(...args);
      } finally {
        const ms = performance.now() - start;
        if (ms > longest.ms) {
          const own = ms - (waitedMs() - waited);
          if (own > longest.ms) Object.assign(longest, { name, ms: own });
        }
      }
    };
  }
  for (let i = 0; i < steps; i++) await step();
  return longest;
}

/**
 * So long JavaScript's thread has waited, ready to run, while others ran on every core: those that compute have as many
 * threads as there are cores. The second field of Linux's schedstat; 0 where a kernel has none.
 */
function coreWaits(): () => number {
  const path = `/proc/self/task/${process.pid}/schedstat`;
  if (!existsSync(path)) return () => 0;
  const file = openSync(path, 'r');
  const text = Buffer.alloc(64);
  return () => {
    const length = readSync(file, text, 0, text.length, 0);
    return Number(text.toString('latin1', 0, length).split(' ')[1]) / 1e6;
  };
}

/** The 99th percentile while `body` runs. */
async function eventLoopDelayMs(body: () => Promise<unknown>): Promise<number> {
  const histogram = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  histogram.enable();
  await body();
  histogram.disable();
  return Math.max(0, histogram.percentile(99) / 1e6 - LOOP_RESOLUTION_MS);
}
