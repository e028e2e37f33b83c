import { rand } from '../../lib/tensor.js';
import { defineOp } from '../support/op_table.js';

interface RandParams {
  shape: readonly number[];
  seed: number;
  stream?: number;
  offset?: number;
  low?: number;
  high?: number;
}

export default defineOp<object, RandParams>({
  op: 'rand',
  torch: 'rand(**params)',
  run: (_, { shape, ...options }, device) => rand(shape, { ...options, device }),
  real: ['low', 'high'],
  cases: [
    { name: 'unit', params: { shape: [7, 15], seed: 1 }, inputs: {} },
    { name: 'scalar', params: { shape: [], seed: 2 }, inputs: {} },
    { name: 'range, stream', params: { shape: [50], seed: 3, stream: 4, low: -5, high: 3 }, inputs: {} },
    {
      name: 'counters past 32 bits',
      params: { shape: [9], seed: 2 ** 45 + 1, stream: 2 ** 50 + 2, offset: 2 ** 32 - 1 },
      inputs: {},
    },
  ],
});
