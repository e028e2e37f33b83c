import { expect } from 'chai';
import { Device } from '../lib/device.js';
import { tables } from './cases/index.js';
import { expectClose, expectEqual } from './support/compare.js';
import { bytes, labels, spaced, these, uniform } from './support/fill.js';
import type { InputSpec, OpCase, Params } from './support/op_table.js';
import { nameOf, runCase } from './support/run_case.js';

/** Several times what one thread takes at least (16,384 numbers), and no multiple of anything. */
const SIZE = 70_001;

const of = (...shape: number[]): InputSpec => ({ shape });
const spread = (...shape: number[]): InputSpec => ({ shape, fill: spaced });
const flat = { a: of(SIZE), b: of(SIZE) };
const image = (channels: number): InputSpec => spread(5, 23, 29, channels);
const moments = { w: of(SIZE), v: { shape: [SIZE], fill: uniform(0.01, 1) }, g: of(SIZE) };
const classes: InputSpec = { shape: [701], fill: labels(101) };
const counter = { seed: 1, stream: 2, offset: 3 };
const crops: InputSpec = {
  shape: [7, 3],
  fill: these(Int32Array.from({ length: 21 }, (_, i) => (i % 3 === 2 ? i % 2 : i % 9))),
};

/** Cases large enough for several threads. */
const large: Readonly<Record<string, readonly [Record<string, InputSpec>, Params?]>> = {
  relu: [{ x: spread(SIZE) }],
  tanh: [{ x: of(SIZE) }],
  scale: [{ x: of(SIZE) }, { factor: 0.3 }],
  add: [flat],
  cat: [{ a: of(701, 70), b: of(701, 101) }],
  dropout: [{ x: of(SIZE) }, { p: 0.5, scale: 2, ...counter }],
  rand: [{}, { shape: [SIZE], ...counter }],
  randn: [{}, { shape: [SIZE], ...counter }],
  softmax: [{ x: of(701, 101) }],
  softmaxCrossEntropy: [{ logits: of(701, 101), labels: classes }],
  topKHits: [{ logits: of(701, 101), labels: classes }, { k: 5 }],
  sgdStep: [moments, { lr: 0.1, momentum: 0.9, weightDecay: 0.01 }],
  adamStep: [
    { ...moments, m: of(SIZE) },
    { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0.01, step: 3 },
  ],
  lrn: [{ x: image(24) }, { size: 5, alpha: 1, beta: 0.75, k: 2, groups: 2 }],
  maxPool2d: [{ x: image(24) }, { kernelSize: 3, stride: 2, padding: 1 }],
  conv2d: [
    { x: image(8), weight: of(24, 3, 3, 4), bias: of(24) },
    { stride: 1, padding: 1, groups: 2 },
  ],
  linear: [{ x: of(701, 70), weight: of(101, 70), bias: of(101) }],
  matmul: [{ a: of(301, 203), b: of(203, 305) }],
  prepareImages: [
    {
      images: { shape: [7, 64, 61, 3], fill: bytes },
      crops,
      mean: { shape: [50, 51, 3], fill: uniform(0, 255) },
      scale: { shape: [3], fill: uniform(0.01, 0.02) },
      shift: { shape: [7, 3], fill: uniform(-9, 9) },
    },
    { height: 50, width: 51, outputSize: [53, 54] },
  ],
};

/** Without a loop of their own: a view, and a copy. */
const LOOPLESS = ['reshape', 'to'];

/** These sum over what the threads share out. */
const SUMS = ['conv2d', 'linear', 'matmul', 'softmaxCrossEntropy'];

/** One thread computes in one go: what several do must be the same. */
describe('operations on large tensors', () => {
  const device = Device.get('cpu:3');

  it('are all but those without a loop', () => {
    const simple = tables.filter(({ composed }) => !composed).map(({ op }) => op);
    expect([...Object.keys(large), ...LOOPLESS]).to.have.members(simple);
  });

  for (const [op, [inputs, params = {}]] of Object.entries(large)) {
    it(`${op}: three threads give what one does`, async () => {
      const table = tables.find((found) => found.op === op);
      if (table === undefined) throw new Error(`no table of ${op}`);
      const opCase: OpCase = { name: 'large', inputs: inputs, params };
      device.setThreads(1);
      const one = await runCase(table, opCase, device);
      device.setThreads(3);
      const three = await runCase(table, opCase, device);
      for (const part of ['outputs', 'gradients'] as const) {
        for (const [name, wanted] of Object.entries(one[part])) {
          const what = `${nameOf(table, opCase)}/${part}/${name}`;
          const actual = three[part][name] ?? [];
          if (SUMS.includes(op)) expectClose(what, actual, wanted, 1e-5);
          else expectEqual(what, actual, wanted);
        }
      }
    });
  }
});
