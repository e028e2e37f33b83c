// Ends by process.exit while the device computes: as many turns of the event loop after a step was enqueued as the
// argument says.
import { setImmediate } from 'node:timers/promises';
import { conv2d } from '../../../dist/ops/index.js';
import { rand } from '../../../dist/tensor.js';

const x = rand([16, 55, 55, 48], { seed: 1 });
const w = rand([128, 5, 5, 48], { seed: 2 });
await conv2d(x, w, { padding: 2, relu: true }).data();
for (let i = 0; i < 20; i++) conv2d(x, w, { padding: 2, relu: true });
for (let turn = 0; turn < Number(process.argv[2]); turn++) await setImmediate();
process.exit(3);
