import { expectInteger } from './check.js';
import { DeviceError, expected } from './errors.js';
import { cpuBackend, type MemoryStats, type NativeBackend } from './native.js';

/** One FIFO stream of operations and its memory. */
export class Device {
  private constructor(
    /** `cpu:0`, `cpu:1`, … */
    readonly name: string,
    readonly index: number,
    /** @internal */
    readonly backend: NativeBackend,
  ) {}

  #threads: number | undefined;

  private static readonly known = new Map<string, Device>();

  /**
   * The device of that name; `cpu` is `cpu:0`. Several CPU devices may exist: each has a stream of its own, and they
   * share the processor's cores.
   * @throws {DeviceError} for a device that is not there.
   */
  static get(name: DeviceLike = 'cpu'): Device {
    if (name instanceof Device) return name;
    const known = Device.known.get(name);
    if (known !== undefined) return known;
    const match = /^(cpu|cuda)(?::(\d+))?$/.exec(name);
    if (match === null) throw new DeviceError(expected('cpu or cpu:N', 'device', name));
    if (match[1] === 'cuda') {
      throw new DeviceError(
        'Expected a device that is present for device but received "cuda": the CUDA addon is not built',
      );
    }
    const backend = cpuBackend();
    const index = Number(match[2] ?? 0);
    const count = Number(backend.describe().devices);
    if (index >= count) throw new DeviceError(expected(`cpu:0 … cpu:${count - 1}`, 'device', name));
    const device = Device.known.get(`cpu:${index}`) ?? new Device(`cpu:${index}`, index, backend);
    Device.known.set(name, device);
    Device.known.set(device.name, device);
    return device;
  }

  /**
   * Waits for all operations that were enqueued before.
   * @throws {OperationError} the first failure since the last call.
   */
  synchronize(): Promise<void> {
    return this.backend.synchronize(this.index);
  }

  memory(): MemoryStats {
    return this.backend.memory(this.index);
  }

  /** Gives the memory back that is kept for the next tensors. */
  emptyCache(): void {
    this.backend.emptyCache(this.index);
  }

  /** Operations that wait for their turn. */
  get queued(): number {
    return this.backend.queued(this.index);
  }

  /** What the last bits of results depend on: equal seeds give equal bits where all of it is equal. */
  get arithmetic(): Readonly<Record<string, string>> {
    const { devices: _, ...facts } = this.backend.describe();
    const forced = process.env.NODE_CUDNN_CONV2D;
    return {
      ...facts,
      ...(this.#threads === undefined ? {} : { threads: String(this.#threads) }),
      ...(forced === undefined ? {} : { conv2d: forced }),
    };
  }

  /** Threads of each operation. Results are repeatable bit by bit for equal numbers of threads only. */
  setThreads(threads: number): void {
    this.#threads = expectInteger('threads', threads, 1, 1024);
    this.backend.setThreads(this.index, this.#threads);
  }

  toString(): string {
    return this.name;
  }
}

export type DeviceLike = string | Device;
