import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { cpuFeatures } from '../lib/bench/machine.js';
import type { Chosen, Convolution } from './support/print_implementations.js';

const program = fileURLToPath(new URL('support/print_implementations.ts', import.meta.url));

const layer = (
  size: number,
  channels: number,
  filters: number,
  kernel: number,
  padding: number,
  groups: number,
): Omit<Convolution, 'n'> => ({ size, channels, filters, kernel, padding, groups });

const conv1: Omit<Convolution, 'n'> = { size: 227, channels: 3, filters: 96, kernel: 11, stride: 4 };
const laterLayers = {
  conv2: layer(27, 96, 256, 5, 2, 2),
  conv3: layer(13, 256, 384, 3, 1, 1),
  conv4: layer(13, 384, 384, 3, 1, 2),
  conv5: layer(13, 384, 256, 3, 1, 2),
};

type Row = readonly [what: string, convolution: Convolution, chosen: Partial<Chosen>];

/** Rows of all instruction sets. */
const everywhere: readonly Row[] = [
  ...[128, 32].flatMap((n) =>
    Object.entries(laterLayers).map(([name, each]): Row => {
      const chosen = { forward: 'winograd', data: 'winograd', filter: 'winograd' };
      return [`${name}, batch ${n}`, { n, ...each }, chosen];
    }),
  ),
  ['conv3, one image', { n: 1, ...laterLayers.conv3 }, { forward: 'onednn' }],
  [
    'stride and dilation',
    { n: 2, ...layer(12, 16, 16, 3, 2, 1), stride: 2, dilation: 2 },
    { data: 'im2col', filter: 'im2col' },
  ],
  ['far padding', { n: 2, ...layer(5, 16, 16, 3, 3, 1) }, { data: 'im2col', filter: 'im2col' }],
];

const avx512: readonly Row[] = [
  ['conv1, batch 128', { n: 128, ...conv1 }, { forward: 'onednn', data: 'im2col', filter: 'windows' }],
  ['conv1, batch 32', { n: 32, ...conv1 }, { forward: 'onednn', data: 'im2col', filter: 'windows' }],
  ['3 channels, one output pixel', { n: 2, ...layer(8, 3, 16, 8, 0, 1) }, { filter: 'onednn' }],
  ['3 to 24 channels', { n: 2, ...layer(12, 3, 24, 5, 2, 1) }, { filter: 'onednn' }],
  ['half of conv1', { n: 32, ...conv1, filters: 48 }, { filter: 'windows' }],
  ['kernel of 7²', { n: 2, ...layer(12, 32, 32, 7, 3, 1) }, { forward: 'onednn', filter: 'blocked' }],
  ['groups of 8 channels', { n: 2, ...layer(9, 32, 32, 3, 1, 4) }, { data: 'onednn', filter: 'blocked' }],
];

const avx2: readonly Row[] = [
  ['conv1, batch 128', { n: 128, ...conv1 }, { forward: 'onednn', data: 'im2col', filter: 'windows' }],
  ['conv1, batch 32', { n: 32, ...conv1 }, { forward: 'onednn', data: 'im2col', filter: 'windows' }],
  [
    'one output pixel',
    { n: 2, ...layer(2, 16, 16, 2, 0, 1) },
    { forward: 'im2col', data: 'im2col', filter: 'im2col' },
  ],
  ['groups of 4 channels', { n: 2, ...layer(9, 16, 16, 3, 1, 4) }, { forward: 'im2col', data: 'jit' }],
  ['groups of 16 channels', { n: 2, ...layer(9, 64, 64, 3, 1, 4) }, { forward: 'jit', data: 'jit' }],
  ['groups of 32 channels', { n: 2, ...layer(9, 64, 64, 3, 1, 2) }, { forward: 'onednn', filter: 'blocked' }],
  ['11² of 3 channels, padded', { n: 2, ...conv1, size: 63, padding: 2 }, { forward: 'im2col' }],
  ['stride', { n: 2, ...layer(9, 16, 16, 3, 1, 1), stride: 2 }, { forward: 'onednn', data: 'im2col' }],
  ['conv3, one image', { n: 1, ...laterLayers.conv3 }, { data: 'jit', filter: 'im2col' }],
];

/** Without an implementation forced (npm run test:forced). */
async function print(
  rows: readonly Row[],
  env: NodeJS.ProcessEnv,
): Promise<{ instructionSet: string; chosen: Chosen[] }> {
  const { NODE_CUDNN_CONV2D: _, ...others } = process.env;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx/esm', program, JSON.stringify(rows.map(([, convolution]) => convolution))],
    { env: { ...others, ...env } },
  );
  return JSON.parse(stdout);
}

/** A row of the table that is gone leaves its convolutions to oneDNN. */
describe('the committed table of convolutions', () => {
  for (const [instructionSet, feature, rows, env] of [
    ['AVX-512', 'avx512bw', avx512, { ONEDNN_MAX_CPU_ISA: 'DEFAULT' }],
    ['AVX2', 'avx2', avx2, { ONEDNN_MAX_CPU_ISA: 'AVX2' }],
  ] as const) {
    it(`names what was measured to be fastest with ${instructionSet}`, async function () {
      if (cpuFeatures()?.includes(feature) !== true) {
        console.log(`      skipped: this processor has no ${instructionSet}`);
        this.skip();
      }
      const all = [...everywhere, ...rows];
      const printed = await print(all, env);
      expect(printed.instructionSet).to.equal(instructionSet);
      all.forEach(([what, , wanted], i) => {
        expect(printed.chosen[i], what).to.include(wanted);
      });
    });
  }
});
