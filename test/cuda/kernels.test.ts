import { expect } from 'chai';
import { Device } from '../../lib/device.js';
import { OperationError } from '../../lib/errors.js';
import type { TypedArray } from '../../lib/native.js';
import { add, prepareImages, relu, sgdStep, softmaxCrossEntropy, to, topKHits } from '../../lib/ops/index.js';
import { tidy } from '../../lib/scope.js';
import { full, type Tensor, tensor } from '../../lib/tensor.js';
import { tables } from '../cases/index.js';
import { useSimulator } from '../simulator/simulator.js';
import { expectClose, expectEqual } from '../support/compare.js';
import { draw, spaced, uniform } from '../support/fill.js';
import { drawInputs, nameOf, runCase, runForward } from '../support/run_case.js';

/** What cuDNN and cuBLAS compute, and copies between devices. All others are our kernels, `lrn` where cuDNN refuses. */
const THEIRS = ['conv2d', 'matmul', 'maxPool2d', 'smallAlexNet', 'to'];
/** linear is a product of cuBLAS's, and bias and ReLU by a kernel of ours. */
const OURS = tables.filter(({ op }) => !THEIRS.includes(op));
/** Those whose numbers are the CPU's bit for bit: no sums, and no functions that only round nearly right. */
const SAME_BITS = ['add', 'cat', 'dropout', 'prepareImages', 'rand', 'relu', 'reshape', 'scale', 'topKHits'];
/** max|a − b| / max|b| for the others: sums in another order, other exponentials and powers. */
const TOLERANCE = 2e-6;

describe('CUDA: our kernels, compiled for the CPU', function () {
  this.timeout(600_000);
  const simulator = useSimulator();
  let host: Device;
  let other: Device;
  const cpu = Device.get('cpu');
  before(() => {
    [host, other] = simulator.devices as [Device, Device];
  });

  it('are not those of the libraries', () => {
    expect(tables.map(({ op }) => op)).to.include.members([...THEIRS, ...SAME_BITS]);
  });

  for (const table of OURS) {
    for (const opCase of table.cases) {
      const name = nameOf(table, opCase);
      it(`${name}: as the CPU backend`, async () => {
        const ours = await runCase(table, opCase, host);
        const wanted = await runCase(table, opCase, cpu);
        const inference = await runForward(table, opCase, drawInputs(table, opCase), host);
        const compare = (what: string, actual: TypedArray, expected: TypedArray | undefined) =>
          SAME_BITS.includes(table.op)
            ? expectEqual(`${name}/${what}`, actual, expected ?? [])
            : expectClose(`${name}/${what}`, actual, expected ?? [], TOLERANCE);
        expect(Object.keys(ours.gradients)).to.deep.equal(Object.keys(wanted.gradients));
        for (const [key, y] of Object.entries(ours.outputs)) {
          compare(key, y, wanted.outputs[key]);
          expectEqual(`${name}/${key} in inference`, inference[key] ?? [], y);
        }
        for (const [key, dx] of Object.entries(ours.gradients)) compare(`d${key}`, dx, wanted.gradients[key]);
      });
    }
  }

  for (const [rows, channels] of [
    [1, 1],
    [31, 5],
    [64, 13],
    [3000, 7],
    [40_000, 3],
  ] as const) {
    for (const given of ['y, dz and dbias', 'y and dbias', 'dbias', 'y and dz'] as const) {
      it(`biasReluBackward of [${rows}, ${channels}] with ${given}: as the CPU backend`, async () => {
        const [ours, wanted] = await Promise.all(
          [host, cpu].map((device) => backwardOfBias(device, rows, channels, given)),
        );
        expectClose('dbias', ours?.dbias ?? [], wanted?.dbias ?? [0], TOLERANCE);
        expectEqual('dz', ours?.dz ?? [], wanted?.dz ?? [0]);
      });
    }
  }

  it('fill tensors of every dtype', () =>
    tidy(async () => {
      for (const dtype of ['float32', 'int32', 'uint8'] as const) {
        const [ours, wanted] = [host, cpu].map((device) => full([2, 3], 7, { dtype, device }));
        expect(await ours?.data()).to.deep.equal(await wanted?.data());
      }
    }));

  it('copy more than the staging memory holds, there and back', () =>
    tidy(async () => {
      const values = Float32Array.from({ length: 9_000_001 }, (_, i) => i % 1000);
      const x = tensor(values, [values.length], { device: host });
      expectEqual('x', await x.data<Float32Array>(), values);
    }));

  it('copy from one device to another while its memory is given away', () =>
    tidy(async () => {
      const x = tensor([1, 2, 3], [3], { device: host });
      const y = to(x, other);
      x.dispose();
      full([3], 9, { device: host });
      expect([...(await add(y, y).data())]).to.deep.equal([2, 4, 6]);
    }));

  describe('what a kernel finds wrong', () => {
    const rejects = async (promise: Promise<unknown>, message: RegExp, name: string): Promise<void> => {
      let error: unknown;
      try {
        await promise;
      } catch (caught) {
        error = caught;
      }
      expect(error).to.be.instanceOf(Error);
      expect((error as Error).message).to.match(message);
      expect((error as Error).constructor.name).to.equal(name);
    };

    it('rejects the next read, once: a label that is no class', () =>
      tidy(async () => {
        const logits = tensor(new Float32Array(12), [3, 4], { device: host });
        const labels = tensor(Int32Array.of(1, 4, -1), [3], { device: host });
        const loss = softmaxCrossEntropy(logits, labels);
        await rejects(loss.data(), /label in \[0, 4\) for labels\[1\] but received 4/, 'OperationError');
        await logits.data();
        await rejects(topKHits(logits, labels, 1).data(), /labels\[1\] but received 4/, 'OperationError');
      }));

    it('keeps optimizers from changing weights until then, and is told with the name of its operation', () =>
      tidy(async () => {
        const labels = tensor(Int32Array.of(4), [1], { device: host });
        const w = tensor([1, 2], [2], { device: host });
        const v = tensor([5, 5], [2], { device: host });
        const g = tensor([3, 4], [2], { device: host });
        const step = () => sgdStep(w, v, g, { lr: 1, momentum: 0, weightDecay: 0 });
        const loss = softmaxCrossEntropy(tensor([[1, 2, 3, 4]], [1, 4], { device: host }), labels);
        step();
        const failure = await loss.data().catch((error: unknown) => error);
        expect(failure).to.be.instanceOf(OperationError);
        expect((failure as OperationError).op).to.equal('softmaxCrossEntropy');
        expect([...(await w.data())]).to.deep.equal([1, 2]);
        expect([...(await v.data())]).to.deep.equal([5, 5]);
        step();
        expect([...(await w.data())]).to.deep.equal([-2, -2]);
        const hits = topKHits(tensor([[1, 2, 3, 4]], [1, 4], { device: host }), labels, 1);
        await hits.data().catch(() => {});
        expect([...(await hits.data())]).to.deep.equal([0]);
      }));

    it('keeps optimizers from changing weights where it is not the first that is wrong', () =>
      tidy(async () => {
        const sgd = (w: Tensor, gradient: number) => {
          const [v, g] = [0, gradient].map((value) => full([2], value, { device: host }));
          if (v && g) sgdStep(w, v, g, { lr: 1, momentum: 0, weightDecay: 0 });
        };
        sgd(full([2], 1, { device: host }), Number.NaN);
        const w = full([2], 1, { device: host });
        const labels = tensor(Int32Array.of(4), [1], { device: host });
        topKHits(tensor([[1, 2, 3, 4]], [1, 4], { device: host }), labels, 1);
        sgd(w, 3);
        await rejects(w.data(), /finite weights/, 'NonFiniteError');
        expect([...(await w.data())]).to.deep.equal([1, 1]);
        sgd(w, 3);
        expect([...(await w.data())]).to.deep.equal([-2, -2]);
      }));

    it('rejects the next read: a crop that reaches beyond its image', () =>
      tidy(async () => {
        const crops = tensor(Int32Array.of(0, 0, 0, 1, 2, 0), [2, 3], { device: host });
        const images = tensor(new Uint8Array(2 * 4 * 4 * 3), [2, 4, 4, 3], { device: host });
        const three = (): Tensor => tensor([1, 1, 1], [3], { device: host });
        const y = prepareImages(images, { crops, mean: three(), scale: three(), height: 3, width: 3 });
        await rejects(y.data(), /crop within the image for crops\[1\]/, 'OperationError');
      }));

    it('rejects the next read, or synchronize: a weight that is not finite', () =>
      tidy(async () => {
        const step = (): Tensor => {
          const w = tensor([1, 2, 3], [3], { device: host });
          const g = tensor([0, Number.POSITIVE_INFINITY, 0], [3], { device: host });
          sgdStep(w, tensor(new Float32Array(3), [3], { device: host }), g, {
            lr: 1,
            momentum: 0,
            weightDecay: 0,
          });
          return w;
        };
        const unrelated = relu(tensor([1], [1], { device: host }));
        step();
        await rejects(unrelated.data(), /finite weights/, 'NonFiniteError');
        expect([...(await unrelated.data())]).to.deep.equal([1]);
        step();
        await rejects(host.synchronize(), /finite weights/, 'NonFiniteError');
        await host.synchronize();
      }));
  });
});

/** biasReluBackward by the addon's own function: in lib/ it is part of conv2d and linear. */
function backwardOfBias(device: Device, rows: number, channels: number, given: string) {
  return tidy(async () => {
    const shape = [rows, channels];
    const size = rows * channels;
    const y = relu(tensor(draw(spaced, 'bias/y', size), shape, { device }));
    const dy = tensor(draw(uniform(-1, 1), 'bias/dy', size), shape, { device });
    const dz = full(shape, 0, { device });
    const dbias = full([channels], 0, { device });
    const has = (name: string): boolean => given.split(/ and |, /).includes(name);
    device.backend.biasReluBackward(
      has('y') ? y.handle : null,
      dy.handle,
      has('dz') ? dz.handle : null,
      has('dbias') ? dbias.handle : null,
    );
    return { dz: await dz.data<Float32Array>(), dbias: await dbias.data<Float32Array>() };
  });
}
