// faults.ts ADDON: lets calls of a training step fail. Each line of the input is a trial; each of the output, as JSON,
// what came of it. Without input the only line says how often each call is made. The process ends as the simulator says.
import { text } from 'node:stream/consumers';
import { backward } from '../../lib/autograd.js';
import type { Device } from '../../lib/device.js';
import { NodeCudnnError } from '../../lib/errors.js';
import { add, to } from '../../lib/ops/index.js';
import { Adam, type Optimizer, SGD } from '../../lib/optim/index.js';
import { tidy } from '../../lib/scope.js';
import { full, type Tensor } from '../../lib/tensor.js';
import smallAlexNet from '../cases/small_alexnet.js';
import { difference } from '../support/compare.js';
import { drawInputs, makeTensors, runCase } from '../support/run_case.js';
import { type Fault, Simulator } from './simulator.js';

/**
 * When a call fails: as soon as a device is used, from the first upload to the last gradient's download; in its first
 * training step, in which convolutions are planned; in a later one; or in the first step over two devices.
 */
export const PHASES = ['use', 'first step', 'later step', 'two devices'] as const;
export type Phase = (typeof PHASES)[number];
const OPTIMIZERS = ['SGD', 'Adam'] as const;
/** The `nth` call of that name fails. */
export interface Trial {
  readonly call: string;
  readonly nth: number;
  readonly fault: Fault;
  readonly phase: Phase;
  readonly optimizer: (typeof OPTIMIZERS)[number];
}
export interface Outcome extends Trial {
  /** What the step rejected with or threw. */
  readonly errors: readonly string[];
  readonly problems: readonly string[];
}
/** How often each call is made. */
export type Calls = Readonly<Record<Phase, Readonly<Record<string, number>>>>;

const TOLERANCE = 1e-5;
const [opCase] = smallAlexNet.cases.map((each) => ({ ...each, values: drawInputs(smallAlexNet, each) }));
if (opCase === undefined) throw new Error('no case of a small AlexNet');
const net = opCase;
const names = smallAlexNet.gradients.filter((name) => name !== 'x');

type Devices = readonly [Device, ...Device[]];
type Read = PromiseSettledResult<Float32Array>[];

/** A small AlexNet on a device, or one to whose loss another device adds. */
class Net {
  readonly #devices: Devices;
  readonly #tensors: Record<string, Tensor>;
  readonly #optimizer: Optimizer;

  constructor(devices: Devices, optimizer: Trial['optimizer']) {
    this.#devices = devices;
    this.#tensors = makeTensors(net, net.values, devices[0], names);
    const [, other] = devices;
    if (other !== undefined) this.#tensors.last = full([], 1, { device: other, requiresGrad: true });
    const parameters = Object.entries(this.#tensors).filter(([, { requiresGrad }]) => requiresGrad);
    this.#optimizer =
      optimizer === 'SGD'
        ? new SGD(parameters, { lr: 0.01, momentum: 0.9, weightDecay: 0.001 })
        : new Adam(parameters, { lr: 0.001 });
  }

  /** The loss, NaN where there is none, and what was thrown or rejected with. */
  async step(): Promise<{ loss: number; errors: unknown[] }> {
    try {
      const [loss, stepped] = await tidy(() => {
        const { y } = smallAlexNet.run(this.#tensors, {}, this.#devices[0]);
        if (y === undefined) throw new Error('no loss');
        const { last } = this.#tensors;
        const all = last === undefined ? y : add(to(add(to(y, last.device), last), y.device), y);
        backward(all);
        return Promise.allSettled([all.item(), this.#optimizer.step()]);
      });
      const errors = [loss, stepped].flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
      return { loss: loss.status === 'fulfilled' ? loss.value : Number.NaN, errors };
    } catch (error) {
      return { loss: Number.NaN, errors: [error] };
    } finally {
      this.#optimizer.zeroGrad();
    }
  }

  /** The parameters, and what the optimizer keeps for each. */
  get state(): [string, Tensor][] {
    return [
      ...Object.entries(this.#tensors).filter(([, { requiresGrad }]) => requiresGrad),
      ...this.#optimizer.stateTensors(),
    ];
  }

  read(): Promise<Read> {
    return Promise.allSettled(this.state.map(([, each]) => each.data<Float32Array>()));
  }

  async synchronize(): Promise<void> {
    await Promise.allSettled(this.#devices.map((device) => device.synchronize()));
  }

  [Symbol.dispose](): void {
    this.#optimizer.dispose();
    for (const each of Object.values(this.#tensors)) each.dispose();
  }
}

const simulator = new Simulator(process.argv[2] ?? '');
// The first four stay whole; trials that plan, or lose theirs, have some of their own.
const [whole, trained, left, right, ...fresh] = simulator.devices;
if (whole === undefined || trained === undefined || left === undefined || right === undefined)
  throw new Error('fewer than four devices');

const calls: Partial<Record<Phase, Record<string, number>>> = {};
/** Counts what the first run of a phase calls. */
async function counted<T>(phase: Phase, run: () => Promise<T>): Promise<T> {
  const before = simulator.calls();
  const result = await run();
  calls[phase] ??= Object.fromEntries(
    Object.entries(simulator.calls())
      .map(([call, n]) => [call, n - (before[call] ?? 0)] as const)
      .filter(([, n]) => n > 0),
  );
  return result;
}

/** All results of the network and its backward, one behind the other. */
async function use(device: Device): Promise<Float32Array> {
  const { outputs, gradients } = await counted('use', () => runCase(smallAlexNet, net, device));
  return Float32Array.from(
    [outputs, gradients].flatMap((each) => Object.values(each).flatMap((values) => [...values])),
  );
}

/** Some steps without a fault. */
async function train(devices: Devices, optimizer: Trial['optimizer'], phases: readonly Phase[]) {
  using model = new Net(devices, optimizer);
  const losses: number[] = [];
  const reads = [await model.read()];
  for (const phase of phases) {
    const { loss, errors } = await counted(phase, () => model.step());
    if (errors.length > 0) throw errors[0];
    losses.push(loss);
    reads.push(await model.read());
  }
  return { losses, reads };
}

function isSame(actual: Float32Array, wanted: PromiseSettledResult<Float32Array> | undefined): boolean {
  return wanted?.status === 'fulfilled' && difference(actual, wanted.value).relative <= TOLERANCE;
}
const isOff = (loss: number, wanted = Number.NaN) => !(Math.abs(loss / wanted - 1) <= TOLERANCE);

// The device is new: `use` comes first.
const used = await use(whole);
// Its plans are made: those of the first step are counted on another.
const STEPS = ['first step', 'later step', 'later step'] as const;
const alone = {
  SGD: await train([trained], 'SGD', STEPS),
  Adam: await train([trained], 'Adam', STEPS),
};
const together = await train([left, right], 'SGD', ['two devices', 'two devices', 'two devices']);

/** The device's first use fails; what it rejected with. */
async function failUse({ call, nth, fault }: Trial, device: Device, problems: string[]): Promise<unknown[]> {
  simulator.fail(call, nth, fault);
  const [outcome] = await Promise.allSettled([use(device)]);
  simulator.fail(call, 0, fault);
  if (outcome.status === 'rejected') return [outcome.reason];
  if (difference(outcome.value, used).relative > TOLERANCE)
    problems.push('other numbers, and no error was told');
  return [];
}

/** A step fails; what it rejected with or threw. The same model takes the next one. */
async function failStep(
  { call, nth, fault, phase, optimizer }: Trial,
  devices: Devices,
  problems: string[],
): Promise<unknown[]> {
  const wanted = phase === 'two devices' ? together : alone[optimizer];
  const step = phase === 'later step' ? 1 : 0;
  using model = new Net(devices, optimizer);
  if (step > 0) await model.step();
  await model.synchronize();
  simulator.fail(call, nth, fault);
  const { loss, errors } = await model.step();
  simulator.fail(call, 0, fault);
  // Where nobody was told, nothing may be wrong.
  if (errors.length === 0 && isOff(loss, wanted.losses[step]))
    problems.push(`the loss is ${loss} and no error was told`);
  const reads = await model.read();
  // One device may be lost after all that the step waits for: whoever reads from it is told.
  if (phase === 'two devices' && fault === 'DeviceLost' && errors.length === 0)
    errors.push(...reads.flatMap((each) => (each.status === 'rejected' ? [each.reason] : [])));
  const known = model.state.map(([name]) => name);
  const took = new Map<string, boolean>();
  for (const [i, read] of reads.entries()) {
    const name = known[i] ?? '';
    if (read.status === 'rejected') {
      if (!(read.reason instanceof NodeCudnnError)) problems.push(`${name}: ${read.reason}`);
      if (errors.length === 0 || fault !== 'DeviceLost')
        problems.push(`${name} cannot be read: ${read.reason}`);
      continue;
    }
    // The other device goes on with what it had of the lost one, which is nothing: an error told of it, and training
    // that meets one saves no weights.
    if (phase === 'two devices' && fault === 'DeviceLost' && errors.length > 0) continue;
    const [old, changed] = [step, step + 1].map((at) => isSame(read.value, wanted.reads[at]?.[i]));
    if (errors.length === 0 ? !changed : !old && !changed) problems.push(`${name} has other numbers`);
    if (old === changed) continue; // Both: it has no gradient.
    took.set(name, changed === true);
    // What the optimizer keeps goes with its parameter.
    const parameter = name.split('/')[1];
    if (parameter !== undefined && took.get(parameter) === old)
      problems.push(`${name} was updated without its parameter, or that without it`);
  }
  const next = await model.step();
  if (fault !== 'DeviceLost') {
    if (next.errors.length > 0) problems.push(`the model's next step fails: ${next.errors[0]}`);
    // All or none were updated: then it is a step of the same training.
    const at = new Set(took.values()).size === 1 ? step + ([...took.values()][0] ? 1 : 0) : -1;
    if (at >= 0 && isOff(next.loss, wanted.losses[at]))
      problems.push(`the model's next loss is ${next.loss}`);
    if (!Number.isFinite(next.loss)) problems.push(`the model's next loss is ${next.loss}`);
  } else {
    for (const error of next.errors)
      if (!(error instanceof NodeCudnnError)) problems.push(`an error of another kind: ${error}`);
  }
  await model.synchronize();
  return errors;
}

async function run(trial: Trial, devices: Devices): Promise<Outcome> {
  const problems: string[] = [];
  const told =
    trial.phase === 'use'
      ? await failUse(trial, devices[0], problems)
      : await failStep(trial, devices, problems);
  for (const error of told)
    if (!(error instanceof NodeCudnnError)) problems.push(`an error of another kind: ${error}`);
  await Promise.allSettled(devices.map((device) => device.synchronize()));
  if (trial.fault === 'DeviceLost' && told.length > 0) {
    await expectRefused(devices, problems);
  } else {
    const wanted = devices.length > 1 ? together : alone.SGD;
    const phases = PHASES.slice(1, 3);
    const again = await train(devices, 'SGD', phases).catch((error: unknown) => {
      problems.push(`the next step is not possible: ${error}`);
      return wanted;
    });
    for (const [i, loss] of again.losses.entries())
      if (isOff(loss, wanted.losses[i])) problems.push(`another loss: ${loss}`);
    for (const device of devices) {
      device.emptyCache();
      await device.synchronize();
      if (device.memory().liveBuffers > 0) problems.push('tensors are left');
    }
  }
  const descriptors = simulator.counts()['cuDNN descriptor'] ?? 0;
  if (descriptors !== 0) problems.push(`${descriptors} descriptors are left`);
  return { ...trial, errors: told.map(String), problems };
}

/** A lost device: each step says so. */
async function expectRefused(devices: Devices, problems: string[]): Promise<void> {
  try {
    using model = new Net(devices, 'SGD');
    const { errors } = await model.step();
    if (errors.length === 0) problems.push('a lost device computes');
    for (const error of errors)
      if (!(error instanceof NodeCudnnError)) problems.push(`an error of another kind: ${error}`);
  } catch (error) {
    if (!(error instanceof NodeCudnnError)) problems.push(`an error of another kind: ${error}`);
  }
  // Or what is queued yet makes the calls that the next trial counts.
  await Promise.allSettled(devices.map((device) => device.synchronize()));
}

/** Those of a trial: of its own where plans have to be made, or one is lost. */
function devicesFor({ phase, fault }: Trial): Devices {
  const own = (): Device => {
    const device = fresh.pop();
    if (device === undefined) throw new Error('more trials than devices');
    return device;
  };
  if (phase === 'two devices') return [own(), own()];
  const [shared] = fresh;
  return phase === 'later step' && fault !== 'DeviceLost' && shared !== undefined ? [shared] : [own()];
}

const lines = (await text(process.stdin)).split('\n').filter((line) => line !== '');
if (lines.length === 0) process.stdout.write(`${JSON.stringify(calls)}\n`);
for (const line of lines) {
  const trial = JSON.parse(line) as Trial;
  process.stdout.write(`${JSON.stringify(await run(trial, devicesFor(trial)))}\n`);
}
