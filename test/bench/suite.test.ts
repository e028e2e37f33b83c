import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { Report } from '../../bench/main.js';
import { alexnet, jsonLines, useFolder } from '../cli/alexnet.js';
import { runNode } from '../support/child.js';

/** Only that it runs, and the form of what it tells: a speed is no matter for a test. */
const QUICK = ['--rounds', '1', '--seconds', '0.001'];
const bench = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));

function expectSpread(spread: unknown): void {
  expect(spread).to.have.all.keys('median', 'least', 'most');
  for (const value of Object.values(spread as object)) expect(value).to.be.above(0);
}

function expectNetwork(
  { train = [], infer = [] }: Pick<Report, 'train' | 'infer'>,
  batches: readonly number[],
): void {
  for (const rows of [train, infer]) {
    expect(rows.map(({ batch }) => batch)).to.deep.equal(batches);
    for (const row of rows) {
      expectSpread(row.spread);
      expect(row.imagesPerSecond).to.equal(row.spread.median);
      for (const value of [
        row.stepMs.median,
        row.stepMs.p99,
        row.firstStepMs,
        row.peakResidentBytes,
        row.deviceBytes,
      ])
        expect(value).to.be.above(0);
      expect(row.allocationHits).to.be.within(0, 1);
    }
  }
}

describe('bench suite', function () {
  this.timeout(600_000);
  const folder = useFolder();

  it('measures the columns on two devices, each with at most 60 % of the memory of one', async () => {
    const out = join(folder(), 'columns.json');
    const args = ['--only', 'columns', '--batch', '32', '--out', out, ...QUICK];
    const { code, stderr } = await runNode(['--import', 'tsx/esm', bench, ...args], 590_000);
    expect(code, stderr).to.equal(0);
    const { columns } = JSON.parse(await readFile(out, 'utf8')) as Report;
    const shares = Object.entries(columns?.two.bytesByDevice ?? {}).map(
      ([device, bytes]) => [device, bytes / (columns?.one.deviceBytes ?? 0) <= 0.6] as const,
    );
    expect(shares).to.deep.equal([
      ['cpu:0', true],
      ['cpu:1', true],
    ]);
    expect(columns?.ratio).to.be.above(0);
  });

  it('alexnet bench --json measures training and inference, and accounts for all of a step', async () => {
    const { status, stdout, stderr } = await alexnet(['bench', '--json', '--batch', '1', ...QUICK]);
    expect(status, stderr).to.equal(0);
    const [report = {}, ...rest] = jsonLines(stdout);
    expect(rest).to.deep.equal([]);
    expect(report).to.have.all.keys('machine', 'train', 'infer');
    expect(report.machine).to.include.all.keys('cpu', 'cores', 'features', 'load', 'node', 'arithmetic');
    const rows = report as unknown as Pick<Report, 'train' | 'infer'>;
    expectNetwork(rows, [1]);
    for (const [row] of [rows.train ?? [], rows.infer ?? []]) {
      const parts = row?.breakdown?.parts ?? [];
      expect(parts.reduce((sum, { fraction }) => sum + fraction, 0)).to.be.closeTo(1, 1e-9);
      expect(parts.map(({ part }) => part)).to.include.members(['conv1', 'fc8', 'launching', 'idle']);
      for (const { fraction } of parts) expect(fraction).to.be.at.least(0);
    }
    expect(rows.train?.[0]?.breakdown?.parts.map(({ part }) => part)).to.include.members([
      'optimizer',
      'loss',
    ]);
  });

  it('alexnet bench prints tables', async () => {
    const { status, stdout } = await alexnet(['bench', '--batch', '1', ...QUICK]);
    expect(status).to.equal(0);
    expect(stdout)
      .to.match(/^cpu: /)
      .and.to.match(/'training'/)
      .and.to.match(/where a step of inference, batch 1, spends/);
  });

  async function run(args: readonly string[]): Promise<Report> {
    const { code, stdout, stderr } = await runNode(
      ['--import', 'tsx/esm', bench, '--json', ...QUICK, ...args],
      590_000,
    );
    expect(code, stderr).to.equal(0);
    return JSON.parse(stdout) as Report;
  }

  it('npm run bench -- --full has every part, and compares', async () => {
    const out = join(folder(), 'report.json');
    const report = await run(['--full', '--batch', '2', '--repeats', '1', '--out', out]);
    expect(JSON.parse(await readFile(out, 'utf8'))).to.deep.equal(report);
    expectNetwork(report, [2]);
    const { layers = [], host, input, scaling } = report;

    const passes = (layer: string) =>
      layers.filter((row) => row.layer === layer && row.batch === 2).map(({ pass }) => pass);
    expect(passes('conv1')).to.deep.equal(['forward', 'filter gradient']);
    for (const layer of ['conv2', 'conv3', 'conv4', 'conv5', 'fc6', 'fc7', 'fc8'])
      expect(passes(layer), layer).to.deep.equal(['forward', 'data gradient', 'filter gradient']);
    for (const layer of ['norm1', 'norm2', 'pool1', 'pool2', 'pool5'])
      expect(passes(layer), layer).to.deep.equal(['forward', 'backward']);
    expect(report.gemmPeakGflopPerSecond).to.be.above(0);
    for (const row of layers) {
      expectSpread(row.ms);
      const isProduct = /^(conv|fc)/.test(row.layer);
      expect(
        row.gflopPerSecond !== undefined && row.ofGemmPeak !== undefined && row.implementation !== undefined,
      ).to.equal(isProduct);
      if (!isProduct) expect(row.ofMemory, row.layer).to.be.above(0);
    }
    const conv1 = layers.find(({ layer, pass }) => layer === 'conv1' && pass === 'forward');
    const gflop = (2 * 2 * 55 ** 2 * 96 * 11 ** 2 * 3) / 1e9;
    // Where one implementation is forced, there is none beside it.
    const isForced = process.env.NODE_CUDNN_CONV2D !== undefined;
    for (const row of layers.filter(({ layer }) => !isForced && layer.startsWith('conv'))) {
      expect(row.direct?.implementation, row.layer).to.be.oneOf([
        'onednn',
        'jit',
        'blocked',
        'im2col',
        'windows',
      ]);
      expectSpread(row.direct?.ms);
      expect(row.direct?.ofGemmPeak).to.be.above(0);
      expect(row.ofDirect).to.be.closeTo((row.direct?.ms.median ?? 0) / row.ms.median, 1e-9);
      if (row.implementation === row.direct?.implementation) expect(row.ofDirect).to.equal(1);
    }
    expect(report.convolutions === undefined).to.equal(isForced);
    const { meanByFlop = 1, least } = report.convolutions?.direct ?? {};
    expect(least?.value ?? 0).to.be.within(0, meanByFlop);
    for (const { gbPerSecond } of Object.values(report.bandwidth ?? {})) expect(gbPerSecond).to.be.above(0);
    expect(report.lrn?.map(({ layer }) => layer)).to.deep.equal(['norm1', 'norm2']);
    expect(conv1?.gflopPerSecond).to.be.closeTo((gflop / (conv1?.ms.median ?? 0)) * 1000, 1e-6);
    expect(layers.filter(({ batch }) => batch === 1).map(({ layer }) => layer)).to.include.members([
      'fc6',
      'fc7',
      'fc8',
    ]);

    for (const row of layers.filter(({ layer, batch }) => layer.startsWith('fc') && batch === 1))
      expect(row.ofMemory, `${row.layer} ${row.pass}`).to.be.above(0);

    expectSpread(host?.callUs);
    expect(host?.training).to.include({ batch: 2, firstStepMs: report.train?.[0]?.firstStepMs });
    expectSpread(host?.start?.importMs);
    expect(input?.decoding).to.have.length.above(1);
    expect(input?.training[0]).to.deep.include({ source: 'memory', ofMemory: 1 });
    expect(scaling?.train.map(({ threads }) => threads)).to.deep.equal([1, 2, undefined]);

    expect(Object.values(scaling?.twoThreads ?? {})).to.have.lengthOf(2);
    expect(report.goals?.filter(({ measured }) => measured !== null).map(({ goal }) => goal)).to.include(
      'import, ms ≤ 120',
    );

    const again = await run(['--only', 'host', '--batch', '2', '--repeats', '1', '--compare', out]);
    expect(again.changes?.map(({ what }) => what)).to.include.members([
      'host, callUs',
      'host, training, firstStepMs',
    ]);
    expect(again.host?.training).to.include.all.keys('allocationHits', 'eventLoopDelayMs', 'longestCall');
  });

  describe('refuses before it measures', () => {
    for (const [what, option, value, expected] of [
      ['a peer it does not know', '--peers', 'caffe', 'Expected torch or onnxruntime but received caffe'],
      ['a folder', '--out', tmpdir(), 'it is a folder'],
      ['a report that is none', '--compare', bench, `Expected a report of this bench but received ${bench}`],
      [
        'a folder that is none',
        '--out',
        join(bench, 'r.json'),
        'Expected a file in a folder that can be written',
      ],
    ] as const)
      it(what, async () => {
        const { code, stderr } = await runNode(['--import', 'tsx/esm', bench, option, value], 60_000);
        expect(code).to.equal(2);
        expect(stderr).to.include(`option '${option} `).and.include(expected);
      });
  });
});
