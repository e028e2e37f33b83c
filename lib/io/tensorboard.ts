import { appendFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/**
 * TensorBoard's event file. A record is appended at once and as a whole: what a crash cuts short is the end of the
 * file, which TensorBoard passes over. So a file is never gone on with: a run that goes on makes another in its folder,
 * which begins with the step after which the earlier files' points no longer hold.
 */
export class EventFile {
  private constructor(readonly path: string) {}

  /**
   * Begins a file in a folder, `events.out.tfevents.…`.
   * @param firstStep from it on TensorBoard forgets what earlier files of the folder say
   */
  static async create(folder: string, firstStep: number): Promise<EventFile> {
    const now = Date.now();
    // TensorBoard reads the files of a folder in the order of their names.
    const seconds = String(Math.floor(now / 1000)).padStart(10, '0');
    const milliseconds = String(now % 1000).padStart(3, '0');
    const name = `events.out.tfevents.${seconds}.${milliseconds}.${hostname()}.${process.pid}`;
    const file = new EventFile(join(folder, name));
    const version = encodeEvent(now / 1000, 0, bytesField(3, Buffer.from('brain.Event:2')));
    const start = encodeEvent(now / 1000, firstStep, bytesField(7, varintField(1, SESSION_START)));
    await writeFile(file.path, Buffer.concat([encodeRecord(version), encodeRecord(start)]), { flag: 'wx' });
    return file;
  }

  /** @throws where the disk does not take it; the file may then end in the middle of a record */
  async appendScalars(step: number, scalars: Readonly<Record<string, number>>): Promise<void> {
    await this.#append(
      step,
      Object.entries(scalars).map(([tag, value]) => [tag, floatField(2, value)]),
    );
  }

  /** @throws as {@link appendScalars} */
  async appendImage(step: number, tag: string, png: Buffer): Promise<void> {
    // Its header.
    const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
    const image = [varintField(1, height), varintField(2, width), varintField(3, RGB), bytesField(4, png)];
    await this.#append(step, [[tag, bytesField(4, Buffer.concat(image))]]);
  }

  /** An event whose summary has these values. */
  async #append(step: number, values: readonly (readonly [tag: string, value: Buffer])[]): Promise<void> {
    const summary = values.map(([tag, value]) =>
      bytesField(1, Buffer.concat([bytesField(1, Buffer.from(tag)), value])),
    );
    const event = encodeEvent(Date.now() / 1000, step, bytesField(5, Buffer.concat(summary)));
    await appendFile(this.path, encodeRecord(event));
  }
}

const SESSION_START = 1;
/** Three channels. */
const RGB = 3;

/** TFRecord's framing: the length, its checksum, the bytes, their checksum; all little-endian. */
export function encodeRecord(bytes: Uint8Array): Buffer {
  const record = Buffer.alloc(12 + bytes.length + 4);
  record.writeBigUInt64LE(BigInt(bytes.length));
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(bytes, 12);
  record.writeUInt32LE(maskedCrc(bytes), 12 + bytes.length);
  return record;
}

/**
 * TensorFlow's `Event` as protobuf: wall time 1, step 2, and one of version 3, summary 5, session log 7.
 * @param seconds since 1970
 */
export function encodeEvent(seconds: number, step: number, what: Buffer): Buffer {
  const time = Buffer.alloc(9);
  time.writeUInt8((1 << 3) | 1);
  time.writeDoubleLE(seconds, 1);
  return Buffer.concat([time, ...(step === 0 ? [] : [varintField(2, step)]), what]);
}

/** A protobuf field of length-delimited bytes. */
export function bytesField(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);
}

export function varintField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

export function floatField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt8((field << 3) | 5);
  bytes.writeFloatLE(value, 1);
  return bytes;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

/** TFRecord stores checksums rotated and shifted, so that files within files have others. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

/** Castagnoli's CRC-32 (RFC 3720, B.4). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}
