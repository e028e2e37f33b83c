import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import type { Command } from 'commander';
import { cpuFeatures } from '../bench/machine.js';
import { type CudaReport, cudaReport } from '../cuda.js';
import { reasonOf } from '../errors.js';
import { cpuBackend } from '../native.js';
import { examples } from './options.js';
import { writeJson, writeLine } from './output.js';

/** What `alexnet doctor --json` writes, in one line. */
export interface DoctorReport {
  /** Whether the CPU addon works. */
  ok: boolean;
  /** Such as `v20.20.2`. */
  node: string;
  /** Operating system, architecture, and on Linux the C library, such as `linux x64 glibc 2.36`. */
  platform: string;
  cpu: {
    model: string;
    /** Logical ones that this process may run on. */
    cores: number;
    /** Those that decide over speed, such as `avx2`; null where the system does not tell. */
    features: string[] | null;
    /** Threads of an operation unless `--threads` says otherwise; null without the addon. */
    threads: number | null;
  };
  addon: {
    /** What its own kernels are chosen for, such as `AVX2`; null without the addon. */
    instructionSet: string | null;
    /** Why it does not work, and what to do; null if it does. */
    error: string | null;
  };
  onednn: {
    /** Of the library that was loaded; without the addon, of the one that it was built with; null before any build. */
    version: string | null;
    /** Where the build found it: `DNNL_ROOT`, `pkg-config`, `system` or `wheel` (fetched by the install script). */
    source: string | null;
    /** The library's folder then, absolute or relative to this package. */
    folder: string | null;
  };
  cuda: CudaReport;
}

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('say what works on this machine')
    .description(
      'Says what this machine has and whether the CPU addon works: exit status 0 if it does, else 1. Says of CUDA what is missing.',
    )
    .option('--json', 'one JSON object')
    .option('--verbose', 'stack trace of errors')
    .addHelpText('after', examples(['alexnet doctor', 'what works here, and what does not']))
    .action(({ json = false }: { json?: boolean }) => {
      const report = examine();
      if (json) writeJson(report);
      else for (const line of describe(report)) writeLine(line);
      process.exitCode = report.ok ? 0 : 1;
    });
}

function examine(): DoctorReport {
  const { backend, error } = loadBackend();
  const built = builtWith();
  return {
    ok: error === null,
    node: process.version,
    platform: platform(),
    cpu: {
      model: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      features: cpuFeatures(),
      threads: backend === null ? null : Number(backend.threads),
    },
    addon: { instructionSet: backend?.instructionSet ?? null, error },
    onednn: { ...built, version: backend?.onednn ?? built.version },
    cuda: cudaReport(),
  };
}

function loadBackend(): { backend: Record<string, string> | null; error: string | null } {
  try {
    return { backend: cpuBackend().describe(), error: null };
  } catch (error) {
    return { backend: null, error: reasonOf(error) };
  }
}

/** The note that the install script left in `build/`. */
function builtWith(): DoctorReport['onednn'] {
  type Found = { version?: string; source?: string; libDir?: string };
  try {
    const text = readFileSync(new URL('../../build/deps.json', import.meta.url), 'utf8');
    const { onednn } = JSON.parse(text) as { onednn: Found };
    return { version: onednn.version ?? null, source: onednn.source ?? null, folder: onednn.libDir ?? null };
  } catch {
    return { version: null, source: null, folder: null };
  }
}

function platform(): string {
  // Without this the report asks the network for names.
  Object.assign(process.report, { excludeNetwork: true });
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const glibc = header?.glibcVersionRuntime;
  return [process.platform, process.arch, ...(glibc === undefined ? [] : [`glibc ${glibc}`])].join(' ');
}

function describe({ node, platform, cpu, addon, onednn, cuda }: DoctorReport): string[] {
  const threads = cpu.threads === null ? '' : `, ${cpu.threads} threads by default`;
  const from = [onednn.source, onednn.folder].filter((part) => part !== null).join(', ');
  return [
    `Node: ${node}`,
    `platform: ${platform}`,
    `CPU: ${cpu.model}, ${cpu.cores} cores${threads}`,
    `features: ${cpu.features?.join(' ') ?? 'unknown'}`,
    `addon: ${addon.error ?? `works, with kernels for ${addon.instructionSet}`}`,
    `oneDNN: ${onednn.version ?? 'unknown'}${from === '' ? '' : ` (${from})`}`,
    `CUDA: ${cuda.reason ?? `works, CUDA ${cuda.version}, cuDNN ${cuda.cudnn}, driver for CUDA ${cuda.driver}`}`,
    ...cuda.devices.map(
      ({ name, model, computeCapability, problem }) =>
        `${name}: ${problem ?? `${model}, compute capability ${computeCapability}`}`,
    ),
    ...cuda.pairs.map(
      ({ devices, direct }) =>
        `${devices.join(' and ')}: copies go ${direct ? 'directly' : "through the host's memory"}`,
    ),
  ];
}
