// faults.ts ADDON: lets calls of a training step fail. Each line of the input is a trial; each of the output, as JSON,
// what came of it. Without input the only line says how often each call is made. The process ends as the simulator says.
import { text } from 'node:stream/consumers';
import { backward } from '../../lib/autograd.js';
import type { Device } from '../../lib/device.js';
import { NodeCudnnError } from '../../lib/errors.js';
import { SGD } from '../../lib/optim/index.js';
import { tidy } from '../../lib/scope.js';
import type { Tensor } from '../../lib/tensor.js';
import smallAlexNet from '../cases/small_alexnet.js';
import { difference } from '../support/compare.js';
import { drawInputs, makeTensors, runCase } from '../support/run_case.js';
import { type Fault, Simulator } from './simulator.js';

/**
 * When a call fails: as soon as a device is used, from the first upload to the last gradient's download; in its first
 * training step, in which convolutions are planned; or in a later one.
 */
export const PHASES = ['use', 'first step', 'later step'] as const;
export type Phase = (typeof PHASES)[number];
/** The `nth` call of that name fails. */
export interface Trial {
  readonly call: string;
  readonly nth: number;
  readonly fault: Fault;
  readonly phase: Phase;
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
const names = smallAlexNet.gradients.filter((name) => name !== 'x');

type Read = PromiseSettledResult<Float32Array>[];

class Net {
  readonly #device: Device;
  readonly #tensors: Record<string, Tensor>;
  readonly #optimizer: SGD;

  constructor(device: Device) {
    this.#device = device;
    this.#tensors = makeTensors(net, net.values, device, names);
    this.#optimizer = new SGD(
      Object.entries(this.#tensors).filter(([name]) => names.includes(name)),
      {
        lr: 0.01,
        momentum: 0.9,
        weightDecay: 0.001,
      },
    );
  }

  /** The loss, NaN where there is none, and what was thrown or rejected with. */
  async step(): Promise<{ loss: number; errors: unknown[] }> {
    try {
      const [loss, stepped] = await tidy(() => {
        const { y } = smallAlexNet.run(this.#tensors, {}, this.#device);
        if (y === undefined) throw new Error('no loss');
        backward(y);
        return Promise.allSettled([y.item(), this.#optimizer.step()]);
      });
      const errors = [loss, stepped].flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
      return { loss: loss.status === 'fulfilled' ? loss.value : Number.NaN, errors };
    } catch (error) {
      return { loss: Number.NaN, errors: [error] };
    } finally {
      this.#optimizer.zeroGrad();
    }
  }

  read(): Promise<Read> {
    return Promise.allSettled(
      names.map((name) => this.#tensors[name]?.data<Float32Array>() ?? []) as Promise<Float32Array>[],
    );
  }

  [Symbol.dispose](): void {
    this.#optimizer.dispose();
    for (const each of Object.values(this.#tensors)) each.dispose();
  }
}
const net = opCase;

const simulator = new Simulator(process.argv[2] ?? '');
// The first two stay whole; trials that plan, or lose theirs, have one of their own.
const [whole, trained, ...fresh] = simulator.devices;
if (whole === undefined || trained === undefined) throw new Error('fewer than two devices');

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

/** Two steps without a fault. */
async function train(device: Device) {
  using model = new Net(device);
  const losses: number[] = [];
  const reads = [await model.read()];
  for (const phase of PHASES.slice(1)) {
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

// The device is new: `use` comes first.
const used = await use(whole);
// Its plans are made: those of the first step are counted on another.
const wanted = await train(trained);

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

/** A step fails; what it rejected with or threw. */
async function failStep(
  { call, nth, fault, phase }: Trial,
  device: Device,
  problems: string[],
): Promise<unknown[]> {
  const step = phase === 'first step' ? 0 : 1;
  using model = new Net(device);
  if (step > 0) await model.step();
  else await device.synchronize();
  simulator.fail(call, nth, fault);
  const { loss, errors } = await model.step();
  simulator.fail(call, 0, fault);
  // Where nobody was told, nothing may be wrong.
  if (errors.length === 0 && Math.abs(loss / (wanted.losses[step] ?? Number.NaN) - 1) > TOLERANCE)
    problems.push(`the loss is ${loss} and no error was told`);
  const reads = await model.read();
  for (const [i, read] of reads.entries()) {
    if (read.status === 'rejected') {
      if (!(read.reason instanceof NodeCudnnError)) problems.push(`${names[i]}: ${read.reason}`);
      if (errors.length === 0) problems.push(`${names[i]} cannot be read and no error was told`);
      continue;
    }
    const [old, changed] = [step, step + 1].map((at) => isSame(read.value, wanted.reads[at]?.[i]));
    if (errors.length === 0 ? !changed : !old && !changed) problems.push(`${names[i]} has other numbers`);
  }
  // Where all parameters kept their numbers, the same model goes on.
  const next = await model.step();
  const isReadable = reads.every(({ status }) => status === 'fulfilled');
  if (isReadable && fault !== 'DeviceLost' && next.errors.length > 0)
    problems.push(`the model's next step fails: ${next.errors[0]}`);
  return errors;
}

async function run(trial: Trial, device: Device): Promise<Outcome> {
  const problems: string[] = [];
  const told = await (trial.phase === 'use' ? failUse : failStep)(trial, device, problems);
  for (const error of told)
    if (!(error instanceof NodeCudnnError)) problems.push(`an error of another kind: ${error}`);
  await Promise.allSettled([device.synchronize()]);
  if (trial.fault === 'DeviceLost' && told.length > 0) {
    await expectRefused(device, problems);
  } else {
    const again = await train(device).catch((error: unknown) => {
      problems.push(`the next step is not possible: ${error}`);
      return wanted;
    });
    for (const [i, loss] of again.losses.entries())
      if (Math.abs(loss / (wanted.losses[i] ?? Number.NaN) - 1) > TOLERANCE)
        problems.push(`another loss: ${loss}`);
    device.emptyCache();
    await device.synchronize();
    if (device.memory().liveBuffers > 0) problems.push('tensors are left');
  }
  const left = simulator.counts()['cuDNN descriptor'] ?? 0;
  if (left !== 0) problems.push(`${left} descriptors are left`);
  return { ...trial, errors: told.map(String), problems };
}

/** A lost device: each step says so. */
async function expectRefused(device: Device, problems: string[]): Promise<void> {
  try {
    using model = new Net(device);
    const { errors } = await model.step();
    if (errors.length === 0) problems.push('a lost device computes');
    for (const error of errors)
      if (!(error instanceof NodeCudnnError)) problems.push(`an error of another kind: ${error}`);
  } catch (error) {
    if (!(error instanceof NodeCudnnError)) problems.push(`an error of another kind: ${error}`);
  }
}

const lines = (await text(process.stdin)).split('\n').filter((line) => line !== '');
if (lines.length === 0) process.stdout.write(`${JSON.stringify(calls)}\n`);
for (const line of lines) {
  const trial = JSON.parse(line) as Trial;
  const device = trial.phase !== 'later step' || trial.fault === 'DeviceLost' ? fresh.pop() : fresh[0];
  if (device === undefined) throw new Error('more trials than devices');
  process.stdout.write(`${JSON.stringify(await run(trial, device))}\n`);
}
