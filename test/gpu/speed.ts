import { fileURLToPath } from 'node:url';
import { backward, noGrad } from '../../lib/autograd.js';
import type { PeerResult } from '../../lib/bench/network.js';
import { type Command, trialCommand } from '../../lib/bench/processes.js';
import { median } from '../../lib/bench/statistics.js';
import type { Result, Trial } from '../../lib/bench/trial.js';
import type { Device } from '../../lib/device.js';
import { AlexNet } from '../../lib/models/alexnet.js';
import type { Module } from '../../lib/nn/index.js';
import { tidy } from '../../lib/scope.js';
import { randn, type Tensor } from '../../lib/tensor.js';
import { runCommand } from '../support/child.js';
import type { Section } from './section.js';

const peer = fileURLToPath(new URL('../../bench/peers/alexnet_torch.py', import.meta.url));

export interface LayerSpeed {
  readonly layer: string;
  readonly input: readonly number[];
  readonly forwardMs: number;
  /** Of both together. */
  readonly forwardBackwardMs: number;
}
export interface NetSpeed {
  readonly kind: Trial['kind'];
  readonly batch: number;
  readonly autotune: boolean;
  readonly imagesPerSecond: number;
  readonly stepMs: number;
  readonly deviceBytes: number;
  /** Images/s in eager mode, TF32 as it is by default; null where it was not measured. */
  readonly torch: number | null;
}

const SPANS = 5;

/** Each layer of AlexNet with the input that it has there. */
export async function layerSpeeds(section: Section, device: Device, batch: number, repeats: number) {
  const speeds: LayerSpeed[] = [];
  using model = new AlexNet({ classes: 1000, device });
  const shapes = await section.run('the shapes between layers', () => inputShapes(model, device));
  for (const [layer, module] of model.members()) {
    const shape = shapes?.get(layer);
    if (shape === undefined) continue;
    await section.run(layer, async () => {
      using x = randn([batch, ...shape], { seed: 1, device, requiresGrad: layer !== 'conv1' });
      const once = () => noGrad(() => tidy(() => void module.forward(x)));
      speeds.push({
        layer,
        input: x.shape,
        forwardMs: await milliseconds(device, repeats, once),
        forwardBackwardMs: await milliseconds(device, repeats, () => forwardBackward(module, x)),
      });
    });
  }
  return speeds;
}

/** What each layer gets, without the batch. */
function inputShapes(model: AlexNet, device: Device): Map<string, readonly number[]> {
  return noGrad(() =>
    tidy(() => {
      const shapes = new Map<string, readonly number[]>();
      let x = randn([1, model.inputSize, model.inputSize, 3], { seed: 1, device });
      for (const [layer, module] of model.members()) {
        shapes.set(layer, x.shape.slice(1));
        x = module.forward(x);
      }
      return shapes;
    }),
  );
}

function forwardBackward(module: Module, x: Tensor): void {
  tidy(() => {
    const y = module.forward(x);
    if (y.requiresGrad || x.requiresGrad) backward(y, y);
    for (const each of [x, ...module.parameters()]) {
      each.grad?.dispose();
      each.grad = undefined;
    }
  });
}

/** The median of some spans of calls, each from an idle device until it is idle again, by the host's clock. */
async function milliseconds(device: Device, repeats: number, call: () => void): Promise<number> {
  call();
  await device.synchronize();
  const spans: number[] = [];
  for (let span = 0; span < SPANS; span++) {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) call();
    await device.synchronize();
    spans.push((performance.now() - start) / repeats);
  }
  return median(spans);
}

/** The whole net, each trial in a process of its own. */
export async function netSpeeds(section: Section, trials: readonly Trial[], withTorch: boolean) {
  const speeds: NetSpeed[] = [];
  const python = withTorch ? process.env.NODE_CUDNN_TEST_PYTHON : undefined;
  if (python === undefined) section.note('PyTorch not measured: NODE_CUDNN_TEST_PYTHON names no Python');
  for (const trial of trials) {
    const { kind, batch, steps, autotune = false } = trial;
    const name = `${kind}, batch ${batch}${autotune ? ', autotune' : ''}`;
    const ours = await section.run(name, () => runTrial<Result>(section, trialCommand(trial)));
    if (ours === undefined) continue;
    const peerArgs = [peer, kind, String(batch), String(steps), '--device', 'cuda'] as const;
    const torch =
      python === undefined || autotune
        ? undefined
        : await section.run(`${name}, PyTorch`, () => runTrial<PeerResult>(section, [python, ...peerArgs]));
    speeds.push({
      kind,
      batch,
      autotune,
      imagesPerSecond: ours.imagesPerSecond,
      stepMs: ours.stepMs.median,
      deviceBytes: ours.deviceBytes,
      torch: torch?.imagesPerSecond ?? null,
    });
  }
  return speeds;
}

async function runTrial<T>(section: Section, [program, ...args]: Command): Promise<T> {
  const { code, signal, stdout, stderr } = await runCommand(program, args, Math.ceil(section.remainingMs));
  if (code === 0) return JSON.parse(stdout) as T;
  const lines = stderr.trimEnd().split('\n');
  const reason = lines.find((line) => line.includes('Error: ')) ?? lines.slice(-5).join('; ');
  throw new Error(`Expected exit code 0 but received ${code ?? signal}: ${reason}`);
}
