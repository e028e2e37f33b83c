import { expect } from 'chai';
import { goalsOf } from '../../bench/goals.js';
import { type LayerRow, summaryOf } from '../../bench/layers.js';
import { lrnRows } from '../../bench/lrn.js';
import type { Report } from '../../bench/main.js';
import { expectEqualThreads, measureNetwork } from '../../lib/bench/network.js';

const ms = (median: number) => ({ median, least: median, most: median });
const report = (facts: object): Report =>
  ({ machine: { arithmetic: { instructionSet: 'AVX-512' } }, ...facts }) as unknown as Report;
const goal = (facts: object, words: RegExp) => goalsOf(report(facts)).find((each) => words.test(each.goal));

function convolution(
  layer: string,
  pass: LayerRow['pass'],
  gflop: number,
  ofPeak: number,
  ratio: number,
): LayerRow {
  const direct = { implementation: 'onednn', ms: ms(10), gflopPerSecond: gflop * 100, ofGemmPeak: ofPeak };
  const implementation = ratio > 1 ? 'winograd' : 'onednn';
  return { layer, pass, batch: 128, ms: ms(10 / ratio), implementation, direct, ofDirect: ratio };
}

describe('goals of the bench', () => {
  it('that were not measured are neither reached nor missed', () => {
    const goals = goalsOf(report({}));
    expect(goals).to.have.length.above(20);
    for (const { measured, reached } of goals) expect([measured, reached]).to.deep.equal([null, null]);
  });

  it('compare the row of their batch, and memory too', () => {
    const ratios = { torch: { peer: 'torch eager', speed: 2.6, latency: 0.6, memory: 0.7 } };
    const facts = {
      train: [
        { batch: 32, ratios: { torch: { speed: 9 } } },
        { batch: 128, ratios },
      ],
    };
    expect(goal(facts, /^training, batch 128/)).to.include({ measured: 2.6, reached: false });
    expect(goal(facts, /^peak memory/)).to.include({ measured: 0.7, reached: true });
    expect(goal({ infer: [{ batch: 1, ratios }] }, /^latency.*PyTorch/)).to.include({
      measured: 0.6,
      reached: false,
    });
  });

  it('take the worst of several', () => {
    const infer = [{ batch: 128, ratios: { torch: { speed: 3 }, onnxruntime: { speed: 2.1 } } }];
    expect(goal({ infer }, /^inference/)).to.include({ measured: 2.1, reached: false });
    const machine = { arithmetic: { instructionSet: 'AVX2' } };
    expect(goal({ infer, machine }, /^inference/)).to.include({ measured: 2.1, reached: true });
    const layers = ['pool1', 'pool2'].map((layer, i) => ({
      layer,
      pass: 'forward',
      batch: 128,
      ofMemory: 1 + i * 1.5,
    }));
    expect(goal({ layers }, /^max-pool forward/)).to.include({ measured: 2.5, reached: false });
  });

  it('know convolutions by FLOP, and Winograd against the fastest direct one', () => {
    const layers = [
      convolution('conv2', 'forward', 3, 0.9, 1.4),
      convolution('conv2', 'data gradient', 3, 0.9, 1.1),
      convolution('conv3', 'forward', 2, 0.7, 1.5),
    ];
    const convolutions = summaryOf(layers);
    expect(convolutions?.direct.meanByFlop).to.be.closeTo((6 * 0.9 + 2 * 0.7) / 8, 1e-12);
    expect(convolutions?.direct.least).to.deep.equal({ layer: 'conv3', pass: 'forward', value: 0.7 });
    expect(convolutions?.winograd?.least).to.deep.equal({
      layer: 'conv2',
      pass: 'data gradient',
      value: 1.1,
    });
    expect(goal({ layers, convolutions }, /^direct.*least/)).to.include({ measured: 0.7, reached: false });
    expect(
      goal({ convolutions, layers: layers.map((row) => ({ ...row, batch: 2 })) }, /^direct.*least/),
    ).to.include({
      measured: null,
    });
    expect(goal({ layers, convolutions }, /^Winograd/)).to.include({ measured: 1.4, reached: true });
  });

  it('add LRN forward and backward, and take PyTorch beside', () => {
    const layers = [
      { layer: 'norm1', pass: 'forward', batch: 2, ms: ms(3), ofMemory: 1.5 },
      { layer: 'norm1', pass: 'backward', batch: 2, ms: ms(6), ofMemory: 2 },
    ] as const;
    const [row] = lrnRows([{ layers, torch: { norm1: { forward: 300, backward: 600 } } }]);
    expect(row).to.deep.include({ ms: ms(9), torchMs: ms(900), ratio: 100 });
    expect(row?.ofMemory).to.be.closeTo(9 / 5, 1e-12);
  });

  it('leave a peer out that has other threads', async () => {
    expect(() => expectEqualThreads(2, { threads: 4 })).to.throw(
      'Expected 2 threads, as ours, but received 4',
    );
    const result = { imagesPerSecond: 1, stepMs: { median: 1, p99: 1 }, peakResidentBytes: 1, version: '1' };
    const peer = (name: string, threads: number) => ({
      name,
      kinds: ['infer'] as const,
      run: () => Promise.resolve({ ...result, threads }),
    });
    const { infer } = await measureNetwork({
      trials: [{ kind: 'infer', batch: 1, steps: 1, threads: 1 }],
      rounds: 1,
      peers: [peer('torch eager', 1), peer('onnxruntime', 3)],
      tell: () => {},
    });
    expect(infer[0]?.peers?.['torch eager']).to.include({ version: '1', threads: 1 });
    expect(infer[0]?.peers?.onnxruntime).to.deep.equal({
      error: 'Expected 1 threads, as ours, but received 3',
    });
    expect(Object.keys(infer[0]?.ratios ?? {})).to.deep.equal(['torch']);
  });
});
