import { expect } from 'chai';
import { Device } from '../../lib/device.js';
import { OutOfMemoryError } from '../../lib/errors.js';
import {
  add,
  backward,
  Conv2d,
  Dropout,
  Flatten,
  Linear,
  LocalResponseNorm,
  MaxPool2d,
  randn,
  relu,
  Sequential,
  SGD,
  softmaxCrossEntropy,
  Tanh,
  type Tensor,
  tensor,
  tidy,
} from '../../lib/index.js';

/** A step of a network with all kinds of layers, and a sum whose gradient is taken twice. */
class Step {
  readonly net: Sequential;
  readonly optimizer: SGD;

  constructor(readonly device: Device) {
    this.net = new Sequential({
      conv1: new Conv2d(3, 8, { kernelSize: 3, padding: 1, relu: true, device }),
      norm1: new LocalResponseNorm(),
      pool1: new MaxPool2d({ kernelSize: 3, stride: 2 }),
      conv2: new Conv2d(8, 8, { kernelSize: 3, padding: 1, groups: 2, device }),
      tanh: new Tanh(),
      conv3: new Conv2d(8, 8, { kernelSize: 3, padding: 1, relu: true, device }),
      norm3: new LocalResponseNorm(),
      pool3: new MaxPool2d({ kernelSize: 2 }),
      flat: new Flatten(),
      drop1: new Dropout(),
      fc1: new Linear(32, 32, { relu: true, device }),
      drop2: new Dropout(),
      fc2: new Linear(32, 4, { device }),
    });
    this.optimizer = new SGD(this.net.namedParameters(), { lr: 0.01, momentum: 0.9 });
  }

  run(): Promise<number> {
    return tidy(async () => {
      this.optimizer.zeroGrad();
      const labels = tensor(Int32Array.of(0, 1, 2, 3), [4], { device: this.device });
      const outputs = [0, 1, 2, 3, 4, 5].map((seed) => {
        const y = this.net.forward(randn([4, 9, 9, 3], { seed, device: this.device }));
        return add(y, relu(y));
      });
      const sum = outputs.reduce((a: Tensor, b: Tensor) => add(a, b));
      const loss = softmaxCrossEntropy(sum, labels);
      backward(loss);
      const [value] = await Promise.all([loss.item(), this.optimizer.step()]);
      return value;
    });
  }

  dispose(): void {
    this.optimizer.zeroGrad();
    this.optimizer.dispose();
    this.net.dispose();
  }
}

const outcome = (promise: Promise<number>): Promise<unknown> => promise.catch((error: unknown) => error);

describe('an allocation that fails', () => {
  it('at each of a step, of which there are more than 200: the step rejects, nothing leaks, and the next step works', async () => {
    // No other test's, which would have one thread.
    const device = Device.get('cpu:12');
    device.setThreads(1);
    const step = new Step(device);
    await step.run();
    step.optimizer.zeroGrad();
    const { liveBuffers, liveBytes } = device.memory();
    let count = 0;
    for (;;) {
      device.backend.failAllocation(device.index, false, ++count);
      const error = await outcome(step.run());
      if (typeof error === 'number') break;
      expect(error, `allocation ${count}`).to.be.instanceOf(OutOfMemoryError);
      step.optimizer.zeroGrad();
      const after = device.memory();
      expect({ count, buffers: after.liveBuffers, bytes: after.liveBytes }).to.deep.equal({
        count,
        buffers: liveBuffers,
        bytes: liveBytes,
      });
      expect(await outcome(step.run()), `the step after allocation ${count}`).to.satisfy(Number.isFinite);
      step.optimizer.zeroGrad();
    }
    device.backend.failAllocation(device.index, false, 0);
    expect(count, 'allocations of a step').to.be.above(200);
    step.dispose();
    await device.synchronize();
    expect(device.memory()).to.include({ liveBuffers: 0, liveBytes: 0 });
  });

  it('of workspace, while the stream runs: the step rejects, no weight changes, and the next step works', async () => {
    let failures = 0;
    // A device for each: workspace is kept from one operation to the next.
    for (let count = 1; count <= 4; count++) {
      const device = Device.get(`cpu:${4 + count}`);
      const step = new Step(device);
      const weights = (): Promise<Float32Array[]> =>
        Promise.all([...step.net.parameters()].map((weight) => weight.data<Float32Array>()));
      const before = await weights();
      device.backend.failAllocation(device.index, true, count);
      const result = await outcome(step.run());
      device.backend.failAllocation(device.index, true, 0);
      const failed = result instanceof OutOfMemoryError;
      failures += Number(failed);
      if (failed) expect(await weights()).to.deep.equal(before);
      else expect(result).to.satisfy(Number.isFinite);
      const synchronized = await outcome(device.synchronize().then(() => 0));
      expect(synchronized instanceof OutOfMemoryError).to.equal(failed);
      expect(await outcome(step.run()), `the step after allocation ${count}`).to.satisfy(Number.isFinite);
      await device.synchronize();
      expect(await weights()).to.not.deep.equal(before);
      step.dispose();
    }
    expect(failures).to.be.at.least(1);
  });
});
