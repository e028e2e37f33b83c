import { backward } from '../lib/autograd.js';
import { type Spread, spreadOf } from '../lib/bench/statistics.js';
import { type DeviceChoice, openDevice } from '../lib/bench/trial.js';
import type { Device } from '../lib/device.js';
import { AlexNet } from '../lib/models/alexnet.js';
import { type Layer, PRESETS } from '../lib/models/presets.js';
import type { Span } from '../lib/native.js';
import { Linear, type Module } from '../lib/nn/index.js';
import { SGD } from '../lib/optim/index.js';
import { tidy } from '../lib/scope.js';
import { empty, full, randn, type Tensor } from '../lib/tensor.js';

/** One pass of one layer. */
export interface LayerRow {
  readonly layer: string;
  readonly pass: 'forward' | 'backward' | 'data gradient' | 'filter gradient' | 'step';
  readonly batch: number;
  readonly ms: Spread;
  /** Those of the direct algorithm, of convolutions and products: with Winograd more than the processor does. */
  readonly gflopPerSecond?: number;
  /** Of the fastest matrix product of this run. */
  readonly ofGemmPeak?: number;
  readonly implementation?: string;
  /** Of those that memory bounds: how many times as long as a copy (or, of a product of one row, a reading) of as many bytes. */
  readonly ofMemory?: number;
  /** Of PyTorch in eager mode, where it was measured. */
  readonly torchMs?: number;
}

export interface LayersReport {
  readonly gemmPeakGflopPerSecond: number;
  readonly layers: readonly LayerRow[];
}

export interface LayersOptions extends DeviceChoice {
  readonly batch: number;
  readonly repeats: number;
}

const PASSES: Readonly<Record<string, LayerRow['pass']>> = {
  conv2d: 'forward',
  conv2dBackwardData: 'data gradient',
  conv2dBackwardFilter: 'filter gradient',
  linear: 'forward',
  linearBackwardData: 'data gradient',
  linearBackwardWeight: 'filter gradient',
  lrn: 'forward',
  lrnBackward: 'backward',
  maxPool2d: 'forward',
  maxPool2dBackward: 'backward',
};

/** Each layer of the `paper` preset by itself, on the input that it has there, timed on the device. */
export async function measureLayers(options: LayersOptions): Promise<LayersReport> {
  const { batch, repeats } = options;
  const device = openDevice(options);
  const measure = new Measure(device, repeats);
  const rows: LayerRow[] = [];
  const preset = new Map<string, Layer>(PRESETS.paper.layers.map((layer) => [layer.name, layer]));
  using model = new AlexNet({ classes: 1000, preset: 'paper', device });
  let shape: readonly number[] = [batch, model.inputSize, model.inputSize, 3];
  for (const [name, module] of model.members()) {
    const kind = preset.get(name)?.kind;
    using x = randn(shape, { seed: 1, device, requiresGrad: name !== 'conv1' });
    const output = tidy(() => [...module.forward(x).shape]);
    if (kind !== 'flatten' && kind !== 'dropout')
      rows.push(...(await layerRows(measure, name, module, x, output)));
    shape = output;
  }
  for (const [name, module] of model.members()) {
    if (!(module instanceof Linear)) continue;
    const [outputs = 0, inputs = 0] = module.weight.shape;
    using x = randn([1, inputs], { seed: 1, device, requiresGrad: true });
    if (batch !== 1) rows.push(...(await layerRows(measure, name, module, x, [1, outputs])));
  }
  rows.push(await sgdRow(measure, model));
  const peak = await measure.gemmPeak();
  return {
    gemmPeakGflopPerSecond: peak,
    layers: rows.map((row) =>
      row.gflopPerSecond === undefined ? row : { ...row, ofGemmPeak: row.gflopPerSecond / peak },
    ),
  };
}

async function layerRows(
  measure: Measure,
  layer: string,
  module: Module,
  x: Tensor,
  output: readonly number[],
): Promise<LayerRow[]> {
  await measure.gemm();
  const [batch = 0] = x.shape;
  const spans = await measure.spans(() => {
    const y = module.forward(x);
    backward(y, y);
    for (const each of [x, ...module.parameters()]) {
      each.grad?.dispose();
      each.grad = undefined;
    }
  });
  const flop = 'weight' in module ? 2 * sizeOf(output) * filterSize(module.weight as Tensor) : 0;
  const rows: LayerRow[] = [];
  for (const [op, pass] of Object.entries(PASSES)) {
    const those = spans.filter((span) => span.op === op);
    if (those.length === 0) continue;
    const ms = spreadOf(those.map(milliseconds));
    const implementation = those.at(-1)?.implementation ?? '';
    const bytes = trafficOf(op, x.size, sizeOf(output));
    rows.push({
      layer,
      pass,
      batch,
      ms,
      ...(flop === 0 ? {} : { gflopPerSecond: flop / 1e6 / ms.median }),
      ...(implementation === '' ? {} : { implementation }),
      ...(bytes === undefined ? {} : { ofMemory: ms.median / (await measure.copyMs(bytes)) }),
      ...(op === 'linear' && batch === 1
        ? { ofMemory: ms.median / (await measure.readMs(4 * (module as Linear).weight.size)) }
        : {}),
    });
  }
  return rows;
}

/** What an operation that memory bounds has to read and write; of pooling with an index of a byte for each output. */
function trafficOf(op: string, inputs: number, outputs: number): number | undefined {
  switch (op) {
    case 'lrn':
      return 4 * (inputs + outputs);
    case 'lrnBackward':
      return 4 * (2 * inputs + outputs);
    case 'maxPool2d':
    case 'maxPool2dBackward':
      return 4 * (inputs + outputs) + outputs;
    default:
      return undefined;
  }
}

async function sgdRow(measure: Measure, model: AlexNet): Promise<LayerRow> {
  using optimizer = new SGD(model.namedParameters(), { lr: 1e-4, momentum: 0.9, weightDecay: 5e-4 });
  for (const parameter of model.parameters())
    parameter.grad = full(parameter.shape, 1e-3, { device: model.device });
  const steps: number[] = [];
  for (let i = 0; i < measure.repeats; i++) {
    const spans = await measure.once(() => {
      // A rejection would come with the next synchronize() too.
      optimizer.step().catch(() => {});
    });
    steps.push(spans.filter(({ op }) => op === 'sgdStep').reduce((sum, span) => sum + milliseconds(span), 0));
  }
  optimizer.zeroGrad();
  const ms = spreadOf(steps);
  // Gradient, weight and velocity are read, the last two written.
  const bytes = 5 * 4 * model.parameterCount;
  return { layer: 'SGD', pass: 'step', batch: 0, ms, ofMemory: ms.median / (await measure.copyMs(bytes)) };
}

const GEMM_SIZE = 2048;
const READ_COLUMNS = 4096;

class Measure {
  readonly #device: Device;
  readonly repeats: number;
  /** GFLOP/s. */
  #fastest = 0;

  constructor(device: Device, repeats: number) {
    this.#device = device;
    this.repeats = repeats;
  }

  async once(body: () => void): Promise<Span[]> {
    this.#device.trace(true);
    try {
      tidy(body);
      return await this.#device.takeSpans();
    } finally {
      this.#device.trace(false);
    }
  }

  /** Of all repeats but a first one. */
  async spans(body: () => void): Promise<Span[]> {
    const all: Span[] = [];
    for (let i = 0; i <= this.repeats; i++) {
      const spans = await this.once(body);
      if (i > 0) all.push(...spans);
    }
    return all;
  }

  /** The shortest time of an operation. */
  async #shortestMs(op: string, body: () => void): Promise<number> {
    const spans = await this.spans(body);
    return Math.min(...spans.filter((span) => span.op === op).map(milliseconds));
  }

  /** Tries how fast the matrix product is now; what is kept is the fastest of all calls. */
  async gemm(): Promise<void> {
    const { backend } = this.#device;
    using a = randn([GEMM_SIZE, GEMM_SIZE], { seed: 1, device: this.#device });
    using b = randn([GEMM_SIZE, GEMM_SIZE], { seed: 2, device: this.#device });
    using y = empty([GEMM_SIZE, GEMM_SIZE], { device: this.#device });
    for (const [transposeA, transposeB] of [
      [false, false],
      [false, true],
      [true, false],
    ] as const) {
      const params = { transposeA, transposeB };
      const spans = await this.once(() => backend.matmul(params, a.handle, b.handle, y.handle));
      const ms = Math.min(...spans.filter(({ op }) => op === 'matmul').map(milliseconds));
      this.#fastest = Math.max(this.#fastest, (2 * GEMM_SIZE ** 3) / 1e6 / ms);
    }
  }

  async gemmPeak(): Promise<number> {
    await this.gemm();
    return this.#fastest;
  }

  /** A copy by all threads that reads and writes so many bytes together: `scale` by 1. */
  async copyMs(bytes: number): Promise<number> {
    const size = Math.ceil(bytes / 8);
    using x = full([size], 1, { device: this.#device });
    using y = empty([size], { device: this.#device });
    return await this.#shortestMs('scale', () => x.device.backend.scale({ factor: 1 }, x.handle, y.handle));
  }

  /** A reading of so many bytes: the sum over the rows of a matrix. */
  async readMs(bytes: number): Promise<number> {
    using x = full([Math.ceil(bytes / 4 / READ_COLUMNS), READ_COLUMNS], 1, { device: this.#device });
    using sums = empty([READ_COLUMNS], { device: this.#device });
    return await this.#shortestMs('biasReluBackward', () =>
      x.device.backend.biasReluBackward(null, x.handle, null, sums.handle),
    );
  }
}

function milliseconds({ startNs, endNs }: Span): number {
  return (endNs - startNs) / 1e6;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, dimension) => size * dimension, 1);
}

/** Products for each output. */
function filterSize(weight: Tensor): number {
  const [filters = 1] = weight.shape;
  return weight.size / filters;
}
