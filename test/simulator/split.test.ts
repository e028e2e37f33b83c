import { expect } from 'chai';
import type { Device } from '../../lib/device.js';
import { relu, scale, to } from '../../lib/ops/index.js';
import { tidy } from '../../lib/scope.js';
import { full } from '../../lib/tensor.js';
import { expectClose, expectEqual } from '../support/compare.js';
import { type Training, train } from '../support/train.js';
import { PEERS, PLAYED, SEEDS, useSimulator } from './simulator.js';

const [BATCH, STEPS] = [2, 2];
const TOLERANCE = 1e-4;
/** Devices that reach each other's memory, and devices that do not; what puts the numbers into the target's memory. */
const WAYS = [
  { way: 'directly', indices: PEERS, copy: 'a copy between devices' },
  {
    way: 'through the host',
    indices: PLAYED.map((_, index) => index).filter((index) => !PEERS.includes(index)),
    copy: 'a copy to the device',
  },
];

describe('simulator: the columns of AlexNet on two devices', function () {
  this.timeout(600_000);
  const simulator = useSimulator();
  let wanted: Training;
  before(async () => {
    wanted = await train(['cpu', 'cpu:1'], BATCH, STEPS);
  });
  afterEach(() => {
    simulator.holdBack('');
    for (const device of simulator.devices) device.emptyCache();
  });

  for (const { way, indices, copy } of WAYS) {
    const two = (seed = 0): [Device, Device] => {
      const [first = 0, second = 0] = [0, 1].map((i) => indices[(seed + i) % indices.length]);
      return [simulator.device(first), simulator.device(second)];
    };
    const directCopies = () => simulator.calls().cudaMemcpyPeerAsync ?? 0;

    for (const seed of SEEDS) {
      it(`seed ${seed}: as the CPU backend, what crosses goes ${way}`, async () => {
        simulator.seed(seed);
        const before = directCopies();
        const { losses, weights } = await train(two(seed), BATCH, STEPS);
        expect(directCopies() > before).to.equal(way === 'directly');
        expectClose('losses', losses, wanted.losses, TOLERANCE);
        for (const [name, values] of wanted.weights)
          expectClose(name, weights.get(name) ?? [], values, TOLERANCE);
      });
    }

    it(`a device goes on while what it made is copied ${way}`, () =>
      tidy(async () => {
        const [from, target] = two();
        const x = full([1000], 3, { device: from });
        await to(x, target).data(); // All that is made once is made.
        simulator.holdBack(copy);
        const y = to(x, target);
        // The memory of `x` is not given away before it is copied.
        x.dispose();
        const z = scale(full([1000], 5, { device: from }), 2);
        await from.synchronize();
        expect(simulator.ran()).to.include('a kernel').and.to.not.include(copy);
        await target.synchronize();
        expect(simulator.ran()).to.include(copy);
        expectEqual('copied', await y.data(), new Float32Array(1000).fill(3));
        expectEqual('computed', await z.data(), new Float32Array(1000).fill(10));
      }));

    it(`a copy ${way} waits for nothing that its device computes`, () =>
      tidy(async () => {
        const [from, target] = two();
        const x = full([1000], 3, { device: from });
        await to(x, target).data();
        const own = full([1000], 1, { device: target });
        await target.synchronize();
        simulator.holdBack('a kernel');
        const busy = relu(own);
        const y = to(x, target);
        await target.synchronize();
        const order = simulator.ran();
        expect(order).to.include.members([copy, 'a kernel']);
        expect(order.indexOf(copy)).to.be.below(order.indexOf('a kernel'));
        expectEqual('copied', await y.data(), new Float32Array(1000).fill(3));
        expectEqual('computed', await busy.data(), new Float32Array(1000).fill(1));
      }));
  }
});
