import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import type { Device } from '../device.js';
import { packageVersion } from '../version.js';

/** What figures depend on: a figure without its machine means nothing. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly features: readonly string[] | null;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly package: string;
  readonly date: string;
  /** Processes that ran or waited, over the last minute: what else the machine has to do, when a run begins. */
  readonly load: number;
  readonly device: string;
  /** Libraries, threads, instruction set, or the GPU: see `Device.arithmetic`. */
  readonly arithmetic: Readonly<Record<string, string>>;
}

export function machine(device: Device): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    features: cpuFeatures(),
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    package: packageVersion(),
    date: new Date().toISOString(),
    load: loadavg()[0] ?? Number.NaN,
    device: device.name,
    arithmetic: device.arithmetic,
  };
}

const FEATURES =
  /^(sse4_2|avx|avx2|avx_vnni|fma|avx512(f|bw|vl|dq|_vnni|_bf16|_fp16)|amx_(tile|int8|bf16|fp16)|asimd|sve2?)$/;

/** Those of the processor that decide over speed, such as `avx2`; null where the system does not tell. */
export function cpuFeatures(): string[] | null {
  try {
    const [, flags] = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8')) ?? [];
    return flags?.split(' ').filter((flag) => FEATURES.test(flag)) ?? null;
  } catch {
    return null;
  }
}
