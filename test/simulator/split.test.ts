import { expectClose } from '../support/compare.js';
import { type Training, train } from '../support/train.js';
import { SEEDS, useSimulator } from './simulator.js';

const [BATCH, STEPS] = [2, 2];
const TOLERANCE = 1e-4;

describe('simulator: the columns of AlexNet on two devices', function () {
  this.timeout(600_000);
  const simulator = useSimulator();
  let wanted: Training;
  before(async () => {
    wanted = await train(['cpu', 'cpu:1'], BATCH, STEPS);
  });
  afterEach(() => {
    for (const device of simulator.devices) device.emptyCache();
  });

  for (const seed of SEEDS) {
    it(`seed ${seed}: as the CPU backend`, async () => {
      simulator.seed(seed);
      const devices = [seed, seed + 1].map((i) => simulator.device(i % simulator.devices.length));
      const { losses, weights } = await train(devices, BATCH, STEPS);
      expectClose('losses', losses, wanted.losses, TOLERANCE);
      for (const [name, values] of wanted.weights)
        expectClose(name, weights.get(name) ?? [], values, TOLERANCE);
    });
  }
});
