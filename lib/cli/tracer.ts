import type { Device } from '../device.js';
import { writeAtomically } from '../io/atomic.js';
import type { Span } from '../native.js';
import type { TrainEvent } from '../train/events.js';

/** So many steps are traced, and those that are under way then. */
const STEPS = 3;

/** What each device does in the first steps of a training. */
export class Tracer {
  readonly #devices: readonly Device[];
  readonly #path: string;
  #steps = 0;
  #spans: Promise<readonly Span[][]> | undefined;

  constructor(devices: readonly Device[], path: string) {
    this.#devices = devices;
    this.#path = path;
    for (const device of devices) device.trace(true);
  }

  onEvent({ event }: TrainEvent): void {
    if (event === 'step' && ++this.#steps === STEPS) this.#end();
  }

  /** @returns the file's path */
  async save(): Promise<string> {
    this.#end();
    const text = JSON.stringify(chromeTrace(this.#devices, (await this.#spans) ?? []));
    await writeAtomically(this.#path, (file) => file.writeFile(text));
    return this.#path;
  }

  #end(): void {
    if (this.#spans !== undefined) return;
    for (const device of this.#devices) device.trace(false);
    this.#spans = Promise.all(this.#devices.map((device) => device.takeSpans()));
    this.#spans.catch(() => {});
  }
}

/** What only orders others, and takes no time. */
const HIDDEN: readonly string[] = ['record', 'setOption', 'choose', 'emptyCache', 'together'];

/**
 * Chrome's trace events (the "Trace Event Format"), which Perfetto reads: a thread for each device, and `X` events with
 * times in microseconds. Those of copies from another device have `args.bytes` and `args.from`.
 */
export function chromeTrace(devices: readonly Device[], spans: readonly (readonly Span[])[]): object {
  const startNs = spans
    .flat()
    .reduce((least, span) => Math.min(least, span.startNs), Number.POSITIVE_INFINITY);
  const place = (tid: number) => ({ pid: 1, tid });
  const names = devices.map((device, tid) => ({
    name: 'thread_name',
    ph: 'M',
    ...place(tid),
    args: { name: device.name },
  }));
  const events = devices.flatMap(({ name: device }, tid) =>
    (spans[tid] ?? [])
      .filter(({ op }) => !HIDDEN.includes(op))
      .map(({ op, label, implementation, startNs: from, endNs, from: source, bytes }) => ({
        name: label === '' ? op : `${label} ${op}`,
        cat: source < 0 ? 'operation' : 'crossing',
        ph: 'X',
        ts: (from - startNs) / 1000,
        dur: (endNs - from) / 1000,
        ...place(tid),
        args: {
          ...(implementation === '' ? {} : { implementation }),
          ...(source < 0 ? {} : { bytes, from: device.replace(/\d+$/, String(source)) }),
        },
      })),
  );
  return { displayTimeUnit: 'ms', traceEvents: [...names, ...events] };
}
