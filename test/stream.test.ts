import { expect } from 'chai';
import { backward } from '../lib/autograd.js';
import { Device } from '../lib/device.js';
import { ArgumentError, OperationError, QueueFullError } from '../lib/errors.js';
import {
  add,
  conv2d,
  matmul,
  prepareImages,
  relu,
  scale,
  softmaxCrossEntropy,
  to,
  topKHits,
} from '../lib/ops/index.js';
import { SGD } from '../lib/optim/index.js';
import { keep, tidy } from '../lib/scope.js';
import { empty, full, rand, type Tensor, tensor, zeros } from '../lib/tensor.js';

const cpu = Device.get('cpu');
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

const leaf = (values: number[]): Tensor => tensor(values, undefined, { requiresGrad: true });

/** A tensor whose operation fails on the stream: lib/ops would have refused these shapes. */
function poisoned(): Tensor {
  using a = tensor([1, 2]);
  using b = tensor([1, 2, 3]);
  const y = empty([2]);
  cpu.backend.add(a.handle, b.handle, y.handle);
  return y;
}

async function expectFailure(promise: Promise<unknown>, op: string): Promise<void> {
  const error = await failureOf(promise);
  expect(error).to.be.instanceOf(OperationError).with.property('op', op);
  expect((error as OperationError).message).to.match(new RegExp(`^${op} failed: `));
}

describe('stream', () => {
  describe('an operation that fails', () => {
    afterEach(() => failureOf(cpu.synchronize()));

    it('is named when its output is read', () => tidy(() => expectFailure(poisoned().data(), 'add')));

    it('names its device, which is another than that of what was computed from its output', () =>
      tidy(async () => {
        const x = poisoned();
        await expectFailure(to(x, 'cpu:1').data(), 'add');
        const error = await failureOf(to(x, 'cpu:1').data());
        expect(String(error)).to.match(/, on cpu:0$/);
      }));

    it('is named when what was computed from its output is read', () =>
      tidy(async () => {
        const y = poisoned();
        const z = matmul(scale(relu(y), 2).view([1, 2]), tensor([[1], [1]]));
        await expectFailure(z.data(), 'add');
        await expectFailure(y.data(), 'add');
      }));

    it('leaves the others alone, before, between and after', () =>
      tidy(async () => {
        const x = tensor([1, 2]);
        const before = scale(x, 2);
        const y = poisoned();
        const after = add(before, x);
        expect(await after.data()).to.deep.equal(Float32Array.of(3, 6));
        expect(await before.data()).to.deep.equal(Float32Array.of(2, 4));
        await expectFailure(add(y, x).data(), 'add');
        expect(await x.data()).to.deep.equal(Float32Array.of(1, 2));
      }));

    it('is reported once by synchronize()', () =>
      tidy(async () => {
        await cpu.synchronize();
        poisoned();
        relu(poisoned());
        await expectFailure(cpu.synchronize(), 'add');
        await cpu.synchronize();
      }));

    it('is named by the gradients that depend on it', () =>
      tidy(async () => {
        const [x, w] = [leaf([1, 2]), leaf([3, 4])];
        backward(add(scale(x, 2), relu(w)), poisoned());
        await expectFailure(x.grad?.data() ?? Promise.resolve(), 'add');
        await expectFailure(w.grad?.data() ?? Promise.resolve(), 'add');
        expect(await w.data()).to.deep.equal(Float32Array.of(3, 4));
      }));

    it('is named on the other device that its output was sent to, where nothing else is blamed', () =>
      tidy(async () => {
        const there = to(poisoned(), 'cpu:1');
        await expectFailure(scale(there, 2).data(), 'add');
        await Device.get('cpu:1').synchronize();
        expect(await full([2], 7, { device: 'cpu:1' }).data()).to.deep.equal(Float32Array.of(7, 7));
      }));

    it('is forgotten when all of the tensor is written anew, not when a part is', () =>
      tidy(async () => {
        const y = poisoned();
        y.write(Float32Array.of(1));
        await expectFailure(y.data(), 'add');
        y.write(Float32Array.of(1, 2));
        expect(await relu(y).data()).to.deep.equal(Float32Array.of(1, 2));
      }));

    it('gives its memory back', async () => {
      await cpu.synchronize();
      const { liveBuffers } = cpu.memory();
      const y = poisoned();
      await failureOf(y.data());
      y.dispose();
      await failureOf(cpu.synchronize());
      expect(cpu.memory().liveBuffers).to.equal(liveBuffers);
    });

    it('leaves a step of the optimizer out, of which other gradients are valid', () =>
      tidy(async () => {
        const [good, bad] = [leaf([1, 2]), leaf([3, 4])];
        const optimizer = new SGD([good, bad], { lr: 1, momentum: 0.5 });
        good.grad = keep(tensor([1, 1]));
        bad.grad = keep(poisoned());
        const step = optimizer.step();
        expect(await tensor([5]).data(), 'what is read next').to.deep.equal(Float32Array.of(5));
        await expectFailure(step, 'add');
        expect(await good.data()).to.deep.equal(Float32Array.of(1, 2));
        expect(await bad.data()).to.deep.equal(Float32Array.of(3, 4));
        await expectFailure(good.grad.data(), 'add');
        optimizer.zeroGrad();
        good.grad = keep(tensor([1, 1]));
        await optimizer.step();
        expect(await good.data()).to.deep.equal(Float32Array.of(0, 1));
        optimizer.zeroGrad();
        optimizer.dispose();
      }));

    it('may be one whose numbers are wrong: labels that are no classes', () =>
      tidy(async () => {
        for (const label of [3, -1, 2 ** 31 - 1]) {
          const [logits, labels] = [zeros([1, 3]), tensor(Int32Array.of(label))];
          await expectFailure(softmaxCrossEntropy(logits, labels).data(), 'softmaxCrossEntropy');
          await expectFailure(topKHits(logits, labels, 1).data(), 'topKHits');
        }
      }));

    it('may be one whose numbers are wrong: crops past the edge', () =>
      tidy(async () => {
        const images = zeros([1, 4, 4, 3], { dtype: 'uint8' });
        for (const crop of [
          [3, 0, 0],
          [0, 3, 0],
          [-1, 0, 0],
          [0, -1, 1],
        ]) {
          const crops = tensor([crop], undefined, { dtype: 'int32' });
          const y = prepareImages(images, {
            crops,
            height: 2,
            width: 2,
            mean: zeros([3]),
            scale: zeros([3]),
          });
          await expectFailure(y.data(), 'prepareImages');
        }
      }));
  });

  describe('the raw addon', () => {
    it('refuses what is no handle', () => {
      for (const value of [undefined, null, 1, {}, []]) {
        expect(() => cpu.backend.read(value as never, new Float32Array(1))).to.throw(
          ArgumentError,
          'Expected tensor handle',
        );
        expect(() => cpu.backend.relu(value as never, value as never)).to.throw(
          ArgumentError,
          'Expected tensor handle',
        );
      }
    });

    it('refuses to read into an array of another size', () => {
      tidy(() => {
        expect(() => cpu.backend.read(tensor([1, 2]).handle, new Float32Array(3))).to.throw(
          ArgumentError,
          'Expected 8 bytes for array but received 12',
        );
      });
    });

    it('refuses handles of two devices', () => {
      tidy(() => {
        const [a, b] = [tensor([1]), tensor([1], [1], { device: 'cpu:1' })];
        expect(() => cpu.backend.relu(a.handle, b.handle)).to.throw(ArgumentError, 'one device');
      });
    });

    it('refuses what is not within the tensor', () => {
      tidy(() => {
        const { handle } = zeros([4]);
        expect(() => cpu.backend.view(handle, [5])).to.throw(ArgumentError, '4 elements');
        for (const offset of [-1, 4, 2 ** 62]) {
          expect(() => cpu.backend.write(handle, offset, Float32Array.of(1), false)).to.throw(
            ArgumentError,
            'at most',
          );
        }
        expect(() => cpu.backend.write(handle, 0, [1] as never, false)).to.throw();
      });
    });

    it('refuses a handle that was released', () => {
      tidy(() => {
        const t = tensor([1]);
        const { handle } = t;
        t.dispose();
        expect(() => cpu.backend.relu(handle, handle)).to.throw(ArgumentError, 'disposed');
      });
    });
  });

  it('refuses more than 16,384 waiting operations, and goes on when some are done', () =>
    tidy(async () => {
      const [x, y] = [full([2 ** 16], 2), empty([2 ** 16])];
      let refused: unknown;
      for (let i = 0; i < 10 * 16384 && refused === undefined; i++) {
        try {
          cpu.backend.relu(x.handle, y.handle);
        } catch (error) {
          refused = error;
        }
      }
      expect(refused).to.be.instanceOf(QueueFullError).with.property('message').that.includes('16384');
      await cpu.synchronize();
      expect(cpu.queued).to.equal(0);
      expect((await y.data())[0]).to.equal(2);
    }));

  it('answers reads in their order', () =>
    tidy(async () => {
      const order: number[] = [];
      const x = tensor([1]);
      await Promise.all(
        [0, 1, 2, 3, 4].map(async (i) => {
          await scale(x, i).data();
          order.push(i);
        }),
      );
      expect(order).to.deep.equal([0, 1, 2, 3, 4]);
    }));

  it('does not hold up the event loop', () =>
    tidy(async () => {
      const big = full([1024, 1024], 1);
      let product = big;
      for (let i = 0; i < 10; i++) product = scale(matmul(product, big), 2 ** -10);
      let done = false;
      const reading = product.data().then((data) => {
        done = true;
        return data;
      });
      let turns = 0;
      for (; !done; turns++) await nextTurn();
      expect(turns).to.be.above(1);
      expect((await reading)[12345]).to.equal(1);
    }));

  describe('several devices', () => {
    it('sends gradients back to where their tensors live', () =>
      tidy(async () => {
        const x = leaf([1, 2]);
        const y = scale(to(x, 'cpu:1'), 3);
        backward(y, full([2], 2, { device: 'cpu:1' }));
        expect(y.device.name).to.equal('cpu:1');
        expect(x.grad?.device.name).to.equal('cpu:0');
        expect(await x.grad?.data()).to.deep.equal(Float32Array.of(6, 6));
      }));

    it('keep the source until it was copied, though its memory is given away at once', () =>
      tidy(async () => {
        const big = full([256, 256], 1);
        const sent: Tensor[] = [];
        for (let i = 0; i < 100; i++) {
          tidy(() => {
            // The source is ready late; its block, disposed of early, is wanted by the next turn.
            const busy = matmul(big, big);
            const source = add(full([1000], i), full([1000], 0.5));
            busy.dispose();
            sent.push(keep(to(source, 'cpu:1')));
          });
        }
        const read = await Promise.all(sent.map((t) => t.data()));
        read.forEach((data, i) => {
          expect(
            data.every((value) => value === i + 0.5),
            `tensor ${i}`,
          ).to.equal(true);
        });
        for (const t of sent) t.dispose();
      }));

    it('wait for each other, there and back', () =>
      tidy(async () => {
        let x = full([500], 1);
        for (let i = 0; i < 200; i++) {
          const next = scale(to(x, i % 2 ? 'cpu' : 'cpu:1'), i % 2 ? 0.5 : 2);
          x.dispose();
          x = next;
        }
        expect((await x.data()).every((value) => value === 1)).to.equal(true);
      }));

    it('count their memory apart', () => {
      const one = Device.get('cpu:1');
      const [before, beforeOne] = [cpu.memory(), one.memory()];
      const t = zeros([1000], { device: one });
      expect(cpu.memory().liveBuffers).to.equal(before.liveBuffers);
      expect(one.memory().liveBuffers).to.equal(beforeOne.liveBuffers + 1);
      expect(one.memory().liveBytes).to.be.at.least(beforeOne.liveBytes + 4000);
      t.dispose();
      expect(one.memory().liveBytes).to.equal(beforeOne.liveBytes);
    });
  });

  describe('memory', () => {
    it('is used again at once, in the order of the stream', () =>
      tidy(async () => {
        let x = full([4096], 1);
        const { cacheMisses } = cpu.memory();
        for (let i = 0; i < 1000; i++) {
          const next = add(x, x);
          x.dispose();
          x = scale(next, 0.5);
          next.dispose();
        }
        expect((await x.data()).every((value) => value === 1)).to.equal(true);
        expect(cpu.memory().cacheMisses - cacheMisses).to.be.at.most(3);
      }));

    it('is not taken for workspace while operations that wait need it', () =>
      tidy(async () => {
        // A device of its own, whose workspace is not there yet.
        const options = { device: 'cpu:3' };
        const big = full([1024, 1024], 0, options);
        for (let i = 0; i < 3; i++) matmul(big, big).dispose();
        const sizes = Array.from({ length: 18 }, (_, i) => 2 ** (i + 4));
        const before = sizes.map((size) => full([size], size, options));
        const x = rand([4, 20, 20, 32], { ...options, seed: 1, requiresGrad: true });
        const weight = rand([32, 3, 3, 32], { ...options, seed: 2, requiresGrad: true });
        const y = conv2d(x, weight, { padding: 1 });
        backward(y, full(y.shape, 1, options));
        const after = before.map((t) => {
          const doubled = scale(t, 2);
          t.dispose();
          return doubled;
        });
        for (const [i, t] of after.entries()) {
          const wanted = 2 * (sizes[i] ?? 0);
          const wrong = (await t.data()).findIndex((value) => value !== wanted);
          expect(wrong, `first wrong element of ${t.size}`).to.equal(-1);
        }
      }));

    it('is counted, and given back', async () => {
      await cpu.synchronize();
      const start = cpu.memory();
      tidy(() => {
        const t = zeros([3, 2 ** 18]);
        expect(cpu.memory().liveBuffers).to.equal(start.liveBuffers + 1);
        expect(cpu.memory().liveBytes - start.liveBytes).to.be.within(3 * 2 ** 20, 4 * 2 ** 20);
        expect(cpu.memory().peakBytes).to.be.at.least(cpu.memory().liveBytes);
        const view = t.view([2 ** 18, 3]);
        expect(cpu.memory().liveBuffers, 'a view has no memory of its own').to.equal(start.liveBuffers + 1);
        t.dispose();
        expect(cpu.memory().liveBuffers, 'a view keeps it').to.equal(start.liveBuffers + 1);
        view.dispose();
        expect(cpu.memory().liveBytes).to.equal(start.liveBytes);
      });
      expect(cpu.memory().cachedBytes).to.be.above(0);
    });

    it('leaves the cache by emptyCache(), when the stream is done with it', () =>
      tidy(async () => {
        const x = full([2 ** 18], 3);
        const y = scale(x, 2);
        x.dispose();
        cpu.emptyCache();
        expect(cpu.memory().cachedBytes).to.equal(0);
        expect((await y.data())[99]).to.equal(6);
      }));
  });

  it('refuses how to compute on a GPU', () => {
    expect(() => cpu.setConvolutions({ tf32: false, autotune: true })).to.throw(
      ArgumentError,
      'Expected CUDA device for tf32 but received cpu:0',
    );
  });

  it('takes a number of threads', () =>
    tidy(async () => {
      const device = Device.get('cpu:2');
      for (const bad of [0, -1, 1.5, Number.NaN, 1e9]) {
        expect(() => device.setThreads(bad)).to.throw(ArgumentError, 'for threads but received');
      }
      const x = full([64, 64], 1, { device });
      device.setThreads(1);
      const one = matmul(x, x);
      device.setThreads(3);
      const three = matmul(x, x);
      expect(await three.data()).to.deep.equal(await one.data());
    }));
});
