// autotune.ts ADDON: convolutions of devices that measure plans, of which the first two are alike. Prints one line of JSON.
import { Device } from '../../lib/device.js';
import conv2dTable from '../cases/conv2d.js';
import { difference } from '../support/compare.js';
import { type CaseResult, runCase } from '../support/run_case.js';
import { Simulator } from './simulator.js';

export interface Step {
  what: string;
  /** Against the CPU backend, the worst of output and gradients: max|a − b| / max|b|. */
  error: number;
  /** How many runs were timed, and how many plans executed. */
  timed: number;
  executed: number;
  choices: Record<string, string>;
  /** Whether each bit is that of the first step. */
  sameAsFirst: boolean;
}

const [opCase] = conv2dTable.cases.filter(({ name }) => name === 'groups 2 of 8 channels');
if (opCase === undefined) throw new Error('no such case');
const arraysOf = ({ outputs, gradients }: CaseResult) => Object.values({ ...outputs, ...gradients });

const simulator = new Simulator(process.argv[2] ?? '');
const wanted = arraysOf(await runCase(conv2dTable, opCase, Device.get('cpu')));
const steps: Step[] = [];
let first: ReturnType<typeof arraysOf> | undefined;

async function step(what: string, device: Device): Promise<void> {
  const count = (call: string) => simulator.calls()[call] ?? 0;
  const [timed, executed] = [count('cudaEventElapsedTime'), count('cudnnBackendExecute')];
  const arrays = arraysOf(await runCase(conv2dTable, opCase as NonNullable<typeof opCase>, device));
  first ??= arrays;
  steps.push({
    what,
    error: Math.max(...arrays.map((array, i) => difference(array, wanted[i] ?? []).relative)),
    timed: count('cudaEventElapsedTime') - timed,
    executed: count('cudnnBackendExecute') - executed,
    choices: { ...device.choices },
    sameAsFirst: arrays.every((array, i) => array.every((value, at) => Object.is(value, first?.[i]?.[at]))),
  });
}

const tuning = (index: number, on: boolean) => simulator.backend.setOption(index, 'autotune', Number(on));
const [one, alike, other, failing] = [0, 1, 2, 3].map((index) => simulator.device(index));
if (!one || !alike || !other || !failing) throw new Error('four devices are needed');

for (const index of simulator.devices.keys()) tuning(index, true);
await step('first', one);
await step('again', one);
alike.choose(one.choices);
await step('alike, with the choices', alike);
other.choose(
  Object.fromEntries(Object.keys(one.choices).map((what) => [what, 'an engine that is not there'])),
);
await step('choices of another device', other);
simulator.fail('cudnnBackendExecute', 1, 'ExecutionFailed');
await step('a plan fails', failing);
tuning(3, false);
await step('off', failing);
process.stdout.write(`${JSON.stringify(steps)}\n`);
