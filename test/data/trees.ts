import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { Random } from '../../lib/random.js';

/** A folder for each test, and what writes into it. */
export function useTree() {
  let root = '';
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'node-cudnn-tree-'));
  });
  afterEach(() => rm(root, { recursive: true }));
  const at = (...path: string[]) => join(root, ...path);

  async function write(path: string, content: string | Uint8Array): Promise<void> {
    await mkdir(dirname(at(path)), { recursive: true });
    await writeFile(at(path), content);
  }

  /** Smooth noise, of the number's own. */
  async function paint(path: string, number: number, width = 60, height = 40): Promise<void> {
    const random = new Random(5, number);
    const pixels = Uint8Array.from({ length: 4 * 3 * 3 }, () => random.integer(256));
    const picture = sharp(pixels, { raw: { width: 4, height: 3, channels: 3 } }).resize(width, height);
    await write(path, await (path.endsWith('.png') ? picture.png() : picture.jpeg()).toBuffer());
  }
  return { at, write, paint };
}
