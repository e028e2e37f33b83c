import { testBadArguments } from '../support/bad_arguments.js';
import { testGradients } from '../support/gradients.js';
import { testOperations } from '../support/operations.js';
import { SEEDS, useSimulator } from './simulator.js';

describe('simulator: the tables of cases', function () {
  this.timeout(600_000);
  const simulator = useSimulator();
  const device = () => simulator.device(0);

  for (const seed of SEEDS) {
    describe(`seed ${seed}`, () => {
      before(() => simulator.seed(seed));
      describe('operations', () => testOperations(device));
      describe('gradients against central differences', () => testGradients(device));
    });
  }

  describe('bad arguments', () => testBadArguments(device, () => simulator.device(1)));
});
