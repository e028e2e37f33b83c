import { read } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl';
import { FileFormatError, reasonOf } from '../errors.js';
import { formatError, openFile, quote, readFully } from './file.js';
import { PickleGlobal, type PickleTypes, readPickle } from './pickle.js';
import { expectKind, type TensorData, type TensorKind } from './safetensors.js';
import { ARRAYS, byteLength, type Dtype, MAX_DIMENSIONS } from './safetensors_header.js';

/** Numbers in an entry of the archive. */
class Storage {
  constructor(
    readonly dtype: Dtype,
    readonly key: string,
    readonly elements: number,
  ) {}
}

/** A tensor in a `.pth` file: which numbers of which storage it shows. */
export class PthTensor implements TensorKind {
  readonly dtype: Dtype;

  constructor(
    readonly storage: Storage,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
    /** Its first element's place in the storage. */
    readonly offset: number,
  ) {
    this.dtype = storage.dtype;
  }
}

const STORAGES: ReadonlyMap<string, Dtype> = new Map([
  ['torch.BoolStorage', 'BOOL'],
  ['torch.ByteStorage', 'U8'],
  ['torch.CharStorage', 'I8'],
  ['torch.ShortStorage', 'I16'],
  ['torch.HalfStorage', 'F16'],
  ['torch.BFloat16Storage', 'BF16'],
  ['torch.IntStorage', 'I32'],
  ['torch.FloatStorage', 'F32'],
  ['torch.LongStorage', 'I64'],
  ['torch.DoubleStorage', 'F64'],
]);

/** The pickle of a hundred tensors, with their optimizer's, takes some 50 kB. */
const MAX_PICKLE_BYTES = 2 ** 22;
const MAX_ENTRIES = 2 ** 16;
/** What files begin with that PyTorch wrote before 1.6: a pickle of a number that stands for them. */
const OLD_MAGIC = Buffer.from('8a0a6cfc9c46f9206aa85019', 'hex');

/**
 * What `torch.save` wrote, since PyTorch 1.6 a zip archive of a pickle and of the tensors' numbers: the pickle is read
 * when opened, the numbers when asked for. Tensors and plain containers only; nothing in it is ever run.
 */
export class PthFile implements AsyncDisposable {
  readonly path: string;
  /** What was saved: see {@link readPickle}; tensors are {@link PthTensor}. */
  readonly content: unknown;
  readonly #file: FileHandle;
  readonly #archive: Archive;

  private constructor(path: string, file: FileHandle, archive: Archive, content: unknown) {
    this.path = path;
    this.content = content;
    this.#file = file;
    this.#archive = archive;
  }

  /** @throws {FileFormatError} for what is no such file, is damaged, or holds anything but tensors and plain containers */
  static async open(path: string): Promise<PthFile> {
    const { file, size } = await openFile(path, "PyTorch's file");
    try {
      await expectZip(file, size, path);
      const archive = await Archive.open(file, size, path);
      const byteOrder = archive.has('byteorder') ? await archive.read('byteorder', 16) : undefined;
      if (byteOrder !== undefined && Buffer.from(byteOrder).toString() !== 'little') {
        throw formatError(
          'little-endian numbers',
          'byteorder',
          path,
          quote(Buffer.from(byteOrder).toString()),
        );
      }
      const pickle = await archive.read('data.pkl', MAX_PICKLE_BYTES);
      return new PthFile(path, file, archive, readPickle(pickle, typesOf(archive, path), path));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * What the pickle says of a tensor.
   * @param name of the tensor, for messages
   * @throws {FileFormatError} for another dtype or shape, or where its numbers do not lie one after the other
   */
  expectTensor(name: string, tensor: PthTensor | undefined, expected: TensorKind): PthTensor {
    const found = expectKind(tensor, expected, name, this.path);
    if (isContiguous(found)) return found;
    const what = 'numbers one after the other, as tensor.contiguous() has them,';
    throw formatError(what, quote(name), this.path, `strides [${found.strides.join(', ')}]`);
  }

  /**
   * Reads one tensor, at most `elements` at a time. All are in the same memory: each is valid until the next is asked
   * for.
   * @throws {FileFormatError} as {@link expectTensor} does
   */
  async *readPieces<D extends Dtype>(
    name: string,
    tensor: PthTensor | undefined,
    expected: TensorKind<D>,
    elements: number,
  ): AsyncGenerator<TensorData<D>> {
    const { dtype, shape } = expected;
    const { storage, offset } = this.expectTensor(name, tensor, expected);
    const type = ARRAYS[dtype];
    const width = type.BYTES_PER_ELEMENT;
    const start = (await this.#archive.dataStart(storageEntry(storage))) + offset * width;
    const end = start + (byteLength(dtype, shape) ?? 0);
    const buffer = new ArrayBuffer(Math.min(elements * width, end - start));
    for (let at = start; at < end; at += buffer.byteLength) {
      const bytes = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, end - at));
      await readFully(this.#file, bytes, at, this.path);
      yield new type(buffer, 0, bytes.length / width) as TensorData<D>;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

async function expectZip(file: FileHandle, size: number, path: string): Promise<void> {
  const head = Buffer.alloc(Math.min(size, 512));
  await readFully(file, head, 0, path);
  if (head.toString('latin1', 0, 4) === 'PK\x03\x04') return;
  const isOld = head.subarray(2, 2 + OLD_MAGIC.length).equals(OLD_MAGIC);
  const isOlder = head.toString('latin1', 257, 262) === 'ustar';
  const received =
    isOld || isOlder
      ? "one from before PyTorch 1.6: PyTorch's torch.save(torch.load(file), file) writes it anew"
      : 'other bytes';
  throw new FileFormatError(`Expected PyTorch's file, a zip archive, at ${path} but received ${received}`);
}

/** Reads for yauzl, which asks for whatever places an archive names: also for some that no file has. */
class ArchiveReader extends RandomAccessReader {
  readonly #fd: number;
  readonly #size: number;

  constructor(fd: number, size: number) {
    super();
    this.#fd = fd;
    this.#size = size;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    // node:fs throws at places that are none, where nobody could catch it.
    if (position >= 0 && position + length <= this.#size)
      read(this.#fd, buffer, offset, length, position, callback);
    else setImmediate(callback, new Error(`it names byte ${position + length} of ${this.#size}`));
  }
}

/** The entries of the archive, all of which are in one folder. */
class Archive {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #zip: ZipFile;
  readonly #folder: string;
  readonly #entries: ReadonlyMap<string, Entry>;

  private constructor(
    file: FileHandle,
    path: string,
    zip: ZipFile,
    folder: string,
    entries: ReadonlyMap<string, Entry>,
  ) {
    this.#file = file;
    this.#path = path;
    this.#zip = zip;
    this.#folder = folder;
    this.#entries = entries;
  }

  static async open(file: FileHandle, size: number, path: string): Promise<Archive> {
    const entries = new Map<string, Entry>();
    const reader = new ArchiveReader(file.fd, size);
    const options = { lazyEntries: true, autoClose: false };
    const zip = await fromRandomAccessReaderPromise(reader, size, options).catch(damaged(path));
    if (zip.entryCount > MAX_ENTRIES)
      throw formatError(`at most ${MAX_ENTRIES} entries`, 'the zip archive', path, String(zip.entryCount));
    try {
      for await (const entry of zip.eachEntry()) entries.set(entry.fileName, entry);
    } catch (error) {
      damaged(path)(error);
    }
    const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
    const [pickle, second] = pickles;
    if (pickle === undefined || second !== undefined)
      throw formatError('one data.pkl', 'the zip archive', path, String(pickles.length));
    return new Archive(file, path, zip, pickle.slice(0, -'data.pkl'.length), entries);
  }

  has(name: string): boolean {
    return this.#entries.has(this.#folder + name);
  }

  /** The number of bytes of an entry, which must lie in the archive as they are. */
  bytesOf(name: string): number {
    const { compressionMethod, compressedSize, uncompressedSize } = this.#entry(name);
    if (compressionMethod !== 0 || compressedSize !== uncompressedSize)
      throw formatError('an entry stored as it is', quote(name), this.#path, 'a compressed one');
    return uncompressedSize;
  }

  async dataStart(name: string): Promise<number> {
    const found = this.#zip.readLocalFileHeaderPromise(this.#entry(name), { minimal: true });
    return (await found.catch(damaged(this.#path))).fileDataStart;
  }

  async read(name: string, most: number): Promise<Uint8Array<ArrayBuffer>> {
    const length = this.bytesOf(name);
    if (length > most) throw formatError(`at most ${most} bytes`, quote(name), this.#path, String(length));
    const bytes = new Uint8Array(length);
    await readFully(this.#file, bytes, await this.dataStart(name), this.#path);
    return bytes;
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(this.#folder + name);
    if (entry === undefined) throw formatError('an entry', quote(name), this.#path, 'none of that name');
    return entry;
  }
}

function damaged(path: string): (cause: unknown) => never {
  return (cause) => {
    const message = `Expected PyTorch's file, a zip archive, at ${path} but received a damaged one (${reasonOf(cause)})`;
    throw new FileFormatError(message, { cause });
  };
}

function storageEntry({ key }: Storage): string {
  return `data/${key}`;
}

/** How PyTorch describes tensors in a pickle. */
function typesOf(archive: Archive, path: string): PickleTypes {
  const error = (what: string, received: string) => formatError(what, 'a tensor', path, received);

  const rebuildTensor = ([storage, offset, shape, strides]: readonly unknown[]): PthTensor => {
    if (!(storage instanceof Storage) || !isCount(offset) || !areCounts(shape) || !areCounts(strides))
      throw error('storage, offset, shape and strides', 'something else');
    if (shape.length !== strides.length) throw error(`${shape.length} strides`, `[${strides.join(', ')}]`);
    const isEmpty = shape.includes(0);
    const last = shape.reduce((sum, size, i) => sum + (size - 1) * (strides[i] ?? 0), offset);
    const received = `offset ${offset}, shape [${shape.join(', ')}], strides [${strides.join(', ')}]`;
    // What shows an element several times may be of any size.
    const elements = shape.reduce((product, size) => product * size, 1);
    if (!isEmpty && (last >= storage.elements || elements > storage.elements))
      throw error(`a part of ${storage.elements} elements`, received);
    return new PthTensor(storage, shape, strides, offset);
  };

  const rebuildParameter = ([tensor]: readonly unknown[]): PthTensor => {
    if (tensor instanceof PthTensor) return tensor;
    throw error('a tensor of a parameter', 'something else');
  };

  const persistent = ([kind, type, key, , elements]: readonly unknown[]): Storage => {
    const dtype = type instanceof PickleGlobal ? STORAGES.get(type.name) : undefined;
    if (kind !== 'storage' || dtype === undefined || typeof key !== 'string' || !isCount(elements))
      throw error('a storage, its type, name and length', 'something else');
    const storage = new Storage(dtype, key, elements);
    const bytes = archive.bytesOf(storageEntry(storage));
    if (bytes !== byteLength(dtype, [elements]))
      throw formatError(
        `${elements} elements of ${dtype}`,
        quote(storageEntry(storage)),
        path,
        `${bytes} bytes`,
      );
    return storage;
  };

  return {
    constructors: new Map<string, (args: readonly unknown[]) => unknown>([
      ['torch._utils._rebuild_tensor_v2', rebuildTensor],
      ['torch._utils._rebuild_parameter', rebuildParameter],
    ]),
    names: STORAGES,
    persistent,
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function areCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length <= MAX_DIMENSIONS && value.every(isCount);
}

/** Row-major; the stride of a dimension of one element means nothing. */
function isContiguous({ shape, strides }: PthTensor): boolean {
  if (shape.includes(0)) return true;
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i] ?? 1;
    if (size !== 1 && strides[i] !== stride) return false;
    stride *= size;
  }
  return true;
}
