import { expectBoolean, expectInteger, expectMembers, expectObject, expectString } from './check.js';
import { cudaReport } from './cuda.js';
import { ArgumentError, DeviceError, expected } from './errors.js';
import { cpuBackend, cudaBackend, type MemoryStats, type NativeBackend, type Span } from './native.js';

export const CONVOLUTION_DEFAULTS = { tf32: true, deterministic: false, autotune: false } as const;

/** One FIFO stream of operations and its memory. */
export class Device {
  private constructor(
    /** `cpu:0`, `cpu:1`, …, `cuda:0`, … */
    readonly name: string,
    readonly index: number,
    /** @internal */
    readonly backend: NativeBackend,
  ) {
    if (this.#isCuda) this.#setOptions(CONVOLUTION_DEFAULTS);
  }

  #threads: number | undefined;
  #convolutions: Required<ConvolutionOptions> = CONVOLUTION_DEFAULTS;
  #facts: Readonly<Record<string, string>> | undefined;
  #tracing = false;
  #label = '';

  private static readonly known = new Map<string, Device>();

  /**
   * The device of that name; `cpu` is `cpu:0`, `cuda` is `cuda:0`. Several CPU devices may exist: each has a stream of
   * its own, and they share the processor's cores. The first CUDA device that is asked for takes a second: what there
   * is of CUDA is found out in a child process. So does the first tensor there, which makes CUDA's context.
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

  /** Bytes that tensors, and the operations' workspace, take now; and how many tensors there are. */
  memory(): MemoryStats {
    return this.backend.memory(this.index);
  }

  /** Whether operations that are enqueued from now on leave spans, to be taken now and then. @internal */
  trace(on: boolean): void {
    this.backend.trace(this.index, on);
    this.#tracing = on;
  }

  /**
   * The spans of operations that were enqueued before, once, in their order.
   * @internal
   * @throws {OperationError} as `synchronize()` does
   */
  async takeSpans(): Promise<Span[]> {
    await this.synchronize();
    return this.backend.takeSpans(this.index);
  }

  /** That of the operations that are enqueued now. @internal */
  get label(): string {
    return this.#label;
  }

  /** Spans of the operations that `body` enqueues carry that label. @internal */
  labelled<T>(label: string, body: () => T): T {
    if (!this.#tracing) return body();
    const before = this.#label;
    const set = (text: string) => {
      this.#label = text;
      this.backend.label(this.index, text);
    };
    set(label);
    try {
      return body();
    } finally {
      set(before);
    }
  }

  /** Gives the memory back that is kept for the next tensors. */
  emptyCache(): void {
    this.backend.emptyCache(this.index);
  }

  /** Operations that wait for their turn. With 16,384 of them the next call throws a {@link QueueFullError}. */
  get queued(): number {
    return this.backend.queued(this.index);
  }

  /** What the last bits of results depend on: equal seeds give equal bits where all of it is equal. */
  get arithmetic(): Readonly<Record<string, string>> {
    this.#facts ??= this.backend.describe();
    const { devices: _, peers: __, ...facts } = this.#facts;
    if (this.#isCuda) {
      const gpu = facts[`device${this.index}`] ?? 'unknown';
      const libraries = Object.entries(facts).filter(([name]) => !/^device\d+$/.test(name));
      const options = Object.entries(this.#convolutions).map(([name, on]) => [name, on ? 'on' : 'off']);
      return { ...Object.fromEntries(libraries), gpu, ...Object.fromEntries(options) };
    }
    const forced = process.env.NODE_CUDNN_CONV2D;
    return {
      ...facts,
      ...(this.#threads === undefined ? {} : { threads: String(this.#threads) }),
      ...(forced === undefined ? {} : { conv2d: forced }),
      ...(this.#convolutions.autotune ? { autotune: 'on' } : {}),
    };
  }

  /** Whether equal operations on equal numbers give equal bits, as they do on a CPU and, where told so, on a GPU. */
  get deterministic(): boolean {
    return !this.#isCuda || this.#convolutions.deterministic;
  }

  /**
   * Threads of each operation of a CPU. Results are repeatable bit by bit for equal numbers of threads only.
   * @param threads 1…1024
   * @throws {ArgumentError} for another number, or another device
   */
  setThreads(threads: number): void {
    expectInteger('threads', threads, 1, 1024);
    if (this.#isCuda) throw new ArgumentError(`Expected CPU for threads but received ${this.name}`);
    this.#threads = threads;
    this.#setOptions({ threads });
  }

  /**
   * How this device computes convolutions from now on; what is not named stays as it is. A CPU has `autotune` only.
   * @throws {ArgumentError} for an option that this device does not have, or what is not true or false
   */
  setConvolutions(options: ConvolutionOptions): void {
    const { tf32, deterministic, autotune } = expectMembers('options', options, CONVOLUTION_OPTIONS);
    const given = Object.fromEntries(
      Object.entries({ tf32, deterministic, autotune })
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, expectBoolean(name, value)] as const),
    );
    if (Object.keys(given).length === 0) return;
    const ofCuda = Object.keys(given).filter((name) => name !== 'autotune');
    if (!this.#isCuda && ofCuda.length > 0)
      throw new ArgumentError(`Expected CUDA device for ${ofCuda.join(', ')} but received ${this.name}`);
    this.#setOptions(given);
    this.#convolutions = { ...this.#convolutions, ...given };
  }

  #setOptions(options: Readonly<Record<string, number | boolean>>): void {
    for (const [name, value] of Object.entries(options))
      this.backend.setOption(this.index, name, Number(value));
  }

  /**
   * What autotune has chosen in the operations that have run: names of implementations by what they serve. Checkpoints
   * keep them.
   */
  get choices(): Readonly<Record<string, string>> {
    return this.backend.choices(this.index);
  }

  /**
   * Makes autotune take what it chose in another run, and forget what it chose here. It measures anew what is not among
   * them, or what this machine does not have.
   * @throws {ArgumentError} for anything but an object of strings
   */
  choose(choices: Readonly<Record<string, string>>): void {
    const entries = Object.entries(expectObject('choices', choices));
    const checked = entries.map(([what, name]) => [what, expectString(`choices["${what}"]`, name)] as const);
    this.backend.choose(this.index, Object.fromEntries(checked));
  }

  get #isCuda(): boolean {
    return this.name.startsWith('cuda');
  }

  toString(): string {
    return this.name;
  }
}

/** How a device computes convolutions. */
export interface ConvolutionOptions {
  /**
   * CUDA: whether factors may be rounded to TF32, ten bits of fraction, on GPUs whose tensor cores do so. Default: true, as
   * PyTorch's convolutions have it.
   */
  tf32?: boolean;
  /** CUDA: whether equal inputs must give equal bits. Default: false. */
  deterministic?: boolean;
  /**
   * Whether each convolution's first call times the implementations (of CUDA: the plans that cuDNN offers) on the real
   * shapes and keeps the fastest. Default: false, the one that a table names (the plan that cuDNN expects to be fastest).
   */
  autotune?: boolean;
}

const CONVOLUTION_OPTIONS = ['tf32', 'deterministic', 'autotune'] as const;

/** @throws {DeviceError} */
function expectCudaDevice(name: string, index: number): void {
  const { reason, devices } = cudaReport();
  const problem = reason ?? devices[index]?.problem;
  if (problem != null)
    throw new DeviceError(`${expected('device that works', 'device', name)}. CUDA: ${problem}`);
}

export type DeviceLike = string | Device;
