import { expectInteger } from './check.js';
import { cudaReport } from './cuda.js';
import { DeviceError, expected } from './errors.js';
import { cpuBackend, cudaBackend, type MemoryStats, type NativeBackend } from './native.js';

/** One FIFO stream of operations and its memory. */
export class Device {
  private constructor(
    /** `cpu:0`, `cpu:1`, …, `cuda:0`, … */
    readonly name: string,
    readonly index: number,
    /** @internal */
    readonly backend: NativeBackend,
  ) {}

  #threads: number | undefined;

  private static readonly known = new Map<string, Device>();

  /**
   * The device of that name; `cpu` is `cpu:0`, `cuda` is `cuda:0`. Several CPU devices may exist: each has a stream of
   * its own, and they share the processor's cores. The first CUDA device that is asked for takes a second: what there
   * is of CUDA is found out in a child process.
   * @throws {DeviceError} for a device that is not there; for one of CUDA it says which link is missing.
   */
  static get(name: DeviceLike = 'cpu'): Device {
    if (name instanceof Device) return name;
    const known = Device.known.get(name);
    if (known !== undefined) return known;
    const match = /^(cpu|cuda)(?::(\d+))?$/.exec(name);
    if (match === null) throw new DeviceError(expected('cpu, cpu:N, cuda or cuda:N', 'device', name));
    const [, kind, number = '0'] = match;
    const index = Number(number);
    if (kind === 'cuda') expectCudaDevice(name, index);
    const backend = kind === 'cuda' ? cudaBackend() : cpuBackend();
    const count = Number(backend.describe().devices);
    if (index >= count) throw new DeviceError(expected(`${kind}:0 … ${kind}:${count - 1}`, 'device', name));
    const device = Device.known.get(`${kind}:${index}`) ?? new Device(`${kind}:${index}`, index, backend);
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
    const facts = Object.fromEntries(
      Object.entries(this.backend.describe()).filter(
        ([name]) => !/^device(s|\d+)$/.test(name) || name === `device${this.index}`,
      ),
    );
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

/** @throws {DeviceError} */
function expectCudaDevice(name: string, index: number): void {
  const { reason, devices } = cudaReport();
  const problem = reason ?? devices[index]?.problem;
  if (problem != null)
    throw new DeviceError(`${expected('device that works', 'device', name)}. CUDA: ${problem}`);
}

export type DeviceLike = string | Device;
