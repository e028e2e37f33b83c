import { mkdtemp, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ArgumentError, reasonOf } from '../errors.js';
import { makeFolder } from '../io/folder.js';

/**
 * Makes the folder and tries it, so that no work is lost to a folder that cannot be written.
 * @throws {ArgumentError}
 */
export async function writableFolder(folder: string): Promise<string> {
  try {
    await makeFolder(folder);
    await tryFolder(folder);
    return folder;
  } catch (cause) {
    throw new ArgumentError(
      `Expected folder that can be written for --out but received ${folder} (${reasonOf(cause)})`,
      { cause },
    );
  }
}

/**
 * Tries the folders of files that are to be written, by their options, before the work for them.
 * @throws {ArgumentError} where one is missing, or cannot be written
 */
export async function expectWritable(files: Readonly<Record<string, string | undefined>>): Promise<void> {
  for (const [option, file] of Object.entries(files)) {
    if (file === undefined) continue;
    await tryFolder(dirname(file)).catch((cause: unknown) => {
      throw new ArgumentError(
        `Expected file in a folder that can be written for ${option} but received ${file} (${reasonOf(cause)})`,
        { cause },
      );
    });
  }
}

async function tryFolder(folder: string): Promise<void> {
  await rmdir(await mkdtemp(join(folder, '.writable-')));
}
