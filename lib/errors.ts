/** Every error that this package throws on purpose. */
export class NodeCudnnError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A value that the called function does not take. */
export class ArgumentError extends NodeCudnnError {}
/** Tensors whose shapes do not go together. */
export class ShapeError extends ArgumentError {}
/** A tensor that was disposed, or saved state that a backward has used up. */
export class DisposedError extends NodeCudnnError {}
/** A device that does not exist here, or tensors of different devices. */
export class DeviceError extends NodeCudnnError {}
/** The native addon is missing or does not load. */
export class AddonError extends NodeCudnnError {}
/** A file that is not what it should be. */
export class FileFormatError extends NodeCudnnError {}
/** A file that could not be written. The message says what the path holds now; `cause` is what went wrong. */
export class FileWriteError extends NodeCudnnError {}
/** A data set that cannot be used. */
export class DataError extends NodeCudnnError {}
/** Training that cannot go on: a loss that is not finite. */
export class TrainingError extends NodeCudnnError {}
/** More operations are waiting than the queue of a device holds. */
export class QueueFullError extends NodeCudnnError {}

/** An operation failed on its device, after the call had returned. */
export class OperationError extends NodeCudnnError {
  constructor(
    message: string,
    /** The operation that failed first: what was computed from its outputs fails with the same name. */
    readonly op: string,
  ) {
    super(message);
  }
}
/** An update left weights that are not finite. */
export class NonFiniteError extends OperationError {}
/** A call into CUDA, cuDNN or cuBLAS failed. The message names it, its status, the device and the shapes. */
export class CudaError extends OperationError {}
/** A device has no memory left. */
export class OutOfMemoryError extends OperationError {}

/** The one form of messages: what was expected, for which name, what came. */
export function expected(what: string, name: string, received: unknown): string {
  return `Expected ${what} for ${name} but received ${describe(received)}`;
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'string') return `${JSON.stringify(shortened(value))} of type string`;
  if (Array.isArray(value)) {
    const items = value
      .slice(0, MAX_ITEMS)
      .map((item) => (isObject(item) ? 'an object' : shortened(String(item))));
    return `[${items.join(', ')}${value.length > MAX_ITEMS ? `, …] of ${value.length} items` : ']'}`;
  }
  if (isObject(value)) {
    const name: unknown = value.constructor?.name;
    return `an object of class ${typeof name === 'string' && name !== '' ? shortened(name) : 'Object'}`;
  }
  return `${String(value)} of type ${typeof value}`;
}

/** More items than a shape has. */
const MAX_ITEMS = 16;
const MAX_LENGTH = 100;

function shortened(text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** What was thrown, in words. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
