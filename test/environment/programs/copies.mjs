// Two copies of the package in one process: of the JavaScript alone, and with an addon file of its own.
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'node-cudnn-copies-'));

/** @param {string} name @param {boolean} ownAddon */
async function copyOf(name, ownAddon) {
  const place = join(folder, name);
  mkdirSync(join(place, 'build'), { recursive: true });
  cpSync(join(root, 'package.json'), join(place, 'package.json'));
  cpSync(join(root, 'dist'), join(place, 'dist'), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(place, 'node_modules'));
  symlinkSync(join(root, 'native'), join(place, 'native'));
  if (ownAddon) cpSync(join(root, 'build/Release'), join(place, 'build/Release'), { recursive: true });
  else symlinkSync(join(root, 'build/Release'), join(place, 'build/Release'));
  const [device, ops, tensors] = await Promise.all(
    ['device', 'ops/index', 'tensor'].map((file) => import(join(place, 'dist', `${file}.js`))),
  );
  return { ...device, ...ops, ...tensors };
}

/** @param {() => unknown} body */
function errorOf(body) {
  try {
    body();
    return 'no error';
  } catch (error) {
    return String(error);
  }
}

try {
  const one = await import('../../../dist/index.js');
  /** @param {typeof one} copy */
  const sum = (copy) => copy.add(copy.tensor([1, 2]), copy.tensor([3, 4])).data();
  for (const ownAddon of [false, true]) {
    const other = await copyOf(String(ownAddon), ownAddon);
    console.log((await Promise.all([sum(one), sum(other)])).map((data) => data.join()).join(' '));
    const [a, b] = [one.tensor([1]), other.tensor([1])];
    console.log(errorOf(() => one.add(a, b)));
    const { backend } = one.Device.get('cpu');
    console.log(errorOf(() => backend.add(a.handle, b.handle, a.handle)));
  }
} finally {
  rmSync(folder, { recursive: true });
}
