import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { PRESETS, type Preset } from '../../lib/models/presets.js';
import conv2dTable from '../cases/conv2d.js';
import { build, needCuda } from './targets.js';

const BATCHES = [1, 32, 128, 256];
const PASSES = ['forward', 'fused', 'data', 'filter'] as const;
/** `given`: the forward with bias and ReLU as the convolution has them. */
type Pass = (typeof PASSES)[number] | 'given';

/** A convolution as test/cuda/plans.cc reads it. */
interface Convolution {
  name: string;
  batch: number;
  size: Pair;
  channels: number;
  filters: number;
  kernel: Pair;
  stride: Pair;
  padding: Pair;
  dilation: Pair;
  groups: number;
  relu: boolean;
  bias: boolean;
}
type Pair = readonly [number, number];

interface Plan {
  device: string;
  name: string;
  batch: number;
  pass: Pass;
  tf32: boolean;
  deterministic: boolean;
  engine: string;
  /** Or why there is none, where `engine` is empty. */
  workspace: string;
  /** So many plans autotune has to try. */
  offered: number;
  /** Why one of those that were offered could not be built; empty where all could. */
  unbuilt: string;
}

const devicesFolder = fileURLToPath(new URL('devices/', import.meta.url));
const devices = readdirSync(devicesFolder).map((file) => join(devicesFolder, file));

const square = (size: number): Pair => [size, size];
const pairOf = (value: number | Pair | undefined, otherwise: number): Pair =>
  typeof value === 'number' ? square(value) : (value ?? square(otherwise));

/** The convolutions of both presets; equal ones once. */
function presetConvolutions(): Convolution[] {
  const found = new Map<string, Convolution>();
  for (const [preset, { inputSize, layers }] of Object.entries<Preset>(PRESETS)) {
    let size = inputSize;
    let channels = 3;
    for (const layer of layers) {
      if (layer.kind === 'pool') size = Math.floor((size - layer.kernelSize) / layer.stride) + 1;
      if (layer.kind !== 'conv') continue;
      const { filters, kernelSize, stride, padding, groups } = layer;
      for (const batch of BATCHES) {
        const key = JSON.stringify([batch, size, channels, filters, kernelSize, stride, padding, groups]);
        if (found.has(key)) continue;
        found.set(key, {
          name: `${preset}.${layer.name}`,
          batch,
          size: square(size),
          channels,
          filters,
          kernel: square(kernelSize),
          stride: square(stride),
          padding: square(padding),
          dilation: square(1),
          groups,
          relu: true,
          bias: true,
        });
      }
      channels = filters;
      size = Math.floor((size + 2 * padding - kernelSize) / stride) + 1;
    }
  }
  return [...found.values()];
}

/** The cases of test/cases/conv2d.ts. */
function caseConvolutions(): Convolution[] {
  return conv2dTable.cases.map(({ name, inputs, params }) => {
    const [batch = 0, height = 0, width = 0, channels = 0] = inputs.x?.shape ?? [];
    const [filters = 0, kernelH = 0, kernelW = 0] = inputs.weight?.shape ?? [];
    const pair = (key: string, otherwise: number) =>
      pairOf(params[key] as number | Pair | undefined, otherwise);
    return {
      name: name.replaceAll(' ', '_'),
      batch,
      size: [height, width],
      channels,
      filters,
      kernel: [kernelH, kernelW],
      stride: pair('stride', 1),
      padding: pair('padding', 0),
      dilation: pair('dilation', 1),
      groups: Number(params.groups ?? 1),
      relu: params.relu === true,
      bias: inputs.bias !== undefined,
    };
  });
}

/** Whether plans are asked for as autotune does: building them takes long. */
function autotuned({ batch }: Pick<Convolution, 'batch'>): boolean {
  return batch === 128;
}

function request(c: Convolution, pass: Pass, tf32: boolean, deterministic: boolean): string {
  const out = [0, 1].map((axis) => {
    const [size = 0, kernel = 0, stride = 0, padding = 0, dilation = 0] = [
      c.size,
      c.kernel,
      c.stride,
      c.padding,
      c.dilation,
    ].map((pair) => pair[axis]);
    return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  });
  const kinds = { forward: 0, fused: 0, given: 0, data: 1, filter: 2 };
  const fused = [c.relu, c.bias].map((has) => Number(pass === 'fused' || (pass === 'given' && has)));
  const numbers = [c.batch, ...c.size, c.channels, c.filters, ...c.kernel, ...out, ...c.stride, ...c.padding];
  return [
    c.name,
    kinds[pass],
    Number(tf32),
    Number(deterministic),
    autotuned(c) ? 10 : 1,
    ...numbers,
    ...c.dilation,
    c.groups,
    ...fused,
  ].join(' ');
}

describe('CUDA: the real cuDNN', function () {
  this.timeout(600_000);
  let run: (requests: readonly string[]) => string[][];
  before(function () {
    needCuda(this);
    const [program, driver] = [build('plans'), build('driver_stand_in')];
    run = (requests) => {
      const options = { input: requests.join('\n'), encoding: 'utf8', maxBuffer: 2 ** 28 } as const;
      const { status, signal, stdout, stderr } = spawnSync(program, [driver, ...devices], options);
      expect([status, signal, stderr]).to.deep.equal([0, null, '']);
      return stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t'));
    };
  });

  function plan(convolutions: readonly Convolution[], passes: readonly Pass[] = PASSES): Plan[] {
    const wanted = convolutions.flatMap((convolution) =>
      passes.flatMap((pass) =>
        [true, false].flatMap((tf32) =>
          [true, false].map((deterministic) => ({ convolution, pass, tf32, deterministic })),
        ),
      ),
    );
    const answers = run(wanted.map((w) => request(w.convolution, w.pass, w.tf32, w.deterministic))).filter(
      ([kind]) => kind !== 'descriptor',
    );
    expect(answers).to.have.lengthOf(wanted.length * devices.length);
    return answers.map(([file = '', , engine = '', workspace = '', offered = '0', unbuilt = ''], i) => {
      const { convolution, pass, tf32, deterministic } = wanted[i % wanted.length] as (typeof wanted)[number];
      const { name, batch } = convolution;
      return {
        device: basename(file, '.json'),
        name,
        batch,
        pass,
        tf32,
        deterministic,
        engine,
        workspace,
        offered: Number(offered),
        unbuilt,
      };
    });
  }

  function expectAllPlanned(plans: readonly Plan[]): void {
    const without = plans.filter(({ engine }) => engine === '');
    const lines = without.map((p) => `${describePlan(p)}: ${p.workspace}`);
    expect(lines, `${lines.length} of ${plans.length} graphs without a plan`).to.deep.equal([]);
    // As with a stand-in for the driver that loads no kernels: later ones are then taken, and none are missing.
    const passedOver = plans.filter(({ unbuilt }) => unbuilt !== '');
    const reasons = passedOver.map((p) => `${describePlan(p)}: ${p.unbuilt}`);
    expect(reasons, `${reasons.length} graphs of which a plan could not be built`).to.deep.equal([]);
  }

  it('has devices to plan for', () => {
    expect(devices).to.have.lengthOf(5);
  });

  it('plans every convolution of every preset', () => {
    const convolutions = presetConvolutions();
    expect(new Set(convolutions.map(({ name }) => name))).to.have.lengthOf(12);
    const plans = plan(convolutions);
    printTable(plans);
    expectAllPlanned(plans);
    const most = Math.max(...plans.map(({ workspace }) => Number(workspace)));
    console.log(
      `      ${plans.length} graphs planned; at most ${Math.round(most / 2 ** 20)} MiB of workspace`,
    );
    expect(most).to.be.at.most(512 * 2 ** 20);
    const offered = plans.filter(autotuned).map((one) => one.offered);
    console.log(`      autotune has ${Math.min(...offered)} to ${Math.max(...offered)} plans to try`);
    expect(Math.min(...offered)).to.be.at.least(1);
  });

  it('plans every case of test/cases/conv2d.ts', () => {
    expectAllPlanned(plan(caseConvolutions(), ['given', 'data', 'filter']));
  });

  it('says why there is no plan', () => {
    const [impossible] = presetConvolutions();
    const line = request(
      { ...(impossible as Convolution), channels: 4, filters: 97, groups: 2 },
      'forward',
      true,
      false,
    );
    for (const answer of run([line]).filter(([kind]) => kind !== 'descriptor')) {
      expect(answer[2]).to.equal('');
      expect(answer[3]).to.match(/conv2d of \[1, 227, 227, 4\]/);
    }
  });

  it('takes the descriptors of normalisation and pooling that we take for its own, and no others', () => {
    const answers = run([]).filter(([kind]) => kind === 'descriptor');
    expect(answers.length).to.be.above(200);
    const wrong = answers.filter(([, , expected, status]) => (expected === '1') !== (status === 'ok'));
    expect(wrong).to.deep.equal([]);
    const refused = answers.find(([, what]) => what === 'lrn size 17, beta 0.75, k 2');
    expect(refused?.[3]).to.match(/^cudnnSetLRNDescriptor: CUDNN_STATUS_BAD_PARAM/);
  });
});

function describePlan({ device, name, batch, pass, tf32, deterministic }: Plan): string {
  return `${device} ${name} batch ${batch} ${pass}${tf32 ? '' : ', no TF32'}${deterministic ? ', deterministic' : ''}`;
}

/** Layer and pass by device, for batch 128 and the math that is the default. */
function printTable(plans: readonly Plan[]): void {
  const shown = plans.filter(({ batch, tf32, deterministic }) => batch === 128 && tf32 && !deterministic);
  const names = [...new Set(shown.map(({ device }) => device))];
  const rows = new Map<string, string[]>();
  for (const { name, pass, engine, workspace } of shown) {
    const row = `${name} ${pass}`;
    const cell = `${engine.replace(/_.*/, '')} ${Math.round(Number(workspace) / 2 ** 20)} MiB`;
    rows.set(row, [...(rows.get(row) ?? []), cell]);
  }
  const line = (first: string, cells: readonly string[]): string =>
    `      ${first.padEnd(24)}${cells.map((cell) => cell.padEnd(16)).join('')}`;
  console.log(line('batch 128', names));
  for (const [row, cells] of rows) console.log(line(row, cells));
}
