import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A device of the CUDA backend. */
export interface CudaDevice {
  /** `cuda:0`, `cuda:1`, … */
  readonly name: string;
  /** Such as `NVIDIA H100 80GB HBM3`. */
  readonly model: string;
  /** Such as `9.0`. */
  readonly computeCapability: string;
  /** Why the addon cannot use it; null if it can. */
  readonly problem: string | null;
}

/** Two devices of the CUDA backend. */
export interface CudaPair {
  /** Such as `cuda:0` and `cuda:1`. */
  readonly devices: readonly [string, string];
  /** Whether copies between them go directly; otherwise they go through the host's memory. */
  readonly direct: boolean;
}

/** What of CUDA this machine has. */
export interface CudaReport {
  /** Whether some device can be used. */
  readonly available: boolean;
  /** Whether the CUDA addon was built. */
  readonly built: boolean;
  /** The first link that is missing, such as `built, no driver`, and what to do; null where none is. */
  readonly reason: string | null;
  /** The version of CUDA that the addon has in it, such as `13.5`; null where it could not be asked. */
  readonly version: string | null;
  /** The version of CUDA that the driver serves; null without a driver. */
  readonly driver: string | null;
  /** The version of cuDNN that was loaded. */
  readonly cudnn: string | null;
  readonly devices: readonly CudaDevice[];
  /** Each two of those that can be used. */
  readonly pairs: readonly CudaPair[];
}

/** What native/probe-cuda.mjs found out; `error` where the addon does not load. */
export type Probe =
  | { readonly facts: Readonly<Record<string, string>> }
  | { readonly error: string; readonly missing: readonly string[] }
  /** How the child process ended without an answer. */
  | { readonly crash: string };

/** What native/build-cuda.mjs noted beside the addon. */
export interface CudaBuild {
  readonly cuda?: { readonly version: string; readonly folder: string };
  readonly cudnn?: { readonly version: string; readonly folder: string };
  /** Such as `75` and `120`; the last one's PTX is there too. */
  readonly architectures?: readonly string[];
}

const root = new URL('../', import.meta.url);
const buildFolder = new URL('build-cuda/', root);
export const cudaAddon = fileURLToPath(new URL('Release/node_cudnn_cuda.node', buildFolder));
/** Right under every package manager. */
export const buildCudaCommand = `node "${fileURLToPath(new URL('native/build-cuda.mjs', root))}"`;

/** Of a machine with many devices the driver takes seconds. */
const PROBE_TIMEOUT_MS = 60_000;

let report: CudaReport | undefined;

/** What of CUDA is here, found out in a child process, once. Loads no CUDA library into this process. */
export function cudaReport(): CudaReport {
  report ??= existsSync(cudaAddon) ? diagnose(probe(), readBuild()) : NOT_BUILT;
  return report;
}

const NOT_BUILT: CudaReport = {
  available: false,
  built: false,
  reason: `not built: ${buildCudaCommand} builds the CUDA addon, and says what it needs`,
  version: null,
  driver: null,
  cudnn: null,
  devices: [],
  pairs: [],
};

function probe(): Probe {
  const script = fileURLToPath(new URL('native/probe-cuda.mjs', root));
  const { stdout, stderr, status, signal, error } = spawnSync(process.execPath, [script, cudaAddon], {
    encoding: 'utf8',
    timeout: PROBE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT')
    return { crash: `gave no answer within ${PROBE_TIMEOUT_MS / 1000} s` };
  if (error !== undefined) return { crash: `could not be asked: ${error.message}` };
  // Libraries may write there too.
  const answer = stdout.split('\n').findLast((line) => /^{"(facts|error)":/.test(line));
  if (status === 0 && answer !== undefined) return JSON.parse(answer) as Probe;
  const last = stderr.trimEnd().split('\n').at(-1) ?? '';
  const how = signal === null ? `with status ${status}` : `by ${signal}`;
  return { crash: `ended the process that asked ${how}${last === '' ? '' : `: ${last}`}` };
}

function readBuild(): CudaBuild {
  try {
    return JSON.parse(readFileSync(new URL('deps.json', buildFolder), 'utf8')) as CudaBuild;
  } catch {
    return {};
  }
}

/** The first link that is missing between an addon that was built and a device that computes. */
export function diagnose(probe: Probe, build: CudaBuild): CudaReport {
  if ('crash' in probe) {
    const advice = 'Whether it works without this package, nvidia-smi tells';
    const reason = `built, crashes: NVIDIA's driver, or the addon, ${probe.crash}. ${advice}`;
    return { ...NOT_BUILT, built: true, reason };
  }
  if ('error' in probe) return { ...NOT_BUILT, built: true, reason: `built, ${whyNotLoaded(probe, build)}` };
  const { cuda = '', driver = '0', cudnn = '', cudnnBuilt = '' } = probe.facts;
  const devices = devicesOf(probe.facts, build.architectures ?? []);
  const problem =
    driverProblem(driver, cuda) ??
    (devices.length === 0 ? `no device: the driver finds no GPU${seen('CUDA_VISIBLE_DEVICES')}` : null) ??
    cudnnProblem(cudnn, cudnnBuilt) ??
    (devices.every((device) => device.problem !== null) ? (devices[0]?.problem ?? null) : null);
  return {
    available: problem === null,
    built: true,
    reason: problem === null ? null : `built, ${problem}`,
    version: cuda,
    driver: driver === '0' ? null : driver,
    cudnn,
    devices,
    pairs: pairsOf(devices, probe.facts.peers ?? ''),
  };
}

function whyNotLoaded({ error, missing }: { error: string; missing: readonly string[] }, build: CudaBuild) {
  if (missing.length === 0) {
    return `does not load: ${error}. This builds it anew: ${buildCudaCommand}`;
  }
  const isCudnn = missing.some((name) => name.startsWith('libcudnn'));
  const folders = [isCudnn ? build.cudnn?.folder : undefined, build.cuda?.folder].filter(
    (folder) => folder !== undefined,
  );
  const where = folders.length === 0 ? '' : `; it was built with those in ${folders.join(' and ')}`;
  const what = isCudnn ? 'cuDNN not found' : 'libraries of CUDA not found';
  return `${what}: there is no ${missing.join(', no ')}${where}. With what is here now builds it: ${buildCudaCommand}`;
}

/** A driver serves all minor versions of the CUDA that it was made for, and older ones. */
function driverProblem(driver: string, cuda: string): string | null {
  if (driver === '0') return "no driver: NVIDIA's driver is not installed, or its libcuda.so.1 is not found";
  if (compare(driver, cuda, 1) >= 0) return null;
  const [needed] = cuda.split('.');
  return `driver too old: it serves CUDA ${driver}, and the addon needs one for CUDA ${needed}.0 or newer`;
}

function cudnnProblem(cudnn: string, built: string): string | null {
  const loaded = `${cudnn} was loaded, and the addon was built for ${built}${seen('LD_LIBRARY_PATH')}`;
  if (compare(cudnn, built, 1) !== 0) return `another cuDNN: ${loaded}`;
  return compare(cudnn, built, 3) < 0 ? `cuDNN too old: ${loaded}` : null;
}

function devicesOf(facts: Readonly<Record<string, string>>, architectures: readonly string[]): CudaDevice[] {
  return Array.from({ length: Number(facts.devices) }, (_, index) => {
    const fact = facts[`device${index}`] ?? '';
    const comma = fact.lastIndexOf(', ');
    const model = fact.slice(0, Math.max(comma, 0));
    const computeCapability = comma < 0 ? '' : fact.slice(comma + 2);
    const name = `cuda:${index}`;
    return {
      name,
      model,
      computeCapability,
      problem: deviceProblem(model, computeCapability, architectures),
    };
  });
}

/** @param peers indices of those that reach each other, such as `0-1,0-2` */
function pairsOf(devices: readonly CudaDevice[], peers: string): CudaPair[] {
  const direct = peers.split(',');
  const usable = [...devices.entries()].filter(([, { problem }]) => problem === null);
  return usable.flatMap(([index, { name }], i) =>
    usable.slice(i + 1).map(
      ([other, { name: otherName }]): CudaPair => ({
        devices: [name, otherName],
        direct: direct.includes(`${index}-${other}`),
      }),
    ),
  );
}

function deviceProblem(model: string, capability: string, architectures: readonly string[]): string | null {
  if (model === '') return 'device broken: the driver does not give its properties';
  const built = architectures.map((arch) => `${arch.slice(0, -1)}.${arch.slice(-1)}`);
  const newest = built.at(-1);
  if (newest === undefined || compare(capability, newest, 2) >= 0) return null;
  if (built.some((arch) => compare(capability, arch, 1) === 0 && compare(capability, arch, 2) >= 0))
    return null;
  return (
    `device too old for the build: ${model} has compute capability ${capability}, and the addon was built for ` +
    `${built.join(', ')} and newer. For the devices of this machine builds it: ${buildCudaCommand} --arch native`
  );
}

/** Of the first `count` parts of two versions: negative, 0 or positive. */
function compare(a: string, b: string, count: number): number {
  const [first, second] = [a, b].map((text) => text.split('.').map(Number));
  for (let part = 0; part < count; part++) {
    const difference = (first?.[part] ?? 0) - (second?.[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A variable of the environment that may explain it. */
function seen(variable: string): string {
  const value = process.env[variable];
  return value === undefined ? '' : ` (${variable} is "${value}")`;
}
