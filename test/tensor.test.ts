import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { Device } from '../lib/device.js';
import { ArgumentError, DeviceError, DisposedError, ShapeError } from '../lib/errors.js';
import type { TypedArray } from '../lib/native.js';
import { add, relu, scale } from '../lib/ops/index.js';
import { tidy } from '../lib/scope.js';
import { empty, full, type NestedNumbers, rand, randn, Tensor, tensor, zeros } from '../lib/tensor.js';

async function take<T extends TypedArray = Float32Array>(t: Tensor): Promise<T> {
  using owned = t;
  return owned.data<T>();
}

describe('tensor', () => {
  describe('is made of', () => {
    it('a number', async () => {
      using t = tensor(2.5);
      expect(t.shape).to.deep.equal([]);
      expect(t.size).to.equal(1);
      expect(await t.item()).to.equal(2.5);
    });

    it('nested arrays, whose nesting is the shape', async () => {
      using t = tensor([
        [[1], [2]],
        [[3], [4]],
        [[5], [6]],
      ]);
      expect(t.shape).to.deep.equal([3, 2, 1]);
      expect(t.dtype).to.equal('float32');
      expect(await t.data()).to.deep.equal(Float32Array.of(1, 2, 3, 4, 5, 6));
    });

    it('a flat array and a shape', async () => {
      using t = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
      expect(t.shape).to.deep.equal([2, 3]);
      expect(await t.data()).to.deep.equal(Float32Array.of(1, 2, 3, 4, 5, 6));
    });

    for (const [dtype, array] of [
      ['float32', Float32Array.of(1.5, -2)],
      ['int32', Int32Array.of(-7, 2 ** 31 - 1)],
      ['uint8', Uint8Array.of(0, 255)],
    ] as const) {
      it(`a ${array.constructor.name}`, async () => {
        using t = tensor(array);
        expect(t.dtype).to.equal(dtype);
        expect(t.shape).to.deep.equal([2]);
        expect(await t.data<TypedArray>()).to.deep.equal(array);
      });

      it(`numbers as ${dtype}`, async () => {
        const t = tensor(Array.from(array), undefined, { dtype });
        expect(t.dtype).to.equal(dtype);
        expect(await take<TypedArray>(t)).to.deep.equal(array);
      });

      it(`one value, as ${dtype}`, async () => {
        expect(Array.from(await take<TypedArray>(full([2, 2], 3, { dtype })))).to.deep.equal([3, 3, 3, 3]);
        expect(Array.from(await take<TypedArray>(zeros([3], { dtype })))).to.deep.equal([0, 0, 0]);
      });
    }

    it('special numbers', async () => {
      const special = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, -0, 1e-45);
      const read = await take(tensor(special));
      expect(Array.from(special).every((value, i) => Object.is(value, read[i]))).to.equal(true);
    });

    it('shared memory', async () => {
      const shared = new Float32Array(new SharedArrayBuffer(16), 4, 2);
      shared.set([1, 2]);
      expect(await take(tensor(shared))).to.deep.equal(Float32Array.of(1, 2));
    });

    it('more than one upload', async () => {
      const large = Float32Array.from({ length: 2 ** 20 + 17 }, (_, i) => i % 1001);
      expect(
        Buffer.compare(Buffer.from((await take(tensor(large))).buffer), Buffer.from(large.buffer)),
      ).to.equal(0);
    });

    it('random numbers, the same for the same seed and stream', async () => {
      for (const draw of [rand, randn]) {
        const first = await take(draw([1000], { seed: 1 }));
        expect(await take(draw([1000], { seed: 1 }))).to.deep.equal(first);
        expect(await take(draw([1000], { seed: 2 }))).to.not.deep.equal(first);
        expect(await take(draw([1000], { seed: 1, stream: 1 }))).to.not.deep.equal(first);
        expect((await take(draw([1001], { seed: 1 }))).subarray(0, 1000)).to.deep.equal(first);
      }
    });

    it('random numbers of the distribution that was asked for', async () => {
      const moments = (values: Float32Array) => {
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
        return [mean, Math.sqrt(square / values.length)] as const;
      };
      const [mean, deviation] = moments(await take(randn([200_000], { seed: 3, mean: 2, std: 0.5 })));
      expect(mean).to.be.closeTo(2, 0.01);
      expect(deviation).to.be.closeTo(0.5, 0.01);
      const uniform = await take(rand([200_000], { seed: 3, low: -1, high: 3 }));
      const [middle, spread] = moments(uniform);
      expect(middle).to.be.closeTo(1, 0.02);
      expect(spread).to.be.closeTo(4 / Math.sqrt(12), 0.02);
      expect(uniform.every((value) => value >= -1 && value < 3)).to.equal(true);
    });
  });

  describe('refuses', () => {
    const refusals: readonly [string, typeof ArgumentError, () => unknown][] = [
      ['ragged arrays', ShapeError, () => tensor([[1, 2], [3]])],
      ['arrays of unequal depth', ShapeError, () => tensor([[1], 2])],
      ['strings', ArgumentError, () => tensor(['1', '2'] as unknown as NestedNumbers)],
      ['undefined', ArgumentError, () => tensor([1, undefined] as unknown as NestedNumbers)],
      ['nothing', ArgumentError, () => tensor(undefined as unknown as NestedNumbers)],
      ['an empty array', ArgumentError, () => tensor([])],
      ['a Float64Array', ArgumentError, () => tensor(Float64Array.of(1) as unknown as Float32Array)],
      [
        'a typed array as another dtype',
        ArgumentError,
        () => tensor(Float32Array.of(1), [1], { dtype: 'int32' }),
      ],
      ['too few numbers', ShapeError, () => tensor([1, 2, 3], [2, 2])],
      ['too many numbers', ShapeError, () => tensor([1, 2, 3, 4, 5], [2, 2])],
      ['a dimension of 0', ArgumentError, () => zeros([2, 0])],
      ['a negative dimension', ArgumentError, () => zeros([-2])],
      ['a fractional dimension', ArgumentError, () => zeros([1.5])],
      ['a dimension that is not a number', ArgumentError, () => zeros([Number.NaN])],
      ['a shape that is no array', ArgumentError, () => zeros(3 as unknown as number[])],
      ['9 dimensions', ShapeError, () => zeros([1, 1, 1, 1, 1, 1, 1, 1, 1])],
      ['another dtype', ArgumentError, () => zeros([1], { dtype: 'float64' as 'float32' })],
      ['numbers of another dtype', ArgumentError, () => tensor([1], [1], { dtype: 'float64' as 'float32' })],
      ['a value that is no number', ArgumentError, () => full([1], '1' as unknown as number)],
      ['a value past the dtype', ArgumentError, () => full([1], 256, { dtype: 'uint8' })],
      ['a fractional value of integers', ArgumentError, () => full([1], 1.5, { dtype: 'int32' })],
      ['random integers', ArgumentError, () => rand([1], { seed: 1, dtype: 'int32' })],
      ['a range upside down', ArgumentError, () => rand([1], { seed: 1, low: 2, high: 1 })],
      ['gradients of integers', ArgumentError, () => zeros([1], { dtype: 'int32', requiresGrad: true })],
      ['a negative seed', ArgumentError, () => rand([1], { seed: -1 })],
      ['a fractional stream', ArgumentError, () => randn([1], { seed: 1, stream: 0.5 })],
    ];
    for (const [what, error, make] of refusals) {
      it(what, () => {
        expect(() => tidy(make))
          .to.throw(error, /^Expected .+ for .+ but received .+/)
          .with.property('name', error.name);
      });
    }

    for (const device of ['gpu', 'cpu:99', 'cpu:-1', 'cpu:x', 'CPU', '', 'cuda:99', 'cuda:x']) {
      it(`the device "${device}"`, () => {
        expect(() => zeros([1], { device })).to.throw(DeviceError, /^Expected .+ for device but received /);
      });
    }

    it('memory that is not there', () => {
      const { liveBuffers } = Device.get().memory();
      expect(() => empty([2 ** 24, 2 ** 24]))
        .to.throw(Error)
        .with.property('name', 'OutOfMemoryError');
      expect(Device.get().memory().liveBuffers).to.equal(liveBuffers);
    });

    it('more bytes than can be counted', () => {
      expect(() => empty([2 ** 40, 2 ** 40]))
        .to.throw(Error)
        .with.property('name', 'ShapeError');
    });
  });

  describe('devices', () => {
    it('cpu is cpu:0', () => {
      expect(Device.get('cpu')).to.equal(Device.get('cpu:0'));
      expect(Device.get('cpu:1').name).to.equal('cpu:1');
      using t = zeros([1], { device: 'cpu:1' });
      expect(t.device).to.equal(Device.get('cpu:1'));
      expect(Device.get(t.device)).to.equal(t.device);
    });
  });

  describe('write', () => {
    it('overwrites from an offset on', async () => {
      using t = zeros([2, 3]);
      t.write(Float32Array.of(7, 8), 3);
      expect(await t.data()).to.deep.equal(Float32Array.of(0, 0, 0, 7, 8, 0));
    });

    it('copies the array at the call', async () => {
      const array = Float32Array.of(1, 2);
      using t = tensor(array);
      array.fill(9);
      expect(await t.data()).to.deep.equal(Float32Array.of(1, 2));
    });

    it('takes part of a buffer', async () => {
      const part = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
      expect(await take(tensor(part))).to.deep.equal(Float32Array.of(2, 3));
    });

    it('comes after the operations before it, and before those after it', async () => {
      using t = tensor([1]);
      using before = scale(t, 10);
      t.write(Float32Array.of(2));
      using after = scale(t, 10);
      expect([await before.item(), await after.item()]).to.deep.equal([10, 20]);
    });

    it('refuses what does not fit', () => {
      using t = zeros([4]);
      expect(() => t.write(Float32Array.of(1, 2), 3)).to.throw(ShapeError);
      expect(() => t.write(new Float32Array(5))).to.throw(ShapeError);
      expect(() => t.write(Float32Array.of(1), -1)).to.throw(ArgumentError);
      expect(() => t.write(Float32Array.of(1), 0.5)).to.throw(ArgumentError);
      expect(() => t.write(Int32Array.of(1))).to.throw(ArgumentError, 'float32');
    });
  });

  describe('reading', () => {
    it('gives an array of its own each time', async () => {
      using t = tensor([1, 2]);
      const first = await t.data();
      first.fill(0);
      expect(await t.data()).to.deep.equal(Float32Array.of(1, 2));
    });

    it('may go on at once many times', async () => {
      using t = tensor([1]);
      const reads: Promise<number>[] = [];
      for (let i = 0; i < 500; i++) {
        using y = scale(t, i);
        reads.push(y.item());
      }
      expect(await Promise.all(reads)).to.deep.equal(Array.from({ length: 500 }, (_, i) => i));
    });

    it('item() wants one element', async () => {
      using t = tensor([1, 2]);
      const error = await t.item().catch((caught: unknown) => caught);
      expect(error).to.be.instanceOf(ShapeError);
    });
  });

  describe('disposed', () => {
    it('cannot be used', async () => {
      const t = tensor([1]);
      using other = tensor([1]);
      expect(t.disposed).to.equal(false);
      t.dispose();
      expect(t.disposed).to.equal(true);
      expect(() => t.data()).to.throw(DisposedError, 'Expected live tensor for tensor but received');
      expect(await t.item().catch((caught: unknown) => caught)).to.be.instanceOf(DisposedError);
      expect(() => t.write(Float32Array.of(1))).to.throw(DisposedError);
      expect(() => add(other, t)).to.throw(DisposedError);
      expect(`${t}`).to.equal('Tensor(float32 [1] on cpu:0, disposed)');
    });

    it('may be disposed again', () => {
      const start = Device.get().memory().liveBuffers;
      const t = tensor([1]);
      t.dispose();
      t.dispose();
      expect(Device.get().memory().liveBuffers).to.equal(start);
    });

    it('is still read by what was enqueued before', async () => {
      const t = tensor([3]);
      using y = scale(t, 2);
      const reading = t.item();
      t.dispose();
      expect([await reading, await y.item()]).to.deep.equal([3, 6]);
    });

    it('is what the garbage collector does at last', async () => {
      setFlagsFromString('--expose-gc');
      const collect: () => void = runInNewContext('gc');
      const start = Device.get().memory().liveBuffers;
      for (let i = 0; i < 100; i++) relu(zeros([8]));
      const made = Device.get().memory().liveBuffers;
      for (let turn = 0; turn < 50 && Device.get().memory().liveBuffers > start; turn++) {
        collect();
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(made).to.be.above(start);
      expect(Device.get().memory().liveBuffers).to.be.at.most(start);
    });
  });

  it('says what it is', () => {
    using t = zeros([2, 3]);
    expect(t).to.be.instanceOf(Tensor);
    expect(`${t}`).to.equal('Tensor(float32 [2, 3] on cpu:0)');
    expect(inspect({ t })).to.equal('{ t: Tensor(float32 [2, 3] on cpu:0) }');
  });
});
