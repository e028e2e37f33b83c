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
import { drawInputs, makeTensors } from '../support/run_case.js';
import { type Fault, Simulator } from './simulator.js';

/** The `nth` call of that name in a device's first step, in which convolutions are planned, or in its second. */
export interface Trial {
  readonly call: string;
  readonly nth: number;
  readonly fault: Fault;
  readonly first: boolean;
}
export interface Outcome extends Trial {
  /** What the step rejected with or threw. */
  readonly errors: readonly string[];
  readonly problems: readonly string[];
}
/** How often each call is made, in the first step and in the second. */
export type Calls = readonly [Readonly<Record<string, number>>, Readonly<Record<string, number>>];

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
// The first device stays whole; trials that plan, or lose theirs, have one of their own.
const [whole, ...fresh] = simulator.devices;
if (whole === undefined) throw new Error('no device');

/** Two steps without a fault. */
async function reference(device: Device) {
  using model = new Net(device);
  const made: Record<string, number>[] = [];
  const losses: number[] = [];
  const reads = [await model.read()];
  for (let step = 0; step < 2; step++) {
    const before = simulator.calls();
    const { loss, errors } = await model.step();
    if (errors.length > 0) throw errors[0];
    const calls = Object.entries(simulator.calls()).map(
      ([call, n]) => [call, n - (before[call] ?? 0)] as const,
    );
    made.push(Object.fromEntries(calls.filter(([, n]) => n > 0)));
    losses.push(loss);
    reads.push(await model.read());
  }
  return { losses, reads, calls: made as unknown as Calls };
}

function isSame(actual: Float32Array, wanted: PromiseSettledResult<Float32Array> | undefined): boolean {
  return wanted?.status === 'fulfilled' && difference(actual, wanted.value).relative <= TOLERANCE;
}

const wanted = await reference(whole);

async function run({ call, nth, fault, first }: Trial, device: Device): Promise<Outcome> {
  const problems: string[] = [];
  const step = first ? 0 : 1;
  const told: unknown[] = [];
  {
    using model = new Net(device);
    if (!first) await model.step();
    else await device.synchronize();
    simulator.fail(call, nth, fault);
    const { loss, errors } = await model.step();
    simulator.fail(call, 0, fault);
    told.push(...errors);
    for (const error of errors)
      if (!(error instanceof NodeCudnnError)) problems.push(`an error of another kind: ${error}`);
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
  }
  await Promise.allSettled([device.synchronize()]);
  if (fault === 'DeviceLost' && told.length > 0) {
    await expectRefused(device, problems);
  } else {
    const again = await reference(device).catch((error: unknown) => {
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
  return { call, nth, fault, first, errors: told.map(String), problems };
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
if (lines.length === 0) process.stdout.write(`${JSON.stringify(wanted.calls)}\n`);
for (const line of lines) {
  const trial = JSON.parse(line) as Trial;
  const device = trial.first || trial.fault === 'DeviceLost' ? fresh.pop() : fresh[0];
  if (device === undefined) throw new Error('more trials than devices');
  process.stdout.write(`${JSON.stringify(await run(trial, device))}\n`);
}
