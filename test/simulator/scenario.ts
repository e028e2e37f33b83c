// scenario.ts ADDON [exact]: a bit of everything on the simulator, with exact blocks or as production has them. Writes what is wrong; the process ends as the simulator says.
import { NodeCudnnError } from '../../lib/errors.js';
import { to } from '../../lib/ops/index.js';
import { tidy } from '../../lib/scope.js';
import { full } from '../../lib/tensor.js';
import conv2dTable from '../cases/conv2d.js';
import linearTable from '../cases/linear.js';
import maxPool2dTable from '../cases/max_pool2d.js';
import { difference } from '../support/compare.js';
import { nameOf, runCase } from '../support/run_case.js';
import { Simulator } from './simulator.js';

const TOLERANCE = 1e-5;

const simulator = new Simulator(process.argv[2] ?? '');
simulator.exact(process.argv[3] === 'exact');
const device = simulator.device();

for (const table of [linearTable, maxPool2dTable, conv2dTable]) {
  for (const opCase of table.cases) {
    try {
      const [ours, wanted] = [await runCase(table, opCase, device), await runCase(table, opCase, 'cpu')];
      for (const [key, values] of Object.entries({ ...wanted.outputs, ...wanted.gradients })) {
        const { relative } = difference({ ...ours.outputs, ...ours.gradients }[key] ?? [], values);
        if (!(relative <= TOLERANCE))
          console.error(`numbers: ${nameOf(table, opCase)}/${key}: off by ${relative}`);
      }
    } catch (error) {
      console.error(`failed: ${nameOf(table, opCase)}: ${error}`);
    }
  }
}

// Of the other devices one reaches the first, and one does not. Memory is given away while it is copied.
for (const other of simulator.devices.slice(1)) {
  await tidy(async () => {
    const x = full([1000], 3, { device });
    const y = to(x, other);
    x.dispose();
    const z = full([1000], 5, { device });
    for (const [tensor, wanted] of [
      [y, 3],
      [z, 5],
    ] as const)
      if ((await tensor.data()).some((each) => each !== wanted))
        console.error(`numbers: copied to ${other}: not ${wanted}`);
  });
}

await tidy(async () => {
  const x = full([3], 1, { device });
  await device.synchronize();
  simulator.fail('cudaMemcpyAsync', 1, 'ExecutionFailed');
  const error: unknown = await x.data().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof NodeCudnnError)) console.error('a copy failed, and no error was told');
});
for (const each of simulator.devices) each.emptyCache();
await Promise.all(simulator.devices.map((each) => each.synchronize()));
