import { machine } from '../bench/machine.js';
import { measureNetwork, networkTrials } from '../bench/network.js';
import { describeMachine, printNetwork } from '../bench/tables.js';
import type { BenchOptions } from './bench.js';
import { changedConvolutions, openDevice } from './device.js';
import { writeJson, writeLine, writeNote } from './output.js';

/** `alexnet bench`. */
export async function runBench({
  batch,
  rounds,
  seconds,
  json = false,
  ...given
}: BenchOptions): Promise<void> {
  const { threads } = given;
  const device = openDevice(given);
  const facts = machine(device);
  const trials = networkTrials(batch, {
    seconds,
    device: device.name,
    ...(threads === undefined ? {} : { threads }),
    ...changedConvolutions(given),
  });
  if (!json) writeLine(describeMachine(facts));
  const rows = await measureNetwork({ trials, rounds, tell: writeNote });
  if (json) writeJson({ machine: facts, ...rows });
  else printNetwork(rows);
}
