import { expectBoolean, expectInteger, expectMembers } from './check.js';
import { cudaReport } from './cuda.js';
import { ArgumentError, DeviceError, expected } from './errors.js';
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
  #convolutions: Required<ConvolutionOptions> = { tf32: true, deterministic: false, autotune: false };

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
    const { tf32, deterministic, autotune } = this.#convolutions;
    return {
      ...facts,
      ...(this.kind === 'cuda'
        ? { tf32: onOff(tf32), deterministic: onOff(deterministic), autotune: onOff(autotune) }
        : {}),
      ...(this.#threads === undefined ? {} : { threads: String(this.#threads) }),
      ...(forced === undefined ? {} : { conv2d: forced }),
    };
  }

  /** Threads of each operation on a CPU. Results are repeatable bit by bit for equal numbers of threads only. */
  setThreads(threads: number): void {
    this.#threads = expectInteger('threads', threads, 1, 1024);
    if (this.kind === 'cpu') this.backend.setOption(this.index, 'threads', this.#threads);
  }

  /**
   * How a CUDA device computes convolutions from now on; what is not named stays as it is.
   * @throws {ArgumentError} for another device, or what is not true or false
   */
  setConvolutions(options: ConvolutionOptions): void {
    if (this.kind !== 'cuda') {
      throw new ArgumentError(
        `Expected CUDA device for ${Object.keys(options).join(', ')} but received ${this.name}`,
      );
    }
    const { tf32, deterministic, autotune } = expectMembers('options', options, CONVOLUTION_OPTIONS);
    const given = Object.entries({ tf32, deterministic, autotune })
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, expectBoolean(name, value)] as const);
    for (const [name, value] of given) this.backend.setOption(this.index, name, Number(value));
    this.#convolutions = { ...this.#convolutions, ...Object.fromEntries(given) };
  }

  /**
   * What autotune has chosen so far: names of implementations by what they serve. Another run that is given them
   * computes the same bits. Checkpoints keep them.
   */
  get choices(): Readonly<Record<string, string>> {
    return this.backend.choices(this.index);
  }

  /** Makes autotune take what it chose in another run, where that is to be had here. */
  choose(choices: Readonly<Record<string, string>>): void {
    for (const [what, implementation] of Object.entries(choices))
      this.backend.choose(this.index, what, implementation);
  }

  private get kind(): string {
    return this.name.startsWith('cuda') ? 'cuda' : 'cpu';
  }

  toString(): string {
    return this.name;
  }
}

/** How a CUDA device computes convolutions. */
export interface ConvolutionOptions {
  /**
   * Whether factors may be rounded to TF32, ten bits of fraction, on GPUs whose tensor cores do so. Default: true, as
   * PyTorch's convolutions have it.
   */
  tf32?: boolean;
  /** Whether equal inputs must give equal bits. Default: false. */
  deterministic?: boolean;
  /**
   * Whether each convolution's first call times the plans that cuDNN offers on the real shapes and keeps the fastest.
   * Default: false, the plan that cuDNN expects to be the fastest.
   */
  autotune?: boolean;
}

const CONVOLUTION_OPTIONS = ['tf32', 'deterministic', 'autotune'] as const;

function onOff(value: boolean): string {
  return value ? 'on' : 'off';
}

/** @throws {DeviceError} */
function expectCudaDevice(name: string, index: number): void {
  const { reason, devices } = cudaReport();
  const problem = reason ?? devices[index]?.problem;
  if (problem != null)
    throw new DeviceError(`${expected('device that works', 'device', name)}. CUDA: ${problem}`);
}

export type DeviceLike = string | Device;
