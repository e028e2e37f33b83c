// Values from other contexts: their arrays, typed arrays, objects and promises have classes of their own.
import vm from 'node:vm';
import { Device } from '../../../dist/device.js';
import { add } from '../../../dist/ops/index.js';
import { tidy } from '../../../dist/scope.js';
import { tensor } from '../../../dist/tensor.js';

const device = Device.get('cpu');
for (let i = 0; i < 50; i++) {
  const context = vm.createContext({ tensor, add, tidy });
  /** @type {{ sum: import('../../../dist/tensor.js').Tensor[] }} */
  const { sum } = await vm.runInContext(
    `tidy(async () => {
      const a = tensor(new Float32Array([1, 2, 3]));
      const b = tensor([[1, 2, 3]]);
      await b.data();
      const c = tensor(new Uint8Array([1, 2]), [2]);
      return { sum: [add(a, tensor([1, 2, 3])), c] };
    })`,
    context,
  );
  const read = await Promise.all(sum.map((t) => t.data()));
  if (i === 0) console.log(read.map((data) => [data.constructor.name, ...data].join(' ')).join(', '));
  for (const t of sum) t.dispose();
}
console.log(device.memory().liveBuffers);
