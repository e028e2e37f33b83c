import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FileWriteError, reasonOf } from '../errors.js';
import { exists } from './folder.js';

/** Process id and start time of the writer, so that another process with the same id is not taken for it. */
const TEMPORARY = /^\.node-cudnn-(\d+)-(\d+)-[0-9a-f]+\.tmp$/;

/**
 * Replaces the file at `path` by what `write` writes, or leaves it as it was: all goes to a temporary file in the same
 * folder, which is synced to the disk and then renamed. Temporary files that killed processes left in the folder are
 * removed first, unless `sweep` is false: who writes many files into a folder calls {@link removeLeftovers} once. A symbolic
 * link at `path` is replaced, not followed.
 *
 * Nothing blocks the event loop: Node does the input and output of `fs/promises` on its thread pool.
 *
 * Processes of several machines or containers should not write to one folder: to each, the others' look dead.
 * @throws FileWriteError for whatever went wrong, errors of `write` included
 */
export async function writeAtomically(
  path: string,
  write: (file: FileHandle) => Promise<void>,
  { sweep = true }: { sweep?: boolean } = {},
): Promise<void> {
  const folder = dirname(path);
  let temporary: string | undefined;
  let renamed = false;
  try {
    await using folderHandle = await open(folder, 'r');
    if (sweep) await removeLeftovers(folder);
    const start = (await startTime(process.pid)) ?? '0';
    temporary = join(folder, `.node-cudnn-${process.pid}-${start}-${randomBytes(8).toString('hex')}.tmp`);
    {
      await using file = await open(temporary, 'wx');
      await write(file);
      await file.sync();
    }
    await rename(temporary, path);
    renamed = true;
    await syncFolder(folderHandle);
  } catch (error) {
    if (temporary !== undefined && !renamed) await unlink(temporary).catch(() => {});
    const kept = renamed
      ? 'the new file is in place, but a power cut might lose it'
      : (await exists(path))
        ? 'the previous file is unchanged'
        : 'no file was there before, and none is now';
    throw new FileWriteError(`Cannot write ${path} (${reasonOf(error)}): ${kept}`, { cause: error });
  }
}

/** Removes the temporary files of {@link writeAtomically} whose processes are gone. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, pid, start] = TEMPORARY.exec(name) ?? [];
    if (pid === undefined || start === undefined || (await isRunning(Number(pid), start))) continue;
    // Another process may remove it too, or own it: it is in nobody's way.
    await unlink(join(folder, name)).catch(() => {});
  }
}

async function isRunning(pid: number, start: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (hasCode(error, 'ESRCH')) return false;
  }
  return ((await startTime(pid)) ?? start) === start;
}

/** Clock ticks from boot to the start of a process: field 22 of its stat. Undefined where that can't be read. */
async function startTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    // Field 2, in parentheses, may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

async function syncFolder(folder: FileHandle): Promise<void> {
  try {
    await folder.sync();
  } catch (error) {
    // Some file systems sync files only.
    if (!hasCode(error, 'EINVAL') && !hasCode(error, 'ENOTSUP')) throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
