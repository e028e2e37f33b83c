import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { FileFormatError, reasonOf } from '../errors.js';

/** The message of everything wrong with a file. */
export function formatError(what: string, name: string, path: string, received: string): FileFormatError {
  return new FileFormatError(`Expected ${what} for ${name} in ${path} but received ${received}`);
}

/** A name of a file's own choosing, fit for a message. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}

/**
 * Opens a regular file for reading.
 * @param what it is expected to be, in words
 * @throws {FileFormatError} also where there is no such file, or none that may be read
 */
export async function openFile(path: string, what: string): Promise<{ file: FileHandle; size: number }> {
  let file: FileHandle;
  try {
    // Without O_NONBLOCK, opening a FIFO would wait for its writer.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new FileFormatError(`Expected ${what} at ${path} but received ${reasonOf(error)}`, {
      cause: error,
    });
  }
  const stat = await file.stat();
  if (stat.isFile()) return { file, size: stat.size };
  await file.close();
  const kind = stat.isDirectory() ? 'a folder' : 'a special file';
  throw new FileFormatError(`Expected ${what} at ${path} but received ${kind}`);
}

const CHUNK_BYTES = 16 * 2 ** 20;

/** @throws {FileFormatError} where the file ends before */
export async function readFully(
  file: FileHandle,
  bytes: Uint8Array<ArrayBuffer>,
  position: number,
  path: string,
): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, at, Math.min(CHUNK_BYTES, bytes.length - at), position + at);
    if (bytesRead === 0) throw formatError(`${bytes.length} bytes`, `byte ${position}`, path, String(at));
    at += bytesRead;
  }
}

export async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, Math.min(CHUNK_BYTES, bytes.length - at));
    at += bytesWritten;
  }
}
