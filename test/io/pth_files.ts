import { open } from 'node:fs/promises';

/** Writes a zip archive of entries that are not compressed, as `torch.save` does; without checksums. */
export async function writeZip(
  path: string,
  entries: Iterable<readonly [name: string, bytes: Uint8Array | (() => Promise<Uint8Array>)]>,
  { method = 0, flags = 0 } = {},
): Promise<void> {
  await using file = await open(path, 'w');
  const directory: Buffer[] = [];
  let at = 0;
  for (const [text, content] of entries) {
    const bytes = typeof content === 'function' ? await content() : content;
    const name = Buffer.from(text);
    // Version, flags, method, time, date, checksum, sizes, and the name's length.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(bytes.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, name]);
    await file.write(local);
    await file.write(bytes);
    const central = Buffer.alloc(14);
    central.writeUInt32LE(at, 10);
    directory.push(Buffer.from('PK\x01\x02\0\0'), common, central, name);
    at += local.length + bytes.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06');
  end.writeUInt16LE(directory.length / 4, 8);
  end.writeUInt16LE(directory.length / 4, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(at, 16);
  await file.write(Buffer.concat([central, end]));
}

/** Pieces of pickles, protocol 2. */
type Piece = Buffer;

export function pickle(value: Piece): Buffer {
  return Buffer.concat([Buffer.of(0x80, 2), value, Buffer.from('.')]);
}

export function text(value: string): Piece {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([Buffer.from('X'), length, bytes]);
}

export function integer(value: number | bigint): Piece {
  const bytes = Buffer.alloc(9);
  bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)));
  return Buffer.concat([Buffer.of(0x8a, 9), bytes]);
}

export function tuple(...items: Piece[]): Piece {
  return Buffer.concat([Buffer.from('('), ...items, Buffer.from('t')]);
}

export function dict(items: Iterable<readonly [string, Piece]>): Piece {
  const pairs = [...items].flatMap(([key, value]) => [text(key), value]);
  return Buffer.concat([Buffer.from('}('), ...pairs, Buffer.from('u')]);
}

export function global(module: string, name: string): Piece {
  return Buffer.from(`c${module}\n${name}\n`);
}

export function call(callee: Piece, ...args: Piece[]): Piece {
  return Buffer.concat([callee, tuple(...args), Buffer.from('R')]);
}

export interface TensorParts {
  key?: string;
  storage?: string;
  elements?: number;
  offset?: number;
  shape?: readonly number[];
  strides?: readonly number[];
}

/** A tensor that fills its storage, if nothing else is said. */
export function tensor({
  key = '0',
  storage = 'FloatStorage',
  shape = [2, 3],
  elements = shape.reduce((product, size) => product * size, 1),
  offset = 0,
  strides = shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1)),
}: TensorParts = {}): Piece {
  const place = tuple(
    text('storage'),
    global('torch', storage),
    text(key),
    text('cuda:0'),
    integer(elements),
  );
  return call(
    global('torch._utils', '_rebuild_tensor_v2'),
    Buffer.concat([place, Buffer.from('Q')]),
    integer(offset),
    tuple(...shape.map(integer)),
    tuple(...strides.map(integer)),
    Buffer.of(0x89),
    call(global('collections', 'OrderedDict')),
  );
}
