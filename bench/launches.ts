import { readdirSync, readFileSync } from 'node:fs';
import { backward, noGrad } from '../lib/autograd.js';
import type { Device } from '../lib/device.js';
import { AlexNet } from '../lib/models/alexnet.js';
import { conv2d, softmaxCrossEntropy } from '../lib/ops/index.js';
import { SGD } from '../lib/optim/index.js';
import { tidy } from '../lib/scope.js';
import { randn, tensor } from '../lib/tensor.js';

/** The shortest of the rounds, per call. */
export interface HostTime {
  /** JavaScript's thread, until all is in the queue. */
  readonly enqueueUs: number;
  /** Processor time of the device's stream thread, its waiting for the next operation included; null where the system
   * does not tell. */
  readonly launchUs: number | null;
  /** Until the device has done all. */
  readonly wallUs: number;
}

export interface LaunchTimes {
  /** One small conv2d, planned before. */
  readonly conv2d: HostTime;
  /** Of AlexNet, batch 1: forward, backward and SGD. */
  readonly trainingStep: HostTime;
}

const ROUNDS = 10;

/** What operations cost on the host. */
export async function measureLaunches(device: Device, convs: number, steps: number): Promise<LaunchTimes> {
  using x = randn([1, 8, 8, 8], { seed: 1, device });
  using weight = randn([8, 3, 3, 8], { seed: 2, device });
  const one = await measure(device, convs, () => void noGrad(() => tidy(() => void conv2d(x, weight))));

  using model = new AlexNet({ classes: 1000, device });
  using optimizer = new SGD(model.namedParameters(), { lr: 1e-4, momentum: 0.9, weightDecay: 5e-4 });
  using images = randn([1, model.inputSize, model.inputSize, 3], { seed: 3, device });
  using labels = tensor(Int32Array.of(1), [1], { device });
  const trainingStep = await measure(device, steps, () =>
    tidy(() => {
      backward(softmaxCrossEntropy(model.forward(images), labels));
      // A rejection would come with the next synchronize() too.
      optimizer.step().catch(() => {});
      optimizer.zeroGrad();
    }),
  );
  return { conv2d: one, trainingStep };
}

async function measure(device: Device, count: number, call: () => void): Promise<HostTime> {
  call();
  await device.synchronize();
  const rounds: HostTime[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const threads = threadTimes();
    const start = performance.now();
    for (let i = 0; i < count; i++) call();
    const enqueued = performance.now();
    await device.synchronize();
    const end = performance.now();
    const grown = [...threadTimes()].map(([thread, ns]) => ns - (threads.get(thread) ?? ns));
    rounds.push({
      enqueueUs: ((enqueued - start) * 1000) / count,
      // While JavaScript's thread waits, the stream's is the one that works.
      launchUs: grown.length === 0 ? null : Math.max(...grown) / 1000 / count,
      wallUs: ((end - start) * 1000) / count,
    });
  }
  const least = (of: (round: HostTime) => number) => Math.min(...rounds.map(of));
  return {
    enqueueUs: least(({ enqueueUs }) => enqueueUs),
    launchUs: rounds[0]?.launchUs === null ? null : least(({ launchUs }) => launchUs ?? Number.NaN),
    wallUs: least(({ wallUs }) => wallUs),
  };
}

/** Nanoseconds that each thread of this process but JavaScript's was on a processor: Linux tells them. */
function threadTimes(): Map<string, number> {
  try {
    const threads = readdirSync('/proc/self/task').filter((thread) => thread !== String(process.pid));
    return new Map(
      threads.map((thread) => [
        thread,
        Number(readFileSync(`/proc/self/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
      ]),
    );
  } catch {
    return new Map();
  }
}
