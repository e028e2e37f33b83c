import { expect } from 'chai';
import { full } from '../../lib/tensor.js';
import { expectClose } from '../support/compare.js';
import { testGradients } from '../support/gradients.js';
import { testOperations } from '../support/operations.js';
import { type Training, train } from '../support/train.js';
import { SEEDS, useSimulator } from './simulator.js';

const [BATCH, STEPS] = [2, 2];
const TOLERANCE = 1e-4;

describe('simulator: blocks of exactly what was asked for, freed where their tensors end', function () {
  this.timeout(600_000);
  const simulator = useSimulator();
  const device = () => simulator.device(0);
  let wanted: Training;
  let end = (): void => undefined;
  before(async () => {
    wanted = await train('cpu', BATCH, STEPS);
    simulator.exact(true);
    end = () => simulator.exact(false);
  });
  after(() => end());

  for (const seed of SEEDS.slice(0, 5)) {
    describe(`seed ${seed}`, () => {
      before(() => simulator.seed(seed));
      describe('operations', () => testOperations(device));
      describe('gradients against central differences', () => testGradients(device));

      it('training steps of AlexNet as the CPU backend', async () => {
        const { losses, weights } = await train(device(), BATCH, STEPS);
        expectClose('losses', losses, wanted.losses, TOLERANCE);
        for (const [name, values] of wanted.weights)
          expectClose(name, weights.get(name) ?? [], values, TOLERANCE);
      });
    });
  }

  it('frees a tensor where it ends, and keeps none for the next', async () => {
    const { cacheHits } = device().memory();
    const before = simulator.calls().cudaFreeAsync ?? 0;
    full([100], 1, { device: device() }).dispose();
    using next = full([100], 2, { device: device() });
    await next.data();
    expect((simulator.calls().cudaFreeAsync ?? 0) - before).to.be.above(0);
    expect(device().memory()).to.include({ cachedBytes: 0, cacheHits });
  });
});
