import { formatError, quote } from './file.js';

/** What a pickle may refer to, and what that stands for. All else that it names is refused as code. */
export interface PickleTypes {
  /** By module and name, such as `torch._utils._rebuild_tensor_v2`: what makes the object from its arguments. */
  readonly constructors: ReadonlyMap<string, (args: readonly unknown[]) => unknown>;
  /** Other names that arguments may be. */
  readonly names: { has(name: string): boolean };
  /** What is kept beside the pickle. */
  readonly persistent: (id: readonly unknown[]) => unknown;
}

/** A name of Python's that was admitted. */
export class PickleGlobal {
  constructor(readonly name: string) {}
}

/** It costs at most some hundred bytes of memory an operation; a state dict takes some thirty a tensor. */
const MAX_OPERATIONS = 2 ** 17;
const ORDERED_DICT = 'collections.OrderedDict';
const STOP = 0x2e;

/**
 * Reads a pickle of protocol 2 to 5 that holds plain containers, text, numbers and what `types` admit: dicts as Maps,
 * lists as arrays, tuples as frozen arrays, integers as numbers where those are exact and as bigints up to 64 bits.
 * Nothing is looked up and nothing is called but `types`. Attributes set on an OrderedDict are left out.
 * @throws {FileFormatError} for all else, by name
 */
export function readPickle(bytes: Uint8Array<ArrayBuffer>, types: PickleTypes, path: string): unknown {
  return new PickleReader(bytes, types, path).read();
}

/** Python's stack machine, without recursion: what nests deeply costs no stack of ours. */
class PickleReader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #types: PickleTypes;
  readonly #path: string;
  readonly #memo = new Map<number, unknown>();
  /** The innermost frame is on top: what was pushed since the last mark. */
  readonly #frames: unknown[][] = [[]];
  #at = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>, types: PickleTypes, path: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#types = types;
    this.#path = path;
  }

  read(): unknown {
    if (this.#bytes[0] !== 0x80) throw this.#error('a pickle of protocol 2 to 5', 'other bytes');
    for (let count = 0; count < MAX_OPERATIONS; count++) {
      const code = this.#uint(1);
      if (code === STOP) return this.#pop();
      const pushed = this.#operate(code);
      if (pushed !== undefined) this.#frame.push(pushed);
    }
    throw this.#error(`at most ${MAX_OPERATIONS} operations`, 'more');
  }

  /** What the operation pushes, or undefined. */
  #operate(code: number): unknown {
    switch (code) {
      case 0x80: {
        const protocol = this.#uint(1);
        if (protocol < 2 || protocol > 5)
          throw this.#error('a pickle of protocol 2 to 5', `protocol ${protocol}`);
        return undefined;
      }
      case 0x95: // FRAME: how long the next bytes are
        this.#take(8);
        return undefined;
      case 0x4e: // NONE
        return null;
      case 0x88: // NEWTRUE
        return true;
      case 0x89: // NEWFALSE
        return false;
      case 0x4b: // BININT1
        return this.#uint(1);
      case 0x4d: // BININT2
        return this.#uint(2);
      case 0x4a: // BININT
        return this.#uint(4) | 0;
      case 0x8a: // LONG1
        return this.#long(this.#uint(1));
      case 0x47: // BINFLOAT
        return this.#view.getFloat64(this.#take(8));
      case 0x8c: // SHORT_BINUNICODE
        return this.#text(this.#uint(1));
      case 0x58: // BINUNICODE
        return this.#text(this.#uint(4));
      case 0x28: // MARK
        this.#frames.push([]);
        return undefined;
      case 0x29: // EMPTY_TUPLE
        return Object.freeze([]);
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return Object.freeze(this.#popSome(code - 0x84));
      case 0x74: // TUPLE
        return Object.freeze(this.#popFrame());
      case 0x5d: // EMPTY_LIST
        return [];
      case 0x61: // APPEND
        return this.#append(this.#popSome(1));
      case 0x65: // APPENDS
        return this.#append(this.#popFrame());
      case 0x7d: // EMPTY_DICT
        return new Map();
      case 0x73: // SETITEM
        return this.#setItems(this.#popSome(2));
      case 0x75: // SETITEMS
        return this.#setItems(this.#popFrame());
      case 0x71: // BINPUT
        return this.#remember(this.#uint(1));
      case 0x72: // LONG_BINPUT
        return this.#remember(this.#uint(4));
      case 0x94: // MEMOIZE
        return this.#remember(this.#memo.size);
      case 0x68: // BINGET
        return this.#recall(this.#uint(1));
      case 0x6a: // LONG_BINGET
        return this.#recall(this.#uint(4));
      case 0x63: // GLOBAL
        return this.#global(this.#line(), this.#line());
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#popSome(2);
        if (typeof module !== 'string' || typeof name !== 'string')
          throw this.#error('the name of a type', 'something else');
        return this.#global(module, name);
      }
      case 0x51: {
        // BINPERSID
        const id = this.#pop();
        if (!Array.isArray(id)) throw this.#error('a tuple that names what is beside it', 'something else');
        return this.#types.persistent(id);
      }
      case 0x52: // REDUCE
        return this.#construct();
      case 0x62: // BUILD
        return this.#build();
      default:
        throw this.#error('only tensors and plain containers', `operation 0x${code.toString(16)}`);
    }
  }

  #global(module: string, name: string): PickleGlobal {
    const full = `${module}.${name}`;
    const { constructors, names } = this.#types;
    if (full !== ORDERED_DICT && !constructors.has(full) && !names.has(full)) {
      throw this.#error('only tensors and plain containers', `code: ${quote(full)} is neither`);
    }
    return new PickleGlobal(full);
  }

  #construct(): unknown {
    const [type, args] = this.#popSome(2);
    if (!(type instanceof PickleGlobal) || !Array.isArray(args))
      throw this.#error('a type and its arguments', 'something else');
    if (type.name === ORDERED_DICT) {
      if (args.length > 0) throw this.#error(`no arguments of ${ORDERED_DICT}`, String(args.length));
      return new Map();
    }
    const construct = this.#types.constructors.get(type.name);
    if (construct === undefined) throw this.#error('a type that is made from arguments', quote(type.name));
    return construct(args);
  }

  #build(): unknown {
    const [object, attributes] = this.#popSome(2);
    if (!(object instanceof Map) || !(attributes instanceof Map))
      throw this.#error('attributes of an OrderedDict only', 'those of something else');
    return object;
  }

  #append(items: unknown[]): undefined {
    const list = this.#top();
    if (!Array.isArray(list) || Object.isFrozen(list))
      throw this.#error('a list to append to', 'something else');
    for (const item of items) list.push(item);
  }

  #setItems(items: unknown[]): undefined {
    const dict = this.#top();
    if (!(dict instanceof Map)) throw this.#error('a dict to set items of', 'something else');
    if (items.length % 2 !== 0) throw this.#error('a value for each key', 'a key without');
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i];
      if (!['string', 'number', 'bigint'].includes(typeof key))
        throw this.#error('text or numbers as keys of a dict', 'something else');
      dict.set(key, items[i + 1]);
    }
  }

  /** Two's complement, the lowest byte first. */
  #long(length: number): number | bigint {
    let value = 0n;
    const start = this.#take(length);
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#view.getUint8(start + i));
    value = BigInt.asIntN(8 * length, value);
    if (value < -(2n ** 63n) || value >= 2n ** 64n)
      throw this.#error('integers of at most 64 bits', `one of ${length} bytes`);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  #text(length: number): string {
    const start = this.#take(length);
    return this.#decode(start, start + length);
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#error('a line that ends', 'none');
    const start = this.#at;
    this.#at = end + 1;
    return this.#decode(start, end);
  }

  #decode(start: number, end: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        this.#bytes.subarray(start, end),
      );
    } catch {
      throw this.#error('UTF-8', 'other bytes');
    }
  }

  #uint(length: 1 | 2 | 4): number {
    const at = this.#take(length);
    if (length === 1) return this.#view.getUint8(at);
    return length === 2 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true);
  }

  /** Where the next bytes are. */
  #take(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw this.#error('a pickle that ends', `${start} bytes of it`);
    this.#at += length;
    return start;
  }

  #remember(index: number): undefined {
    this.#memo.set(index, this.#top());
  }

  #recall(index: number): unknown {
    if (!this.#memo.has(index)) throw this.#error('an object that came before', `number ${index}`);
    return this.#memo.get(index);
  }

  get #frame(): unknown[] {
    return this.#frames.at(-1) ?? [];
  }

  #top(): unknown {
    if (this.#frame.length === 0) throw this.#error('an operand', 'none');
    return this.#frame.at(-1);
  }

  #pop(): unknown {
    const top = this.#top();
    this.#frame.pop();
    return top;
  }

  #popSome(count: number): unknown[] {
    if (this.#frame.length < count) throw this.#error(`${count} operands`, String(this.#frame.length));
    return this.#frame.splice(-count);
  }

  #popFrame(): unknown[] {
    const frame = this.#frames.length > 1 ? this.#frames.pop() : undefined;
    if (frame === undefined) throw this.#error('a mark', 'none');
    return frame;
  }

  #error(what: string, received: string): Error {
    return formatError(what, 'the pickle', this.#path, received);
  }
}
