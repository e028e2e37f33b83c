import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AlexNet,
  backward,
  Device,
  noGrad,
  randn,
  SGD,
  softmaxCrossEntropy,
  type Tensor,
  tensor,
  tidy,
} from '../lib/index.js';
import { median, quantile } from './machine.js';

/** One process measures one of these: a fresh process has no other's memory. */
export interface Trial {
  readonly kind: 'train' | 'infer';
  readonly batch: number;
  readonly steps: number;
  /** Default: `cpu`. */
  readonly device?: string;
  /** Of a CUDA device; default: false. */
  readonly autotune?: boolean;
}

const CLASSES = 1000;
const WARM_UP_STEPS = 2;
const LOOP_RESOLUTION_MS = 5;

export interface Result {
  batch: number;
  imagesPerSecond: number;
  stepMs: { median: number; p99: number };
  peakResidentBytes: number;
  deviceBytes: number;
  eventLoopDelayMs?: { idle: number; training: number; resolution: number };
  /** Of the calls into the addon: the event loop stands still for so long at once. */
  longestCall: { name: string; ms: number };
}

export async function runTrial(trial: Trial): Promise<Result> {
  const device = Device.get(trial.device);
  if (trial.autotune) device.setConvolutions({ autotune: true });
  const model = new AlexNet({ classes: CLASSES, preset: 'paper', device });
  const { batch } = trial;
  const x = randn([batch, 227, 227, 3], { seed: 1, device });
  const labels = tensor(
    Int32Array.from({ length: batch }, (_, i) => i % CLASSES),
    [batch],
    { device },
  );
  const step = trial.kind === 'train' ? trainingStep(model, x, labels) : inferenceStep(model, x);
  if (trial.kind === 'infer') model.eval();
  const idle = trial.kind === 'train' ? await eventLoopDelayMs(() => delay(1000)) : undefined;

  const longestCall = watchCalls(device);
  const times: number[] = [];
  const measure = async (): Promise<void> => {
    for (let i = 0; i < trial.steps; i++) {
      const start = performance.now();
      await step();
      times.push(performance.now() - start);
    }
  };
  for (let i = 0; i < WARM_UP_STEPS; i++) await step();
  const training = await eventLoopDelayMs(measure);
  return {
    batch,
    imagesPerSecond: (batch / median(times)) * 1000,
    stepMs: { median: median(times), p99: quantile(times, 0.99) },
    peakResidentBytes: process.resourceUsage().maxRSS * 1024,
    deviceBytes: device.memory().peakBytes,
    longestCall,
    ...(idle === undefined ? {} : { eventLoopDelayMs: { idle, training, resolution: LOOP_RESOLUTION_MS } }),
  };
}

function trainingStep(model: AlexNet, x: Tensor, labels: Tensor): () => Promise<number> {
  const optimizer = new SGD(model.namedParameters(), { lr: 1e-4, momentum: 0.9, weightDecay: 5e-4 });
  return () =>
    tidy(() => {
      const loss = softmaxCrossEntropy(model.forward(x), labels);
      backward(loss);
      optimizer.step();
      optimizer.zeroGrad();
      return model.device.synchronize().then(() => loss.item());
    });
}

function inferenceStep(model: AlexNet, x: Tensor): () => Promise<unknown> {
  return () => noGrad(() => tidy(() => model.forward(x).data()));
}

/** Times every call into the addon from now on. */
function watchCalls(device: Device): Result['longestCall'] {
  const longest = { name: 'none', ms: 0 };
  const backend = device.backend as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const [name, call] of Object.entries(backend)) {
    backend[name] = (...args) => {
      const start = performance.now();
      try {
        return call(...args);
      } finally {
        const ms = performance.now() - start;
        if (ms > longest.ms) Object.assign(longest, { name, ms });
      }
    };
  }
  return longest;
}

/** The 99th percentile while `body` runs. */
async function eventLoopDelayMs(body: () => Promise<unknown>): Promise<number> {
  const histogram = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  histogram.enable();
  await body();
  histogram.disable();
  return histogram.percentile(99) / 1e6;
}
