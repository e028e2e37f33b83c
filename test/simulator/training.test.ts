import { expect } from 'chai';
import { expectClose } from '../support/compare.js';
import { type Training, train } from '../support/train.js';
import { SEEDS, useSimulator } from './simulator.js';

const [BATCH, STEPS] = [2, 10];
const TOLERANCE = 1e-4;
/**
 * At 1e-3 a last bit decides in the third step which number of a window is the maximum: oneDNN's convolutions and
 * im2col's part there too, by 5e-4 in the loss. At this rate all of a CPU's agree to 1e-5.
 */
const LR = 2e-4;

describe('simulator: ten training steps of AlexNet', function () {
  this.timeout(600_000);
  const simulator = useSimulator();
  let wanted: Training;
  before(async () => {
    wanted = await train('cpu', BATCH, STEPS, { lr: LR });
    expect(new Set(wanted.losses).size).to.equal(STEPS);
  });

  const expectSame = ({ losses, weights }: Training): void => {
    expectClose('losses', losses, wanted.losses, TOLERANCE);
    expect([...weights.keys()]).to.deep.equal([...wanted.weights.keys()]);
    for (const [name, values] of weights)
      expectClose(name, values, wanted.weights.get(name) ?? [], TOLERANCE);
  };
  afterEach(() => {
    for (const device of simulator.devices) device.emptyCache();
  });

  for (const seed of SEEDS) {
    it(`seed ${seed}: as the CPU backend`, async () => {
      simulator.seed(seed);
      expectSame(await train(simulator.device(seed % simulator.devices.length), BATCH, STEPS, { lr: LR }));
    });
  }

  it('on two devices at once: both as the CPU backend', async () => {
    const traces = await Promise.all(
      [0, 1].map((index) => train(simulator.device(index), BATCH, STEPS, { lr: LR })),
    );
    for (const trace of traces) expectSame(trace);
  });
});
