import type { Spread } from '../lib/bench/statistics.js';
import { describeMachine, printNetwork, range, rounded } from '../lib/bench/tables.js';
import type { HostReport } from './host.js';
import type { InputReport } from './input.js';
import type { HostTime } from './launches.js';
import type { LayerRow } from './layers.js';
import type { Report } from './main.js';

export function printReport(report: Report): void {
  console.log(describeMachine(report.machine));
  const { train = [], infer = [] } = report;
  printNetwork({ train, infer });
  if (report.layers !== undefined) printLayers(report.layers, report.gemmPeakGflopPerSecond ?? Number.NaN);
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
  }
}

function printLayers(layers: readonly LayerRow[], peak: number): void {
  console.log(`layers; the fastest matrix product reached ${rounded(peak)} GFLOP/s`);
  console.table(
    layers.map(
      ({ layer, pass, batch, ms, gflopPerSecond, ofGemmPeak, implementation, ofMemory, torchMs }) => ({
        layer,
        pass,
        batch: batch === 0 ? '' : batch,
        ms: rounded(ms.median, 2),
        spread: `${rounded(ms.least, 2)} to ${rounded(ms.most, 2)}`,
        'GFLOP/s': gflopPerSecond === undefined ? '' : rounded(gflopPerSecond),
        '% of GEMM': ofGemmPeak === undefined ? '' : rounded(100 * ofGemmPeak),
        '× memory': ofMemory === undefined ? '' : rounded(ofMemory, 2),
        'PyTorch ms': torchMs === undefined ? '' : rounded(torchMs, 1),
        implementation: implementation ?? '',
      }),
    ),
  );
}

function printHost({ callUs, operationsPerSecond, launches, start }: HostReport): void {
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
}

export function hostTimes({ enqueueUs, launchUs, wallUs }: HostTime) {
  return {
    'enqueued by JavaScript': rounded(enqueueUs),
    'launched by the stream': launchUs === null ? 'unknown' : rounded(launchUs),
    'until done': rounded(wallUs),
  };
}

function printInput({ decoding, training }: InputReport): void {
  console.table(
    decoding.map(({ source, imagesPerSecond }) => ({
      'decoded from': source,
      'images/s': rounded(imagesPerSecond.median),
      spread: range(imagesPerSecond),
    })),
  );
  console.table(
    training.map(({ source, imagesPerSecond, waiting, ofMemory }) => ({
      'training from': source,
      'images/s': rounded(imagesPerSecond.median),
      spread: range(imagesPerSecond),
      'waiting %': rounded(100 * waiting),
      '% of memory': rounded(100 * ofMemory),
    })),
  );
}
