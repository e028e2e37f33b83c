import { expect } from 'chai';
import { CONVOLUTION_DEFAULTS } from '../../lib/device.js';
import { CudaError, OutOfMemoryError } from '../../lib/errors.js';
import { add, conv2d, matmul, scale, to } from '../../lib/ops/index.js';
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

  it('fail by name: the call, its status and reason, the device, and the shapes', () =>
    tidy(async () => {
      const device = simulator.device(1);
      const x = full([2, 5, 5, 4], 1, { device });
      const weight = full([6, 3, 3, 2], 1, { device });
      simulator.fail('cudnnBackendExecute', 1, 'ExecutionFailed');
      const failure: unknown = await conv2d(x, weight, { groups: 2 })
        .data()
        .catch((error: unknown) => error);
      simulator.fail('cudnnBackendExecute', 0, 'ExecutionFailed');
      expect(failure).to.be.instanceOf(CudaError).with.property('op', 'conv2d');
      expect((failure as CudaError).message).to.match(
        /^conv2d failed: .*execute_plan_at_index: .*CUDNN_STATUS_EXECUTION_FAILED.* on cuda:1, for .*conv2d of \[2, 5, 5, 4\] with \[6, 3, 3, 2\] to \[2, 3, 3, 6\] in 2 groups/s,
      );
      // The device tells of it once more, and the tests after this one are not to hear of it.
      expect(await device.synchronize().catch((error: unknown) => error)).to.be.instanceOf(CudaError);
    }));

  it('give what they cache, in pieces, for a tensor that finds no other memory', async () => {
    const device = simulator.device(3);
    const megabytes = (count: number, value: number) => full([count * 2 ** 18], value, { device });
    const limit = () => {
      const { liveBytes, workspaceBytes, cachedBytes } = device.memory();
      simulator.limitMemory(liveBytes + workspaceBytes + cachedBytes + 16 * 2 ** 20);
    };
    device.emptyCache();
    await device.synchronize();
    await megabytes(1, 0).data(); // What is made at first use is there.
    try {
      for (const each of Array.from({ length: 8 }, (_, i) => megabytes(4, i))) each.dispose();
      limit();
      using all = megabytes(32, 7);
      expect(new Set(await all.data())).to.deep.equal(new Set([7]));
      limit();
      expect(() => megabytes(32, 7)).to.throw(OutOfMemoryError);
    } finally {
      simulator.limitMemory(Number.MAX_SAFE_INTEGER);
    }
  });

  it('plan anew for another math, once each', () =>
    tidy(async () => {
      const device = simulator.device(2);
      const x = full([1, 6, 6, 4], 1, { device });
      const weight = full([4, 3, 3, 4], 1, { device });
      const planned = async () => {
        const before = simulator.calls().cudnnBackendGetAttribute ?? 0;
        await conv2d(x, weight).data();
        return (simulator.calls().cudnnBackendGetAttribute ?? 0) > before;
      };
      // What the simulator's devices have is float32; users' devices begin with TF32.
      expect(CONVOLUTION_DEFAULTS.tf32).to.equal(true);
      expect([await planned(), await planned()]).to.deep.equal([true, false]);
      simulator.backend.setOption(2, 'tf32', 1);
      expect([await planned(), await planned()]).to.deep.equal([true, false]);
      simulator.backend.setOption(2, 'tf32', 0);
      expect(await planned()).to.equal(false);
    }));

  it('do not hold up the event loop while they are read from', () =>
    tidy(async () => {
      const device = simulator.device(0);
      const big = full([512, 512], 1, { device });
      let product = big;
      for (let i = 0; i < 5; i++) product = scale(matmul(product, big), 2 ** -9);
      let done = false;
      const reading = product.data().then((data) => {
        done = true;
        return data;
      });
      let turns = 0;
      for (; !done; turns++) await new Promise((resolve) => setImmediate(resolve));
      expect(turns).to.be.above(1);
      expect((await reading)[12345]).to.equal(1);
    }));

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
