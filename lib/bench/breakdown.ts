import type { Span } from '../native.js';

/** What a part of the network takes of a step. */
export interface Part {
  readonly part: string;
  readonly forwardMs: number;
  readonly backwardMs: number;
  /** Of the step; all parts together are 1. */
  readonly fraction: number;
  /** Such as `conv2d: onednn`. */
  readonly implementations: readonly string[];
}

/** Where the time of a step goes: all of it. */
export interface Breakdown {
  readonly stepMs: number;
  /**
   * The layers; `loss`, `optimizer`, and `other`, which reads and writes; `launching`, when an operation was in the queue
   * and the device at none; `idle`, when there was none in the queue.
   */
  readonly parts: readonly Part[];
}

/** @param spans in their order, of one device, of `steps` steps between the two times of `process.hrtime` */
export function breakdownOf(
  spans: readonly Span[],
  startNs: number,
  endNs: number,
  steps: number,
): Breakdown {
  const parts = new Map<string, { forward: number; backward: number; implementations: Set<string> }>();
  const partOf = (name: string) => {
    const known = parts.get(name);
    if (known !== undefined) return known;
    const fresh = { forward: 0, backward: 0, implementations: new Set<string>() };
    parts.set(name, fresh);
    return fresh;
  };
  let [idle, launching, now] = [0, 0, startNs];
  for (const { op, label, implementation, enqueuedNs, startNs: start, endNs: end } of spans) {
    const gap = start - now;
    const empty = Math.min(gap, Math.max(0, enqueuedNs - now));
    idle += empty;
    launching += gap - empty;
    now = end;
    const part = partOf(label === '' ? kindOf(op) : label);
    if (/Backward/.test(op)) part.backward += end - start;
    else part.forward += end - start;
    if (implementation !== '') part.implementations.add(`${op}: ${implementation}`);
  }
  partOf('launching').forward += launching;
  partOf('idle').forward += idle + (endNs - now);
  const ms = (ns: number) => ns / 1e6 / steps;
  return {
    stepMs: ms(endNs - startNs),
    parts: [...parts].map(([part, { forward, backward, implementations }]) => ({
      part,
      forwardMs: ms(forward),
      backwardMs: ms(backward),
      fraction: (forward + backward) / (endNs - startNs),
      implementations: [...implementations],
    })),
  };
}

function kindOf(op: string): string {
  if (/Step$/.test(op)) return 'optimizer';
  return /^softmaxCrossEntropy/.test(op) ? 'loss' : 'other';
}
