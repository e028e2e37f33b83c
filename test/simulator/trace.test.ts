import { expect } from 'chai';
import { noGrad } from '../../lib/autograd.js';
import { conv2d, relu } from '../../lib/ops/index.js';
import { tidy } from '../../lib/scope.js';
import { randn } from '../../lib/tensor.js';
import { SEEDS, useSimulator } from './simulator.js';

describe('simulator: a trace', function () {
  this.timeout(600_000);
  const simulator = useSimulator();

  /** Two convolutions and a ReLU, traced. */
  const traced = () => {
    const device = simulator.device();
    device.trace(true);
    tidy(() => {
      const x = randn([1, 8, 8, 4], { seed: 1, device });
      const weight = randn([4, 3, 3, 4], { seed: 2, device });
      noGrad(() => device.labelled('layer', () => relu(conv2d(conv2d(x, weight), weight))));
    });
    device.trace(false);
    return device.takeSpans();
  };

  for (const seed of SEEDS) {
    it(`seed ${seed}: has the operations in their order, with the plans that computed, by events`, async () => {
      simulator.seed(seed);
      const before = simulator.calls().cudaEventElapsedTime ?? 0;
      const spans = await traced();
      const wanted = ['randomNormal', 'randomNormal', 'conv2d layer', 'conv2d layer', 'relu layer'];
      expect(spans.map(({ op, label }) => `${op} ${label}`.trimEnd())).to.deep.equal(wanted);
      for (const { op, implementation, startNs, endNs } of spans) {
        expect(implementation !== '', op).to.equal(op === 'conv2d');
        // The times are the simulator's, which has none.
        for (const time of [startNs, endNs]) expect(Number.isFinite(time)).to.equal(true);
      }
      expect((simulator.calls().cudaEventElapsedTime ?? 0) - before).to.equal(2 * wanted.length);
    });
  }

  it('takes nothing of the device where it is off', async () => {
    await traced();
    const device = simulator.device();
    const before = simulator.calls().cudaEventElapsedTime ?? 0;
    using x = randn([4], { seed: 1, device });
    relu(x).dispose();
    expect(await device.takeSpans()).to.deep.equal([]);
    expect((simulator.calls().cudaEventElapsedTime ?? 0) - before).to.equal(0);
  });

  it('an event that cannot be recorded fails the operation, and no later one', async () => {
    simulator.fail('cudaEventRecord', 1, 'ExecutionFailed');
    const failure = await traced().catch((error: unknown) => error);
    expect(String(failure)).to.include('cudaEventRecord');
    simulator.fail('cudaEventRecord', 0, 'ExecutionFailed');
    expect(await traced()).to.have.length.above(0);
  });
});
