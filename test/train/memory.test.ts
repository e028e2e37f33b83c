import { expect } from 'chai';
import {
  backward,
  Conv2d,
  Device,
  Dropout,
  Flatten,
  Linear,
  LocalResponseNorm,
  MaxPool2d,
  randn,
  Sequential,
  SGD,
  softmaxCrossEntropy,
  tensor,
  tidy,
} from '../../lib/index.js';

describe('memory of a training loop', () => {
  it('keeps the number of live buffers and bytes constant over 200 steps', async () => {
    const device = Device.get('cpu:3');
    const net = new Sequential({
      conv: new Conv2d(3, 8, { kernelSize: 3, relu: true, device }),
      norm: new LocalResponseNorm({ size: 5 }),
      pool: new MaxPool2d({ kernelSize: 3, stride: 2 }),
      flat: new Flatten(),
      drop: new Dropout({ p: 0.5 }),
      fc: new Linear(8 * 6 * 6, 4, { device }),
    });
    const optimizer = new SGD(net.namedParameters(), { lr: 0.01, momentum: 0.9 });
    const seen = new Set<string>();
    for (let step = 0; step < 200; step++) {
      await tidy(async () => {
        const x = randn([4, 15, 15, 3], { seed: step, device });
        const labels = tensor(Int32Array.of(0, 1, 2, 3), [4], { device });
        const loss = softmaxCrossEntropy(net.forward(x), labels);
        backward(loss);
        optimizer.step();
        optimizer.zeroGrad();
        expect(await loss.item()).to.satisfy(Number.isFinite);
      });
      const { liveBuffers, liveBytes } = device.memory();
      if (step > 0) seen.add(`${liveBuffers} buffers, ${liveBytes} bytes`);
    }
    expect([...seen]).to.have.length(1);
    net.dispose();
    optimizer.dispose();
    await device.synchronize();
  });
});
