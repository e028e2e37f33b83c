import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { ImageFolder } from '../../lib/data/folder.js';
import { ArgumentError } from '../../lib/errors.js';
import { pngOf } from './bombs.js';
import { heic } from './heic.js';
import { rejection } from './rejection.js';

describe('ImageFolder', () => {
  let root = '';
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'node-cudnn-folder-'));
  });
  afterEach(() => rm(root, { recursive: true }));

  async function write(path: string, content: string | Buffer): Promise<void> {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await writeFile(join(root, path), content);
  }

  /** PNGs of one red value each, counted from `first`. */
  async function paint(paths: readonly string[], first = 0): Promise<void> {
    for (const [i, path] of paths.entries()) {
      const create = {
        width: 20,
        height: 10,
        channels: 3,
        background: { r: first + i, g: 0, b: 0 },
      } as const;
      await write(path, await sharp({ create }).png().toBuffer());
    }
  }

  const shorten = (files: readonly string[]) => files.map((file) => relative(root, file));

  it('lists the pictures of each class, by code unit, in folders at any depth', async () => {
    await paint(['b/2.png', 'b/10.png', 'a/x/deep/1.png', 'a/z.png', 'a/Z.png', 'B/0.png', 'é/0.png']);
    const folder = await ImageFolder.open(root);
    expect(folder.classes).to.deep.equal(['B', 'a', 'b', 'é']);
    expect(shorten(folder.files)).to.deep.equal([
      ...['B/0.png', 'a/Z.png', 'a/x/deep/1.png', 'a/z.png', 'b/10.png', 'b/2.png', 'é/0.png'],
    ]);
    expect(folder.length).to.equal(7);
    expect(folder.skipped).to.deep.equal([]);
    const samples = await Promise.all(folder.files.map((_, i) => folder.get(i)));
    expect(samples.map(({ label }) => label)).to.deep.equal([0, 1, 1, 1, 2, 2, 3]);
    expect(samples.map(({ pixels }) => pixels[0])).to.deep.equal([5, 4, 2, 3, 1, 0, 6]);
  });

  it('gives pictures of the size asked for', async () => {
    await paint(['a/0.png', 'b/0.png']);
    const sample = await (await ImageFolder.open(root, { size: 16 })).get(1);
    expect([sample.height, sample.width, sample.pixels.length]).to.deep.equal([16, 16, 768]);
    expect((await (await ImageFolder.open(root)).get(0)).height).to.equal(256);
  });

  it('goes by content, not by name, and leaves out what is no picture', async () => {
    await paint(['a/picture', 'a/picture.txt', 'b/0.png', 'b/1.png[n=2]']);
    await write('a/text.jpg', 'no picture');
    await write('a/empty.png', '');
    await write('b/phone.heic', await heic());
    execFileSync('mkfifo', [join(root, 'pipe')]);
    await symlink(join(root, 'pipe'), join(root, 'b/pipe.png'));
    const folder = await ImageFolder.open(root);
    expect(shorten(folder.files)).to.deep.equal(['a/picture', 'a/picture.txt', 'b/0.png', 'b/1.png[n=2]']);
    expect(shorten(folder.skipped.map(({ file }) => file))).to.deep.equal([
      'a/empty.png',
      'a/text.jpg',
      'b/phone.heic',
      'b/pipe.png',
    ]);
    const [empty, text, phone, pipe] = folder.skipped.map(({ reason }) => reason);
    expect([empty, pipe]).to.deep.equal(['empty file', 'not a regular file']);
    expect(text).to.match(/unsupported image format/);
    expect(phone).to.match(/HEVC/);
  });

  it('takes no notice of hidden files and folders, nor of files beside the class folders', async () => {
    await paint(['a/0.png', 'b/0.png', '.c/0.png', 'a/.hidden.png', 'a/.thumbnails/0.png', 'beside.png']);
    const folder = await ImageFolder.open(root);
    expect(shorten(folder.files)).to.deep.equal(['a/0.png', 'b/0.png']);
    expect(folder.skipped).to.deep.equal([]);
  });

  it('follows links to class folders and pictures, and no circles', async () => {
    await paint(['data/a/0.png', 'data/b/0.png', 'c/0.png']);
    await symlink(join(root, 'c'), join(root, 'data/c'));
    await symlink(join(root, 'c/0.png'), join(root, 'data/a/linked.png'));
    await symlink(join(root, 'data/a'), join(root, 'data/a/circle'));
    await symlink(join(root, 'nowhere'), join(root, 'data/dangling'));
    const folder = await ImageFolder.open(join(root, 'data'));
    expect(shorten(folder.files)).to.deep.equal([
      'data/a/0.png',
      'data/a/linked.png',
      'data/b/0.png',
      'data/c/0.png',
    ]);
    expect(shorten(folder.skipped.map(({ file }) => file))).to.deep.equal(['data/a/circle']);
  });

  it('leaves out by name and reason what cannot be opened', async () => {
    await paint(['a/0.png', 'a/locked.png', 'a/locked/0.png', 'b/0.png']);
    await symlink(join(root, 'a/loop.png'), join(root, 'a/loop.png'));
    await symlink(join(root, 'a/there'), join(root, 'a/here'));
    await symlink(join(root, 'a/here'), join(root, 'a/there'));
    await symlink(join(root, 'nowhere'), join(root, 'a/dangling.png'));
    await symlink('/dev/zero', join(root, 'a/endless.png'));
    await symlink('/dev/zero', join(root, 'a/endless.png[n=2]'));
    await chmod(root, 0o755);
    for (const path of ['a/locked.png', 'a/locked']) await chmod(join(root, path), 0);
    // Root may read everything.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    const folder = await ImageFolder.open(root).finally(() => {
      if (isRoot) process.seteuid?.(0);
    });
    await chmod(join(root, 'a/locked'), 0o700);
    expect(shorten(folder.files)).to.deep.equal(['a/0.png', 'b/0.png']);
    const reasons = folder.skipped.map(
      ({ file, reason }) => `${relative(root, file)}: ${reason.slice(0, 18)}`,
    );
    expect(reasons.sort()).to.deep.equal([
      'a/dangling.png: ENOENT: no such fi',
      'a/endless.png: not a regular file',
      'a/endless.png[n=2]: not a regular file',
      'a/here: ELOOP: too many sy',
      'a/locked.png: EACCES: permission',
      'a/locked: EACCES: permission',
      'a/loop.png: ELOOP: too many sy',
      'a/there: ELOOP: too many sy',
    ]);
  });

  it('takes odd names', async () => {
    const names = [
      'ünï çødé 图片 🐈.png',
      'e\u0301.png',
      'line\nbreak.png',
      'tab\t"quotes\'.png',
      'a%20b#c?d&e.png',
      '-rf *.png',
      'back\\slash.png',
      '$(echo) `x`;.png',
      'x.png[page=1]',
      '\u001b[2J.png',
      `${'x'.repeat(251)}.png`,
    ].sort();
    await paint(names.map((name) => `Ä 类\n/${name}`));
    await paint(['b/0.png'], names.length);
    const folder = await ImageFolder.open(root);
    expect(folder.skipped).to.deep.equal([]);
    expect(folder.classes).to.deep.equal(['b', 'Ä 类\n']);
    expect(shorten(folder.files)).to.deep.equal(['b/0.png', ...names.map((name) => `Ä 类\n/${name}`)]);
    for (const [i, value] of [names.length, ...names.keys()].entries()) {
      expect((await folder.get(i)).pixels[0]).to.equal(value);
    }
  });

  it('leaves out a name that is no UTF-8', async () => {
    await paint(['a/0.png', 'b/0.png']);
    const png = await readFile(join(root, 'a/0.png'));
    await writeFile(
      Buffer.concat([Buffer.from(join(root, 'a/caf')), Buffer.of(0xe9), Buffer.from('.png')]),
      png,
    );
    const folder = await ImageFolder.open(root);
    expect(shorten(folder.files)).to.deep.equal(['a/0.png', 'b/0.png']);
    expect(shorten(folder.skipped.map(({ file }) => file))).to.deep.equal(['a/caf\ufffd.png']);
  });

  it('leaves out what promises too many pixels', async () => {
    await paint(['a/0.png', 'b/0.png']);
    await write('b/bomb.png', pngOf(30_000, 30_000));
    const folder = await ImageFolder.open(root);
    expect(folder).to.have.lengthOf(2);
    expect(folder.skipped).to.deep.equal([
      {
        file: join(root, 'b/bomb.png'),
        reason: '30000×30000 pixels are more than the limit of 268402689',
      },
    ]);
  });

  it('leaves out a file that is too long', async () => {
    await paint(['a/0.png', 'b/0.png', 'b/1.png']);
    await truncate(join(root, 'b/1.png'), 2 ** 32);
    const folder = await ImageFolder.open(root);
    expect(folder).to.have.lengthOf(2);
    expect(folder.skipped).to.deep.equal([
      { file: join(root, 'b/1.png'), reason: '4294967296 bytes are more than the limit of 536870912' },
    ]);
  });

  it('matches the classes given by name', async () => {
    await paint(['b/0.png', 'd/0.png']);
    const folder = await ImageFolder.open(root, { classes: ['d', 'c', 'b'] });
    expect(folder.classes).to.deep.equal(['d', 'c', 'b']);
    expect(shorten(folder.files)).to.deep.equal(['b/0.png', 'd/0.png']);
    expect([(await folder.get(0)).label, (await folder.get(1)).label]).to.deep.equal([2, 0]);
  });

  it('takes one folder alone where the classes are given', async () => {
    await paint(['b/0.png']);
    expect(await ImageFolder.open(root, { classes: ['a', 'b'] })).to.have.lengthOf(1);
  });

  it('says what is wrong with a folder', async () => {
    const at = (path: string) => join(root, path);
    expect(await rejection(ImageFolder.open(at('none')))).to.match(/received .*none: no such folder$/);

    await write('file', 'text');
    expect(await rejection(ImageFolder.open(at('file')))).to.match(/file: not a folder$/);

    await mkdir(at('empty'));
    expect(await rejection(ImageFolder.open(at('empty')))).to.match(
      /empty: there are no class folders in it$/,
    );

    await paint(['flat/0.png', 'flat/1.png']);
    expect(await rejection(ImageFolder.open(at('flat')))).to.match(
      /flat: there are no class folders in it, and no labels for its pictures .*LOC_val_solution\.csv.*prepare --labels/,
    );

    await paint(['single/red/0.png']);
    expect(await rejection(ImageFolder.open(at('single')))).to.match(/single: one class only, red$/);
    const single = await ImageFolder.open(at('single'), { oneClass: true });
    expect([single.classes, single.length]).to.deep.equal([['red'], 1]);

    await paint(['hollow/red/0.png']);
    await mkdir(at('hollow/green'));
    expect(await rejection(ImageFolder.open(at('hollow')))).to.match(/hollow: class green has no pictures$/);

    await paint(['text/red/0.png']);
    await write('text/blue/note.jpg', 'no picture');
    expect(await rejection(ImageFolder.open(at('text')))).to.match(
      /text: class blue has no pictures \(\S*blue\/note\.jpg: .*unsupported image format\)$/,
    );

    await paint(['strange/red/0.png', 'strange/green/0.png']);
    expect(await rejection(ImageFolder.open(at('strange'), { classes: ['blue', 'red'] }))).to.match(
      /strange: unknown class green \(known: blue, red\)$/,
    );
  });

  it('rejects with the name of a file that breaks off', async () => {
    await paint(['a/0.png', 'b/0.png']);
    const noise = Buffer.from(Array.from({ length: 99 * 99 * 3 }, (_, i) => (i * 7919) % 251));
    const jpeg = await sharp(noise, { raw: { width: 99, height: 99, channels: 3 } })
      .jpeg()
      .toBuffer();
    await write('b/cut.jpg', jpeg.subarray(0, jpeg.length / 2));
    const folder = await ImageFolder.open(root);
    expect(folder).to.have.lengthOf(3);
    expect(await rejection(folder.get(2))).to.match(/b\/cut\.jpg could not be decoded/);
  });

  it('refuses an index past the end', async () => {
    await paint(['a/0.png', 'b/0.png']);
    const failure = await (await ImageFolder.open(root)).get(2).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(ArgumentError);
  });
});
