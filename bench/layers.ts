import { backward } from '../lib/autograd.js';
import { type Spread, spreadOf } from '../lib/bench/statistics.js';
import { type DeviceChoice, openDevice } from '../lib/bench/trial.js';
import { AlexNet } from '../lib/models/alexnet.js';
import { type Layer, PRESETS } from '../lib/models/presets.js';
import type { Span } from '../lib/native.js';
import { Conv2d, Linear, type Module } from '../lib/nn/index.js';
import { SGD } from '../lib/optim/index.js';
import { tidy } from '../lib/scope.js';
import { full, randn, type Tensor } from '../lib/tensor.js';
import { type Bandwidth, Measure, milliseconds } from './measure.js';

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
  /** Of convolutions: the fastest implementation that is not Winograd's. */
  readonly direct?: {
    readonly implementation: string;
    readonly ms: Spread;
    readonly gflopPerSecond: number;
    readonly ofGemmPeak?: number;
  };
  /** How many times as fast as that. */
  readonly ofDirect?: number;
  /** Of those that memory bounds: how many times as long as a copy of as many bytes; of products of one row, as a reading of the weights, or a writing of
   * their gradient. */
  readonly ofMemory?: number;
  /** The median of PyTorch in eager mode, where it was measured. */
  readonly torchMs?: number;
}

export interface LayersReport {
  readonly gemmPeakGflopPerSecond: number;
  readonly bandwidth: Readonly<Record<'copy' | 'read', Bandwidth>>;
  readonly convolutions?: ConvolutionSummary;
  readonly layers: readonly LayerRow[];
}

/** A pass and its figure. */
interface Of {
  readonly layer: string;
  readonly pass: string;
  readonly value: number;
}
/** The convolutions' passes taken together. */
export interface ConvolutionSummary {
  /** Of the GEMM peak: of each pass the fastest direct implementation. */
  readonly direct: { readonly meanByFlop: number; readonly least: Of };
  /** How many times as fast as the fastest direct one, of those that are chosen to be Winograd's. */
  readonly winograd?: { readonly least: Of; readonly most: Of };
}

export interface LayersOptions extends DeviceChoice {
  readonly batch: number;
  readonly repeats: number;
  /** Only the layers of those names. Default: all of them. */
  readonly only?: readonly string[];
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
  const { batch, repeats, only } = options;
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
    if (only?.includes(name) ?? (kind !== 'flatten' && kind !== 'dropout'))
      rows.push(...(await layerRows(measure, name, module, x, output)));
    shape = output;
  }
  for (const [name, module] of model.members()) {
    if (!(module instanceof Linear) || only !== undefined) continue;
    const [outputs = 0, inputs = 0] = module.weight.shape;
    using x = randn([1, inputs], { seed: 1, device, requiresGrad: true });
    if (batch !== 1) rows.push(...(await layerRows(measure, name, module, x, [1, outputs])));
  }
  if (only === undefined) rows.push(await sgdRow(measure, model));
  const peak = await measure.gemmPeak();
  const layers = rows.map((row): LayerRow => {
    const { gflopPerSecond, direct } = row;
    return {
      ...row,
      ...(gflopPerSecond === undefined ? {} : { ofGemmPeak: gflopPerSecond / peak }),
      ...(direct === undefined ? {} : { direct: { ...direct, ofGemmPeak: direct.gflopPerSecond / peak } }),
    };
  });
  const convolutions = summaryOf(layers);
  return {
    gemmPeakGflopPerSecond: peak,
    bandwidth: await measure.bandwidth(),
    ...(convolutions === undefined ? {} : { convolutions }),
    layers,
  };
}

/** Undefined where no direct implementation was measured beside. */
export function summaryOf(layers: readonly LayerRow[]): ConvolutionSummary | undefined {
  let [flop, sum] = [0, 0];
  const direct: Of[] = [];
  const winograd: Of[] = [];
  for (const { layer, pass, implementation, direct: fastest, ofDirect } of layers) {
    if (fastest?.ofGemmPeak === undefined || ofDirect === undefined) continue;
    const those = fastest.gflopPerSecond * fastest.ms.median;
    flop += those;
    sum += those * fastest.ofGemmPeak;
    direct.push({ layer, pass, value: fastest.ofGemmPeak });
    if (implementation === 'winograd') winograd.push({ layer, pass, value: ofDirect });
  }
  const byValue = (a: Of, b: Of) => a.value - b.value;
  const [least] = direct.sort(byValue);
  const [slowest] = winograd.sort(byValue);
  const fastest = winograd.at(-1);
  if (least === undefined) return undefined;
  return {
    direct: { meanByFlop: sum / flop, least },
    ...(slowest === undefined || fastest === undefined
      ? {}
      : { winograd: { least: slowest, most: fastest } }),
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
  const body = () => {
    const y = module.forward(x);
    backward(y, y);
    for (const each of [x, ...module.parameters()]) {
      each.grad?.dispose();
      each.grad = undefined;
    }
  };
  const spans = await measure.spans(body);
  const direct = module instanceof Conv2d ? await measure.directSpans(body) : [];
  const flop = 'weight' in module ? 2 * sizeOf(output) * filterSize(module.weight as Tensor) : 0;
  const rows: LayerRow[] = [];
  for (const [op, pass] of Object.entries(PASSES)) {
    const those = spans.filter((span) => span.op === op);
    if (those.length === 0) continue;
    const ms = spreadOf(those.map(milliseconds));
    const implementation = those.at(-1)?.implementation ?? '';
    const boundMs = await memoryMs(measure, op, module, x.size, sizeOf(output), batch);
    rows.push({
      layer,
      pass,
      batch,
      ms,
      ...(flop === 0 ? {} : { gflopPerSecond: flop / 1e6 / ms.median }),
      ...(implementation === '' ? {} : { implementation }),
      ...besideDirect(
        ms,
        implementation,
        direct.filter((span) => span.op === op),
        flop,
      ),
      ...(boundMs === undefined ? {} : { ofMemory: ms.median / boundMs }),
    });
  }
  return rows;
}

/** What was chosen may be a direct implementation itself: its time is the one it had as such. */
function besideDirect(
  chosen: Spread,
  name: string,
  spans: readonly Span[],
  flop: number,
): Pick<LayerRow, 'direct' | 'ofDirect'> {
  if (spans.length === 0) return {};
  const names = [...new Set(spans.map(({ implementation }) => implementation))];
  const candidates = names.map((implementation) => {
    const those = spans.filter((span) => span.implementation === implementation);
    return { implementation, ms: implementation === name ? chosen : spreadOf(those.map(milliseconds)) };
  });
  const fastest = candidates.reduce((a, b) => (b.ms.median < a.ms.median ? b : a));
  return {
    direct: { ...fastest, gflopPerSecond: flop / 1e6 / fastest.ms.median },
    ofDirect: fastest.ms.median / chosen.median,
  };
}

/** The time that memory takes for what an operation has to read and write, where it is the bound. */
async function memoryMs(
  measure: Measure,
  op: string,
  module: Module,
  inputs: number,
  outputs: number,
  batch: number,
): Promise<number | undefined> {
  const bytes = trafficOf(op, inputs, outputs);
  if (bytes !== undefined) return await measure.copyMs(bytes);
  if (!(module instanceof Linear) || batch !== 1) return undefined;
  const weights = 4 * module.weight.size;
  switch (op) {
    case 'linear':
    case 'linearBackwardData':
      return await measure.readMs(weights);
    case 'linearBackwardWeight':
      return await measure.writeMs(weights);
    default:
      return undefined;
  }
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

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, dimension) => size * dimension, 1);
}

/** Products for each output. */
function filterSize(weight: Tensor): number {
  const [filters = 1] = weight.shape;
  return weight.size / filters;
}
