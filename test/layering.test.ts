import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const root = fileURLToPath(new URL('../', import.meta.url));

/** The rooms of lib/ and what each may import beside itself. A file of lib/ itself is a room. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  errors: [],
  check: ['errors'],
  random: ['check', 'errors'],
  version: [],
  cuda: [],
  native: ['cuda', 'errors'],
  scope: [],
  device: ['native', 'cuda', 'check', 'errors'],
  tensor: ['device', 'native', 'scope', 'check', 'errors'],
  autograd: ['tensor', 'native', 'scope', 'errors'],
  ops: ['autograd', 'tensor', 'device', 'native', 'check', 'errors'],
  nn: ['ops', 'autograd', 'tensor', 'device', 'scope', 'random', 'check', 'errors'],
  models: ['nn', 'ops', 'autograd', 'tensor', 'device', 'scope', 'random', 'check', 'errors'],
  optim: ['ops', 'tensor', 'device', 'scope', 'check', 'errors'],
  data: ['io', 'tensor', 'random', 'check', 'errors'],
  io: ['check', 'errors'],
  train: [
    'models',
    'nn',
    'ops',
    'optim',
    'data',
    'io',
    'autograd',
    'tensor',
    'device',
    'native',
    'scope',
    'random',
    'check',
    'version',
    'errors',
  ],
  bench: ['models', 'ops', 'optim', 'autograd', 'tensor', 'device', 'native', 'scope', 'version', 'errors'],
  report: ['check', 'errors'],
  index: ['*'],
  cli: ['*'],
};

/** What may be included by the rooms of native/. */
const MAY_INCLUDE: Record<string, readonly string[]> = {
  core: ['core'],
  cpu: ['core', 'cpu', 'oneapi'],
  cuda: ['core', 'cuda'],
  bind: ['core', 'bind', 'napi.h'],
};

function filesOf(folder: string, endings: readonly string[]): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => endings.some((ending) => file.endsWith(ending)))
    .map((file) => join(folder, file))
    .filter((file) => !file.includes('.deps'));
}

function roomOf(file: string): string {
  return relative('lib', file).replace(/\.ts$/, '').split('/')[0] ?? '';
}

describe('layering', () => {
  for (const file of filesOf('lib', ['.ts'])) {
    it(`${file} imports only what its room may`, () => {
      const room = roomOf(file);
      const allowed = MAY_IMPORT[room];
      expect(allowed, `room ${room} is not in the table`).to.not.equal(undefined);
      const text = readFileSync(join(root, file), 'utf8');
      for (const [, path = ''] of text.matchAll(/\bfrom '(\.[^']+)'|\bimport\('(\.[^']+)'\)/g)) {
        const imported = roomOf(normalize(join(dirname(file), path.replace(/\.js$/, '.ts'))));
        const fits = imported === room || allowed?.includes('*') || allowed?.includes(imported);
        expect(fits, `${room} imports ${imported}`).to.equal(true);
      }
      if (room !== 'native') expect(text, 'only native.ts loads an addon').to.not.include('dlopen');
    });
  }

  for (const [room, allowed] of Object.entries(MAY_INCLUDE)) {
    for (const file of filesOf(`native/${room}`, ['.h', '.cc', '.cu', '.cuh'])) {
      it(`${file} includes only what its room may`, () => {
        const text = readFileSync(join(root, file), 'utf8');
        for (const [, path = ''] of text.matchAll(/#include [<"]([^>"]+)[>"]/g)) {
          const [place = ''] = path.split('/');
          const isOurs = path.includes('/') && !path.startsWith('sys/');
          if (isOurs || path === 'napi.h') expect(allowed, path).to.include(place);
        }
      });
    }
  }

  it('one source includes cudnn-frontend, which takes half a minute to compile', () => {
    const includes = filesOf('native/cuda', ['.h', '.cc', '.cu', '.cuh']).filter((file) =>
      /#include [<"]cudnn_frontend/.test(readFileSync(join(root, file), 'utf8')),
    );
    expect(includes).to.deep.equal(['native/cuda/conv2d_graph.cc']);
  });
});
