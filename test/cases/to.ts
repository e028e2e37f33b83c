import { to } from '../../lib/ops/index.js';
import type { Tensor } from '../../lib/tensor.js';
import { bytes, labels } from '../support/fill.js';
import { defineOp } from '../support/op_table.js';

export default defineOp<{ x: Tensor }, object>({
  op: 'to',
  torch: 'x.clone()',
  run: ({ x }, _, device) => to(x, device.name.replace(/\d+$/, '1')),
  gradients: ['x'],
  anyShape: true,
  anyDtype: true,
  cases: [
    { name: 'scalar', inputs: { x: { shape: [] } }, params: {} },
    { name: 'image', inputs: { x: { shape: [2, 3, 5, 7] } }, params: {} },
    { name: 'labels', inputs: { x: { shape: [9], fill: labels(10) } }, params: {} },
    { name: 'bytes', inputs: { x: { shape: [3, 5], fill: bytes } }, params: {} },
  ],
});
