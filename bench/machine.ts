import { cpus, loadavg, release, totalmem } from 'node:os';
import { cpuBackend } from '../lib/native.js';

/** What figures depend on: a figure without its machine means nothing. */
export function machine(): Record<string, unknown> {
  const [first] = cpus();
  const { onednn, instructionSet, threads } = cpuBackend().describe();
  return {
    cpu: first?.model ?? 'unknown',
    cores: cpus().length,
    threads: Number(threads),
    instructionSet,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    onednn,
    load: loadavg()[0],
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The p-th fraction of the sorted values. */
export function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}
