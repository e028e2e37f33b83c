/** Writes all case tables as JSON to stdout: the input of make_golden.py, which says how to run it. */
import { tables } from '../cases/index.js';
import { fillOf } from '../support/op_table.js';
import { cotangentName, differentiable, drawInput } from '../support/run_case.js';
import { seedOf } from '../support/fill.js';

const exported = tables.map((table) => ({
  op: table.op,
  torch: table.torch,
  names: [...new Set(table.cases.flatMap(({ inputs, params }) => Object.keys({ ...inputs, ...params })))],
  cases: table.cases.map((opCase) => ({
    name: opCase.name,
    params: opCase.params,
    gradients: differentiable(table, opCase),
    cotangentSeed: seedOf(cotangentName(table, opCase)),
    inputs: Object.fromEntries(
      Object.entries(opCase.inputs).map(([input, spec]) => [
        input,
        {
          shape: spec.shape,
          dtype: fillOf(spec).dtype,
          values: Array.from(drawInput(table, opCase, input, spec)),
        },
      ]),
    ),
  })),
}));
process.stdout.write(JSON.stringify(exported));
