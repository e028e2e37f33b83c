import { expect } from 'chai';
import { add, scale, to } from '../../lib/ops/index.js';
import { tidy } from '../../lib/scope.js';
import { full, type Tensor } from '../../lib/tensor.js';
import conv2dTable from '../cases/conv2d.js';
import { expectEqual } from '../support/compare.js';
import { testOperations } from '../support/operations.js';
import { PLAYED, SEEDS, useSimulator } from './simulator.js';

describe('simulator: the devices it plays', function () {
  this.timeout(600_000);
  const simulator = useSimulator();

  it('are known by name and compute capability', () => {
    const facts = simulator.backend.describe();
    expect(PLAYED.map((_, index) => facts[`device${index}`])).to.deep.equal([
      'NVIDIA H100 80GB HBM3, 9.0',
      'Tesla T4, 7.5',
      'NVIDIA A100-SXM4-80GB, 8.0',
      'NVIDIA GeForce RTX 4090, 8.9',
      'NVIDIA B200, 10.0',
    ]);
  });

  for (const [index, name] of PLAYED.entries()) {
    describe(`${name}: conv2d by the plans for it`, () =>
      testOperations(() => simulator.device(index), [conv2dTable]));
  }

  describe('conv2d by the plans that autotune chooses', () => {
    before(() => simulator.backend.setOption(0, 'autotune', 1));
    after(() => simulator.backend.setOption(0, 'autotune', 0));
    testOperations(() => simulator.device(0), [conv2dTable]);
    describe('which', () => {
      it('have names', () => {
        const names = Object.values(simulator.device(0).choices);
        expect(names).to.have.length.above(20);
        for (const name of names) expect(name).to.match(/^eng\d/);
      });
    });
  });

  for (const seed of SEEDS) {
    it(`seed ${seed}: tensors go round all devices while their memory is given away`, () =>
      tidy(async () => {
        simulator.seed(seed);
        const rounds: Tensor[] = [];
        for (let round = 0; round < 8; round++) {
          let x = full([1000], round, { device: simulator.device(0) });
          for (const device of [...simulator.devices.slice(1), simulator.device(0)]) {
            const next = scale(add(to(x, device), full([1000], 1, { device })), 2);
            x.dispose();
            full([1000], -1, { device: x.device }).dispose();
            x = next;
          }
          rounds.push(x);
        }
        // x → 2 (x + 1), five times.
        for (const [round, x] of rounds.entries())
          expectEqual(`round ${round}`, await x.data(), new Float32Array(1000).fill(32 * round + 62));
      }));
  }
});
