import { mkdtemp, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ArgumentError, reasonOf } from '../errors.js';
import { makeFolder } from '../io/folder.js';

/**
 * Makes the folder and tries it, so that no work is lost to a folder that cannot be written.
 * @throws {ArgumentError}
 */
export async function writableFolder(folder: string): Promise<string> {
  try {
    await makeFolder(folder);
    await rmdir(await mkdtemp(join(folder, '.writable-')));
    return folder;
  } catch (cause) {
    throw new ArgumentError(
      `Expected folder that can be written for --out but received ${folder} (${reasonOf(cause)})`,
      { cause },
    );
  }
}
