import { expect } from 'chai';
import type { DeviceLike } from '../../lib/device.js';
import { tables } from '../cases/index.js';
import { expectClose, expectEqual } from './compare.js';
import { type Golden, readGolden } from './golden.js';
import type { OpTable } from './op_table.js';
import { differentiable, drawInputs, nameOf, runCase, runForward } from './run_case.js';

/** max|a − b| / max|b| of each output and gradient against PyTorch in float64. */
const TOLERANCE = 1e-5;

/** The tests of every case of the tables, or of those given, on a device. */
export function testOperations(device: () => DeviceLike, given: readonly OpTable[] = tables): void {
  for (const table of given) {
    describe(table.op, () => {
      let golden: Golden;
      before(async () => {
        golden = await readGolden(table.op);
      });

      for (const opCase of table.cases) {
        const name = nameOf(table, opCase);
        const inputs = differentiable(table, opCase);

        it(`${opCase.name}: as PyTorch`, async () => {
          const { outputs, gradients } = await runCase(table, opCase, device());
          const results = [
            ...Object.entries(outputs),
            ...Object.entries(gradients).map(([input, dx]) => [`d${input}`, dx] as const),
          ];
          const keys = results.map(([key]) => `${opCase.name}/${key}`);
          expect([...golden.keys()].filter((key) => key.startsWith(`${opCase.name}/`))).to.have.members(keys);
          for (const [key, actual] of results) {
            const wanted = golden.get(`${opCase.name}/${key}`);
            const tolerance = actual instanceof Float32Array ? (opCase.tolerance?.relative ?? TOLERANCE) : 0;
            expectClose(`${name}/${key}`, actual, wanted?.data ?? [], tolerance);
          }
          const inference = await runForward(table, opCase, drawInputs(table, opCase), device());
          for (const [key, y] of Object.entries(inference)) {
            expectEqual(`${name}/${key} in inference`, y, outputs[key] ?? []);
          }
        });

        if (inputs.length > 1) {
          it(`${opCase.name}: each gradient alone is the same`, async () => {
            const { gradients } = await runCase(table, opCase, device());
            for (const input of inputs) {
              const alone = await runCase(table, opCase, device(), [input]);
              expectEqual(`${name}/d${input}`, alone.gradients[input] ?? [], gradients[input] ?? []);
            }
          });
        }
      }
    });
  }
}
