import type { Device } from '../lib/device.js';
import type { Span } from '../lib/native.js';
import { tidy } from '../lib/scope.js';
import { empty, full, randn } from '../lib/tensor.js';

/** What memory gives, by the operation that gets the most from it. */
export interface Bandwidth {
  readonly operation: string;
  readonly gbPerSecond: number;
}

const GEMM_SIZE = 2048;
const READ_COLUMNS = 4096;
const BANDWIDTH_BYTES = 2 ** 28;
/** All but Winograd's. */
const DIRECT = ['onednn', 'jit', 'blocked', 'im2col', 'windows'];
/** Where one of them does not serve, autotune chooses another, which is left out. */
const FOR_FILTERS_ONLY = ['blocked', 'windows'];

/** Times operations of one device by its trace. */
export class Measure {
  readonly #device: Device;
  readonly repeats: number;
  /** GFLOP/s. */
  #fastest = 0;

  constructor(device: Device, repeats: number) {
    this.#device = device;
    this.repeats = repeats;
  }

  async once(body: () => void): Promise<Span[]> {
    this.#device.trace(true);
    try {
      tidy(body);
      return await this.#device.takeSpans();
    } finally {
      this.#device.trace(false);
    }
  }

  /** Of all repeats but a first one. */
  async spans(body: () => void): Promise<Span[]> {
    const all: Span[] = [];
    for (let i = 0; i <= this.repeats; i++) {
      const spans = await this.once(body);
      if (i > 0) all.push(...spans);
    }
    return all;
  }

  /** The shortest time of an operation. */
  async #shortestMs(op: string, body: () => void): Promise<number> {
    const spans = await this.spans(body);
    return Math.min(...spans.filter((span) => span.op === op).map(milliseconds));
  }

  /** Tries how fast the matrix product is now; what is kept is the fastest of all calls. */
  async gemm(): Promise<void> {
    const { backend } = this.#device;
    using a = randn([GEMM_SIZE, GEMM_SIZE], { seed: 1, device: this.#device });
    using b = randn([GEMM_SIZE, GEMM_SIZE], { seed: 2, device: this.#device });
    using y = empty([GEMM_SIZE, GEMM_SIZE], { device: this.#device });
    for (const [transposeA, transposeB] of [
      [false, false],
      [false, true],
      [true, false],
    ] as const) {
      const params = { transposeA, transposeB };
      const spans = await this.once(() => backend.matmul(params, a.handle, b.handle, y.handle));
      const ms = Math.min(...spans.filter(({ op }) => op === 'matmul').map(milliseconds));
      this.#fastest = Math.max(this.#fastest, (2 * GEMM_SIZE ** 3) / 1e6 / ms);
    }
  }

  async gemmPeak(): Promise<number> {
    await this.gemm();
    return this.#fastest;
  }

  /** The shortest of a few ways to read and write so many bytes together, one to the other, by all threads. */
  async copyMs(bytes: number): Promise<number> {
    return (await this.#copy(bytes)).ms;
  }

  /** And to read them. */
  async readMs(bytes: number): Promise<number> {
    return (await this.#read(bytes)).ms;
  }

  async writeMs(bytes: number): Promise<number> {
    using y = empty([Math.ceil(bytes / 4)], { device: this.#device });
    return await this.#shortestMs('fill', () => y.device.backend.fill({ value: 0 }, y.handle));
  }

  async bandwidth(): Promise<Record<'copy' | 'read', Bandwidth>> {
    const speed = ({ operation, ms }: { operation: string; ms: number }): Bandwidth => ({
      operation,
      gbPerSecond: BANDWIDTH_BYTES / 1e6 / ms,
    });
    return {
      copy: speed(await this.#copy(BANDWIDTH_BYTES)),
      read: speed(await this.#read(BANDWIDTH_BYTES)),
    };
  }

  /** `scale` by 1 stores as usual; `catBackward` of a part that is all copies by memcpy, a row for each thread. */
  async #copy(bytes: number): Promise<{ operation: string; ms: number }> {
    const { backend, arithmetic } = this.#device;
    const rows = Number(arithmetic.threads ?? 1);
    using x = full([rows, Math.ceil(bytes / 8 / rows)], 1, { device: this.#device });
    using y = empty(x.shape, { device: this.#device });
    return await this.#fastestOf({
      scale: () => backend.scale({ factor: 1 }, x.handle, y.handle),
      catBackward: () => backend.catBackward(x.handle, y.handle, null),
    });
  }

  /** Sums over the rows of a matrix; or a copy that reads half as much and writes the other half. */
  async #read(bytes: number): Promise<{ operation: string; ms: number }> {
    using x = full([Math.ceil(bytes / 4 / READ_COLUMNS), READ_COLUMNS], 1, { device: this.#device });
    using sums = empty([READ_COLUMNS], { device: this.#device });
    const read = await this.#fastestOf({
      biasReluBackward: () => x.device.backend.biasReluBackward(null, x.handle, null, sums.handle),
    });
    const copy = await this.#copy(bytes);
    return copy.ms < read.ms ? copy : read;
  }

  /** Of operations, by their names. */
  async #fastestOf(bodies: Readonly<Record<string, () => void>>): Promise<{ operation: string; ms: number }> {
    let fastest = { operation: 'none', ms: Number.POSITIVE_INFINITY };
    for (const [operation, body] of Object.entries(bodies)) {
      const ms = await this.#shortestMs(operation, body);
      if (ms < fastest.ms) fastest = { operation, ms };
    }
    return fastest;
  }

  /**
   * Spans by each direct implementation of convolutions in turn, on a CPU, where none is forced: autotune is told that it
   * chose that.
   */
  async directSpans(body: () => void): Promise<Span[]> {
    const device = this.#device;
    if (!device.name.startsWith('cpu')) return [];
    const [wasOn, chosen] = [device.arithmetic.autotune === 'on', device.choices];
    device.setConvolutions({ autotune: true });
    device.choose({});
    await this.once(body);
    const passes = Object.keys(device.choices);
    const spans: Span[] = [];
    for (const name of passes.length === 0 ? [] : DIRECT) {
      const serves = (pass: string) => !FOR_FILTERS_ONLY.includes(name) || pass.startsWith('conv2d filter');
      device.choose(Object.fromEntries(passes.map((pass) => [pass, serves(pass) ? name : 'onednn'])));
      spans.push(...(await this.spans(body)).filter(({ implementation }) => implementation === name));
    }
    device.choose(chosen);
    device.setConvolutions({ autotune: wasOn });
    return spans;
  }
}

export function milliseconds({ startNs, endNs }: Span): number {
  return (endNs - startNs) / 1e6;
}
