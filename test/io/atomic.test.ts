import { spawnSync } from 'node:child_process';
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { FileWriteError } from '../../lib/errors.js';
import { writeAtomically } from '../../lib/io/atomic.js';
import { temporaryFolder } from './files.js';

describe('writeAtomically', () => {
  const parent = temporaryFolder();
  let path: string;

  beforeEach(async () => {
    path = parent.path('run/last');
    await mkdir(dirname(path));
  });
  afterEach(async () => {
    await rm(dirname(path), { recursive: true });
  });

  const files = async () => (await readdir(dirname(path))).sort();

  async function failure(target: string, write: Parameters<typeof writeAtomically>[1]): Promise<Error> {
    try {
      await writeAtomically(target, write);
    } catch (error) {
      expect(error).to.be.instanceOf(FileWriteError);
      if (error instanceof FileWriteError) return error;
    }
    throw new Error('It was written');
  }

  it('writes a new file and replaces an old one, and leaves nothing else', async () => {
    for (const text of ['first', 'second, longer', '3']) {
      await writeAtomically(path, (file) => file.writeFile(text));
      expect(await readFile(path, 'utf8')).to.equal(text);
    }
    expect(await files()).to.deep.equal(['last']);
  });

  it('shows the old file until the new one is complete', async () => {
    await writeFile(path, 'old');
    await writeAtomically(path, async (file) => {
      await file.writeFile('new');
      expect(await readFile(path, 'utf8')).to.equal('old');
    });
    expect(await readFile(path, 'utf8')).to.equal('new');
  });

  it('syncs the file before it is renamed, and the folder after that', async () => {
    await writeFile(path, 'old');
    const synced: [what: string, text: string][] = [];
    await using own = await open(path, 'r');
    const handles = Object.getPrototypeOf(own) as FileHandle;
    const { sync } = handles;
    handles.sync = async function (this: FileHandle) {
      const stats = await this.stat();
      synced.push([stats.isDirectory() ? 'folder' : `file of ${stats.size}`, await readFile(path, 'utf8')]);
      return sync.call(this);
    };
    try {
      await writeAtomically(path, (file) => file.writeFile('the new one'));
    } finally {
      handles.sync = sync;
    }
    expect(synced).to.deep.equal([
      ['file of 11', 'old'],
      ['folder', 'the new one'],
    ]);
  });

  it('keeps the old file when writing fails in the middle, and says so', async () => {
    await writeFile(path, 'old');
    const cause = new Error('the sky fell');
    const error = await failure(path, async (file) => {
      await file.writeFile('half of the n');
      throw cause;
    });
    expect(error.message).to.equal(`Cannot write ${path} (the sky fell): the previous file is unchanged`);
    expect(error.cause).to.equal(cause);
    expect(await readFile(path, 'utf8')).to.equal('old');
    expect(await files()).to.deep.equal(['last']);
  });

  it('leaves nothing when the first writing fails, and says so', async () => {
    const error = await failure(path, async () => {
      const full = await open('/dev/full', 'w');
      await full.writeFile('x').finally(() => full.close());
    });
    expect(error.message).to.match(/ENOSPC.*: no file was there before, and none is now/);
    expect(await files()).to.deep.equal([]);
  });

  it('keeps a folder that is in the place of the file', async () => {
    await mkdir(path);
    const error = await failure(path, (file) => file.writeFile('x'));
    expect(error.message).to.match(/EISDIR.*unchanged/);
    expect(await files()).to.deep.equal(['last']);
  });

  it('refuses a folder that is missing, or a file, before `write` is called', async () => {
    await writeFile(path, 'a file');
    const called = async () => expect.fail('called');
    expect((await failure(`${path}/x`, called)).message).to.match(/ENOTDIR/);
    expect((await failure(parent.path('missing/x'), called)).message).to.match(/ENOENT.*no file was there/);
  });

  it('refuses a folder that nothing can be written into', async () => {
    expect((await failure('/proc/self/x', async () => {})).message).to.match(
      /^Cannot write \/proc\/self\/x \(E/,
    );
  });

  it('replaces a symbolic link, not the file behind it', async () => {
    await writeFile(`${path}.target`, 'target');
    await symlink(`${path}.target`, path);
    await writeAtomically(path, (file) => file.writeFile('new'));
    expect(await readFile(`${path}.target`, 'utf8')).to.equal('target');
    expect(await readlink(path).catch(() => 'no link')).to.equal('no link');
  });

  it('lets two write the same file at once: one of them stays', async () => {
    const texts = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(100_000));
    await Promise.all(texts.map((text) => writeAtomically(path, (file) => file.writeFile(text))));
    expect(texts).to.include(await readFile(path, 'utf8'));
    expect(await files()).to.deep.equal(['last']);
  });

  it('removes what a killed process left, whatever it was writing', async () => {
    const program = fileURLToPath(new URL('killed_writer.ts', import.meta.url));
    const { signal } = spawnSync(process.execPath, ['--import', 'tsx', program, `${path}.other`]);
    expect(signal).to.equal('SIGKILL');
    expect(await files(), 'left by the killed process').to.have.length(1);
    await writeAtomically(path, (file) => file.writeFile('new'));
    expect(await files()).to.deep.equal(['last']);
  });

  it('removes what an earlier process with our id left, and nothing that is not ours', async () => {
    const others = ['.last.tmp', '.node-cudnn-1-x-0.tmp', '.node-cudnn.tmp', 'node-cudnn-1-1-0.tmp'];
    for (const name of [...others, `.node-cudnn-${process.pid}-1-ab.tmp`]) {
      await writeFile(`${dirname(path)}/${name}`, '');
    }
    await writeAtomically(path, (file) => file.writeFile('new'));
    expect(await files()).to.deep.equal(['last', ...others].sort());
  });

  it('keeps the temporary file of a writer that is still at work', async () => {
    await writeAtomically(path, async (file) => {
      await file.writeFile('outer');
      await writeAtomically(`${path}.inner`, (inner) => inner.writeFile('inner'));
    });
    expect(await readFile(path, 'utf8')).to.equal('outer');
    expect(await readFile(`${path}.inner`, 'utf8')).to.equal('inner');
  });
});
