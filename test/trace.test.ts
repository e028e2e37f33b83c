import { expect } from 'chai';
import {
  backward,
  Conv2d,
  Device,
  full,
  Linear,
  Sequential,
  SGD,
  softmaxCrossEntropy,
  tensor,
  tidy,
} from '../lib/index.js';
import { Flatten } from '../lib/nn/index.js';

describe('a trace', () => {
  const device = Device.get('cpu:3');
  let model: Sequential;
  let optimizer: SGD;
  before(() => {
    model = new Sequential({
      conv1: new Conv2d(2, 4, { kernelSize: 3, device }),
      flatten: new Flatten(),
      fc: new Linear(16, 3, { device }),
    });
    optimizer = new SGD(model.namedParameters(), { lr: 0.1 });
  });
  after(() => {
    optimizer.dispose();
    model.dispose();
  });

  function step(): void {
    tidy(() => {
      const loss = softmaxCrossEntropy(
        model.forward(full([1, 4, 4, 2], 1, { device })),
        tensor(Int32Array.of(1), [1], { device }),
      );
      backward(loss);
      void optimizer.step();
      optimizer.zeroGrad();
    });
  }

  it('has the operations in their order, with their layers, forward and backward', async () => {
    device.trace(true);
    step();
    device.trace(false);
    step();
    const spans = await device.takeSpans();
    expect(spans.map(({ op, label }) => `${op} ${label}`.trimEnd())).to.deep.equal([
      'fill',
      'conv2d conv1',
      'linear fc',
      'write',
      'softmaxCrossEntropy',
      'fill',
      'softmaxCrossEntropyBackward',
      'biasReluBackward fc',
      'linearBackwardWeight fc',
      'linearBackwardData fc',
      'biasReluBackward conv1',
      'conv2dBackwardFilter conv1',
      'together',
      'sgdStep',
      'sgdStep',
      'sgdStep',
      'sgdStep',
      'check',
    ]);
  });

  it('tells when each was enqueued, began and ended, on the clock of process.hrtime', async () => {
    const before = Number(process.hrtime.bigint());
    device.trace(true);
    step();
    device.trace(false);
    const spans = await device.takeSpans();
    const after = Number(process.hrtime.bigint());
    const times = spans.map(({ enqueuedNs, startNs, endNs }) => [enqueuedNs, startNs, endNs]);
    for (const time of times) expect(time).to.deep.equal([...time].sort((a, b) => a - b));
    const runs = times.flatMap(([, start, end]) => [start, end]);
    expect(runs).to.deep.equal([...runs].sort((a = 0, b = 0) => a - b));
    expect(times[0]?.[0]).to.be.at.least(before);
    expect(times.at(-1)?.[2]).to.be.at.most(after);
  });

  it('names the implementation where there are several', async () => {
    device.trace(true);
    step();
    device.trace(false);
    const spans = await device.takeSpans();
    for (const { op, implementation } of spans) {
      if (/^(conv2d|linear)/.test(op)) expect(implementation, op).to.not.equal('');
      else expect(implementation, op).to.equal('');
    }
  });

  it('is empty where nothing was traced', async () => {
    step();
    expect(await device.takeSpans()).to.deep.equal([]);
  });
});
