import { Device } from '../../lib/device.js';
import { OutOfMemoryError } from '../../lib/errors.js';
import { empty, rand, type Tensor } from '../../lib/tensor.js';
import dropoutTable from '../cases/dropout.js';
import { tables } from '../cases/index.js';
import randTable from '../cases/rand.js';
import { difference, expectEqual } from '../support/compare.js';
import { readGolden } from '../support/golden.js';
import type { OpTable } from '../support/op_table.js';
import { nameOf, runCase } from '../support/run_case.js';
import { trainTrace } from '../support/trace.js';
import { type Training, train } from '../support/train.js';
import type { Section } from './section.js';

/** The cases of the tables on a device and on the CPU backend. */
async function compareTables(section: Section, device: Device, given: readonly OpTable[], tolerance: number) {
  for (const table of given) {
    for (const opCase of table.cases) {
      const name = nameOf(table, opCase);
      const [actual, wanted] = [
        await section.run(name, () => runCase(table, opCase, device)),
        await section.run(`${name} on the CPU`, () => runCase(table, opCase, 'cpu')),
      ];
      if (actual === undefined || wanted === undefined) continue;
      for (const kind of ['outputs', 'gradients'] as const) {
        for (const [key, values] of Object.entries(wanted[kind])) {
          const { relative } = difference(actual[kind][key] ?? [], values);
          section.expectAtMost(
            `${name}/${kind === 'gradients' ? 'd' : ''}${key}`,
            relative,
            values instanceof Float32Array ? tolerance : 0,
          );
        }
      }
    }
  }
}

const isConvolution = ({ op }: OpTable): boolean => ['conv2d', 'smallAlexNet'].includes(op);

export async function operations(section: Section, device: Device): Promise<void> {
  device.setConvolutions({ tf32: false });
  const copies = isThere('cuda:1');
  if (!copies) section.note('to: not run, there is one device');
  const run = tables.filter(({ op }) => copies || op !== 'to');
  await compareTables(section, device, run, 1e-4);
}

export async function operationsTf32(section: Section, device: Device): Promise<void> {
  device.setConvolutions({ tf32: true });
  section.note('convolutions only, which alone use TF32');
  await compareTables(section, device, tables.filter(isConvolution), 5e-3);
  device.setConvolutions({ tf32: false });
}

/** PyTorch's ten steps, or the first of them. */
export async function trace(section: Section, device: Device, steps: number): Promise<void> {
  const tolerance = 1e-3;
  device.setConvolutions({ tf32: false });
  const golden = await readGolden('trace');
  const wanted = Array.from(golden.get('losses')?.data ?? [], Number);
  const ours = await section.run(`${steps} steps`, () => trainTrace(device, steps));
  for (const [step, loss] of ours?.losses.entries() ?? [])
    section.expectAtMost(`loss of step ${step + 1}`, Math.abs(loss / (wanted[step] ?? 0) - 1), tolerance);
  if (steps < wanted.length) {
    section.note(`norms after step ${wanted.length} not compared: ${steps} steps were run`);
    return;
  }
  for (const [name, norm] of ours?.norms ?? []) {
    const error = Math.abs(norm / Number(golden.get(name)?.data[0]) - 1);
    section.expectAtMost(`norm of ${name}`, error, tolerance);
  }
}

function expectSameBits(actual: Training, wanted: Training): void {
  expectEqual('losses', actual.losses, wanted.losses);
  for (const [name, values] of wanted.weights) expectEqual(name, actual.weights.get(name) ?? [], values);
}

export async function determinism(section: Section, device: Device, batch: number, steps: number) {
  device.setConvolutions({ deterministic: true, tf32: true });
  await section.run(`${steps} steps twice, batch ${batch}: equal bits`, async () => {
    const first = await train(device, batch, steps);
    expectSameBits(await train(device, batch, steps), first);
  });
  device.setConvolutions({ deterministic: false, tf32: false });
}

export async function dropout(section: Section, device: Device): Promise<void> {
  for (const table of [dropoutTable, randTable]) {
    for (const opCase of table.cases) {
      const name = nameOf(table, opCase);
      await section.run(name, async () => {
        const [actual, wanted] = [await runCase(table, opCase, device), await runCase(table, opCase, 'cpu')];
        for (const kind of ['outputs', 'gradients'] as const)
          for (const [key, values] of Object.entries(wanted[kind]))
            expectEqual(`${name}/${key}`, actual[kind][key] ?? [], values);
      });
    }
  }
  await section.run('rand of a million', async () => {
    const drawn = async (on: Device | 'cpu') => {
      using x = rand([1_000_003], { seed: 3, device: on });
      return x.data();
    };
    expectEqual('rand', await drawn(device), await drawn('cpu'));
  });
}

/** Blocks of that size until there is no memory left; then, without them, training goes on. */
export async function outOfMemory(section: Section, device: Device, blockBytes: number, batch: number) {
  await section.run(`blocks of ${blockBytes / 2 ** 30} GiB until an OutOfMemoryError`, async () => {
    const blocks: Tensor[] = [];
    try {
      for (;;) blocks.push(empty([blockBytes], { dtype: 'uint8', device }));
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      section.note(`${blocks.length} blocks were there`);
    } finally {
      for (const block of blocks) block.dispose();
      device.emptyCache();
      await device.synchronize();
    }
  });
  await section.run('a training step after it', async () => {
    const { losses } = await train(device, batch, 1);
    if (!losses.every(Number.isFinite)) throw new Error(`Expected finite loss but received ${losses}`);
  });
}

export async function twoDevices(section: Section, batch: number, steps: number): Promise<void> {
  if (!isThere('cuda:1')) {
    section.skip('there is one device');
    return;
  }
  const devices = ['cuda:0', 'cuda:1'].map((name) => Device.get(name));
  for (const device of devices) device.setConvolutions({ tf32: false });
  const compare = (what: string, { losses, weights }: Training, wanted: Training): void => {
    section.expectAtMost(`losses ${what}`, difference(losses, wanted.losses).relative, 1e-4);
    for (const [name, values] of wanted.weights)
      section.expectAtMost(`${name} ${what}`, difference(weights.get(name) ?? [], values).relative, 1e-4);
  };
  const wanted = await section.run('on the CPU', () => train('cpu', batch, steps));
  const ours = await section.run('on both at once', () =>
    Promise.all(devices.map((device) => train(device, batch, steps))),
  );
  for (const [i, training] of ours?.entries() ?? [])
    if (wanted !== undefined) compare(`of cuda:${i}`, training, wanted);
  const wantedSplit = await section.run('the columns on two CPU devices', () =>
    train(['cpu', 'cpu:1'], batch, steps),
  );
  const split = await section.run('the columns on both', () => train(devices, batch, steps));
  if (split !== undefined && wantedSplit !== undefined) compare('of the split net', split, wantedSplit);
}

function isThere(name: string): boolean {
  try {
    Device.get(name);
    return true;
  } catch {
    return false;
  }
}
