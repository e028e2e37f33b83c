import { randn } from '../../lib/tensor.js';
import { defineOp } from '../support/op_table.js';

interface RandnParams {
  shape: readonly number[];
  seed: number;
  stream?: number;
  offset?: number;
  mean?: number;
  std?: number;
}

export default defineOp<object, RandnParams>({
  op: 'randn',
  torch: 'randn(**params)',
  run: (_, { shape, ...options }, device) => randn(shape, { ...options, device }),
  real: ['mean', 'std'],
  cases: [
    { name: 'standard', params: { shape: [7, 15], seed: 1 }, inputs: {} },
    { name: 'scalar', params: { shape: [], seed: 2 }, inputs: {} },
    {
      name: 'mean, std, stream',
      params: { shape: [51], seed: 3, stream: 4, mean: -5, std: 0.01 },
      inputs: {},
    },
    {
      name: 'counters past 32 bits',
      params: { shape: [10], seed: 2 ** 45 + 1, stream: 2 ** 50 + 2, offset: 2 ** 32 - 1 },
      inputs: {},
    },
  ],
});
