import type { FileHandle } from 'node:fs/promises';

/** As long as numpy makes it for arrays of two dimensions, so that it can be written anew when the rows are counted. */
const HEADER_BYTES = 128;

/**
 * Writes rows of float32 numbers as numpy's `.npy`, format 1.0, at the beginning of a file. Use it within `writeAtomically`.
 * @param columns numbers a row
 * @param parts whole rows, one after the other
 * @returns how many rows there were
 */
export async function writeNpy(
  file: FileHandle,
  columns: number,
  parts: AsyncIterable<Float32Array>,
): Promise<number> {
  let position = HEADER_BYTES;
  for await (const part of parts) {
    const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position);
      at += bytesWritten;
      position += bytesWritten;
    }
  }
  const rows = (position - HEADER_BYTES) / (4 * columns);
  await file.write(header(rows, columns), 0, HEADER_BYTES, 0);
  return rows;
}

function header(rows: number, columns: number): Buffer {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${columns}), }`;
  const bytes = Buffer.alloc(HEADER_BYTES, ' ');
  bytes.write('\x93NUMPY\x01\x00', 'latin1');
  bytes.writeUInt16LE(HEADER_BYTES - 10, 8);
  bytes.write(text, 10, 'latin1');
  bytes.write('\n', HEADER_BYTES - 1);
  return bytes;
}
