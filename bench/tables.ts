import type { Spread } from '../lib/bench/statistics.js';
import { describeMachine, loopDelay, printNetwork, range, rounded } from '../lib/bench/tables.js';
import type { HostReport, HostTraining } from './host.js';
import type { InputReport } from './input.js';
import type { HostTime } from './launches.js';
import type { LayerRow, LayersReport } from './layers.js';
import type { LrnRow } from './lrn.js';
import type { Report } from './main.js';

export function printReport(report: Report): void {
  console.log(describeMachine(report.machine));
  const { train = [], infer = [] } = report;
  printNetwork({ train, infer });
  const { layers, gemmPeakGflopPerSecond, bandwidth, convolutions, lrn = [] } = report;
  if (layers !== undefined && gemmPeakGflopPerSecond !== undefined && bandwidth !== undefined)
    printLayers({
      layers,
      gemmPeakGflopPerSecond,
      bandwidth,
      ...(convolutions === undefined ? {} : { convolutions }),
    });
  if (lrn.length > 0) printLrn(lrn);
  if (report.host !== undefined) printHost(report.host);
  if (report.input !== undefined) printInput(report.input);
  if (report.columns !== undefined) {
    const { one, two, ratio } = report.columns;
    const [single, split] = [one, two].map(({ stepMs }) => `${stepMs.median.toFixed(0)} ms`);
    console.log(
      `training step, batch ${one.batch}: ${single} on one device, ${split} with its columns on two: ${ratio.toFixed(2)} times as long`,
    );
    const shares = Object.entries(two.bytesByDevice).map(
      ([device, bytes]) => `${((100 * bytes) / one.deviceBytes).toFixed(0)} % on ${device}`,
    );
    console.log(`of ${(one.deviceBytes / 1e6).toFixed(0)} MB on one device: ${shares.join(', ')}`);
  }
  if (report.scaling !== undefined) {
    console.log('scaling, by threads and by batch:');
    printNetwork(report.scaling);
    for (const [kind, ratio] of Object.entries(report.scaling.twoThreads))
      console.log(`${kind}: 2 threads have ${rounded(ratio, 2)} × the speed of 1`);
  }
}

function printLayers({
  layers,
  gemmPeakGflopPerSecond: peak,
  bandwidth: { copy, read },
  convolutions,
}: LayersReport): void {
  console.log(`layers; the fastest matrix product reached ${rounded(peak)} GFLOP/s`);
  console.log(
    `memory: ${rounded(copy.gbPerSecond)} GB/s copied (${copy.operation}), ${rounded(read.gbPerSecond)} read (${read.operation})`,
  );
  console.table(
    layers.map(
      ({
        layer,
        pass,
        batch,
        ms,
        gflopPerSecond,
        ofGemmPeak,
        implementation,
        direct,
        ofDirect,
        ofMemory,
        torchMs,
      }: LayerRow) => ({
        layer,
        pass,
        batch: batch === 0 ? '' : batch,
        ms: rounded(ms.median, 2),
        spread: range(ms, 2),
        'GFLOP/s': gflopPerSecond === undefined ? '' : rounded(gflopPerSecond),
        '% of GEMM': ofGemmPeak === undefined ? '' : rounded(100 * ofGemmPeak),
        '× memory': ofMemory === undefined ? '' : rounded(ofMemory, 2),
        'PyTorch ms': torchMs === undefined ? '' : rounded(torchMs, 1),
        implementation: implementation ?? '',
        'best direct':
          direct === undefined ? '' : `${direct.implementation} ${rounded(direct.ms.median, 2)} ms`,
        'its % of GEMM': direct?.ofGemmPeak === undefined ? '' : rounded(100 * direct.ofGemmPeak),
        '× direct': ofDirect === undefined ? '' : rounded(ofDirect, 2),
      }),
    ),
  );
  if (convolutions === undefined) return;
  const { direct, winograd } = convolutions;
  console.log(
    `direct convolutions: ${rounded(100 * direct.meanByFlop)} % of GEMM, the mean by FLOP; least ${rounded(100 * direct.least.value)} %, ${direct.least.layer} ${direct.least.pass}`,
  );
  if (winograd === undefined) return;
  const [least, most] = [winograd.least, winograd.most].map(
    ({ layer, pass, value }) => `${rounded(value, 2)} × the best direct one (${layer} ${pass})`,
  );
  console.log(`Winograd: from ${least} to ${most}`);
}

function printLrn(rows: readonly LrnRow[]): void {
  console.table(
    rows.map(({ layer, ms, ofMemory, torchMs, ratio }) => ({
      'forward + backward of': layer,
      ms: rounded(ms.median, 2),
      spread: range(ms, 2),
      '× memory': rounded(ofMemory, 2),
      ...(torchMs === undefined || ratio === undefined
        ? {}
        : { 'PyTorch ms': rounded(torchMs.median), 'its spread': range(torchMs), ratio: rounded(ratio) }),
    })),
  );
}

function printHost({
  callUs,
  operationsPerSecond,
  launches,
  start,
  training,
}: HostReport & { readonly training: HostTraining }): void {
  const figure = (spread: Spread) => `${rounded(spread.median)} (${range(spread)})`;
  console.table({
    'call of the cheapest operation, µs': figure(callUs),
    'operations a second': figure(operationsPerSecond),
    'import, ms': start === null ? 'not built' : figure(start.importMs),
    'first result, ms': start === null ? 'not built' : figure(start.firstResultMs),
  });
  console.table({
    'conv2d, µs': hostTimes(launches.conv2d),
    'training step, µs': hostTimes(launches.trainingStep),
  });
  console.table([
    {
      'training, batch': training.batch,
      'first step ms': rounded(training.firstStepMs),
      'allocation hits %': rounded(100 * training.allocationHits),
      ...loopDelay(training),
    },
  ]);
}

export function hostTimes({ enqueueUs, launchUs, wallUs }: HostTime) {
  return {
    'enqueued by JavaScript': rounded(enqueueUs),
    "processor time of the stream's thread": launchUs === null ? 'unknown' : rounded(launchUs),
    'until done': rounded(wallUs),
  };
}

function printInput({ decoding, training }: InputReport): void {
  console.table(
    decoding.map(({ source, imagesPerSecond, cpuMs }) => ({
      'decoded from': source,
      'images/s': rounded(imagesPerSecond.median),
      spread: range(imagesPerSecond),
      'processor ms each': rounded(cpuMs, 2),
    })),
  );
  console.table(
    training.map(({ source, imagesPerSecond, waiting, ofMemory, decoderBound, ofDecoderBound }) => ({
      'training from': source,
      'images/s': rounded(imagesPerSecond.median),
      spread: range(imagesPerSecond),
      'waiting %': rounded(100 * waiting),
      '% of memory': rounded(100 * ofMemory),
      "left by the decoder's share, %": rounded(100 * decoderBound),
      '% of that': rounded(100 * ofDecoderBound),
    })),
  );
}
