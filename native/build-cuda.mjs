// Builds the CUDA addon: build-cuda/Release/node_cudnn_cuda.node, and build-cuda/deps.json, which says with what.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeFound, fetchedCudaSize, findCuda, missingFrom } from './cuda-deps.mjs';
import { InstallError, root, runLocked, runScript, say } from './deps.mjs';

/** @typedef {import('./cuda-deps.mjs').Found} Found */

const require = createRequire(import.meta.url);
const verbose = process.env.NODE_CUDNN_VERBOSE === '1';
const self = fileURLToPath(import.meta.url);
const buildDir = join(root, 'build-cuda');
const depsFile = join(buildDir, 'deps.json');
/** Turing to Blackwell. The last one's PTX serves what comes later. */
const wanted = ['75', '80', '86', '89', '90', '100', '120'];

function options() {
  try {
    const { values } = parseArgs({
      options: {
        arch: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        locked: { type: 'boolean' },
      },
    });
    return values;
  } catch (error) {
    throw new InstallError(`${error instanceof Error ? error.message : error}\n${usage}`);
  }
}
const usage = 'Usage: npm run build:cuda [-- --arch native | --arch 90 | --arch 80,90]';

/**
 * The architectures to build for.
 * @param {string | undefined} asked
 * @param {Found} cuda
 */
function architectures(asked, cuda) {
  const nvcc = join(cuda.folder, 'bin/nvcc');
  const list = spawnSync(nvcc, ['--list-gpu-arch'], { encoding: 'utf8' });
  const known = [...(list.stdout ?? '').matchAll(/^compute_(\w+)$/gm)].map(([, arch]) => arch);
  if (known.length === 0)
    throw new InstallError(`${nvcc} --list-gpu-arch failed: ${list.error ?? list.stderr}`);
  if (asked !== undefined) {
    const archs = asked === 'native' ? nativeArchitectures() : asked.split(',');
    const unknown = archs.filter((arch) => !known.includes(arch));
    if (unknown.length === 0) return archs;
    throw new InstallError(
      `CUDA ${cuda.version} does not know the architecture ${unknown.join(', ')}; it knows ${known.join(', ')}.\n${usage}`,
    );
  }
  const archs = wanted.filter((arch) => known.includes(arch));
  const left = wanted.filter((arch) => !archs.includes(arch));
  if (left.length > 0)
    say(`left out: architectures ${left.join(', ')}, which CUDA ${cuda.version} does not know`);
  return archs;
}

/** Those of this machine's devices, as the driver tells them. */
function nativeArchitectures() {
  const query = ['--query-gpu=compute_cap', '--format=csv,noheader'];
  const { stdout, error, stderr } = spawnSync('nvidia-smi', query, { encoding: 'utf8' });
  const archs = [...(stdout ?? '').matchAll(/^(\d+)\.(\d)$/gm)].map(([, major, minor]) => `${major}${minor}`);
  if (archs.length > 0) return [...new Set(archs)].sort((a, b) => Number(a) - Number(b));
  const reason = error ? 'cannot be run' : (stdout + stderr).trim() || 'named none';
  throw new InstallError(`--arch native needs a GPU and its driver; nvidia-smi ${reason}`);
}

/** @returns {{ cuda: Found, cudnn: Found, frontend: Found }} */
function dependencies() {
  const found = findCuda();
  for (const reason of found.passedOver) say(`passed over: ${reason}`);
  for (const line of describeFound(found)) say(line);
  const { cuda, cudnn, frontend } = found;
  const missing = missingFrom(found);
  const cmake = spawnSync('cmake', ['--version']).status === 0;
  if (!cmake) missing.push('CMake: install it (Debian, Ubuntu: apt-get install cmake)');
  if (cuda && cudnn && frontend && cmake) return { cuda, cudnn, frontend };
  const fetching =
    cuda && cudnn && frontend
      ? ''
      : `\nOr have CUDA, cuDNN and cudnn-frontend fetched into this package (${fetchedCudaSize}):\n` +
        `  node "${join(root, 'dist/cli/main.js')}" setup cuda`;
  throw new InstallError(`the CUDA addon was not built. Missing:\n  - ${missing.join('\n  - ')}${fetching}`);
}

/**
 * @param {'configure' | 'build'} step
 * @param {string[]} args
 */
function cmakeJs(step, args) {
  const command = [require.resolve('cmake-js/bin/cmake-js'), step, '--directory', join(root, 'native/cuda')];
  const result = spawnSync(process.execPath, [...command, '--out', buildDir, ...args], {
    stdio: verbose ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: Number.POSITIVE_INFINITY,
  });
  if (result.status === 0) return;
  const log = verbose ? '' : `:\n${excerpt(`${result.stderr}\n${result.stdout}`)}`;
  throw new InstallError(`the CUDA addon was not built: cmake-js ${step} failed${log}`);
}

/**
 * The first error of a log and what follows it.
 * @param {string} log
 */
function excerpt(log) {
  const noise = /^($|INFO|ERROR OMG|-- |\[\d+\/\d+\]|\]| {2}'.*',?$)/;
  const lines = log.split('\n').filter((line) => !noise.test(line));
  const first = lines.findIndex((line) => /error[ :]|undefined reference/i.test(line));
  return (first < 0 ? lines.slice(-30) : lines.slice(Math.max(0, first - 1), first + 40)).join('\n');
}

/** @returns {number} exit status */
function main() {
  const { arch, help, locked } = options();
  if (help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  if (!locked) {
    const status = runLocked(self);
    if (status !== null) return status;
  }
  const found = dependencies();
  const archs = architectures(arch, found.cuda);
  say(`building the CUDA addon for architectures ${archs.join(', ')}, and PTX of the last: some minutes`);
  const { CXX, CXXFLAGS, LDFLAGS, CUDAFLAGS, NODE_CUDNN_WERROR } = process.env;
  const settings = { CXX, CXXFLAGS, LDFLAGS, CUDAFLAGS, NODE_CUDNN_WERROR };
  const deps = `${JSON.stringify({ ...found, architectures: archs, root, settings }, null, 2)}\n`;
  if (!existsSync(depsFile) || readFileSync(depsFile, 'utf8') !== deps) {
    rmSync(buildDir, { recursive: true, force: true });
    const values = {
      CUDAToolkit_ROOT: found.cuda.folder,
      CUDNN_ROOT: found.cudnn.folder,
      CUDNN_FRONTEND_ROOT: found.frontend.folder,
      CMAKE_CUDA_COMPILER: join(found.cuda.folder, 'bin/nvcc'),
      CMAKE_CUDA_ARCHITECTURES: archs
        .map((arch, i) => (i < archs.length - 1 ? `${arch}-real` : arch))
        .join(';'),
      ...(NODE_CUDNN_WERROR === '1' ? { NODE_CUDNN_WERROR: 'ON' } : {}),
    };
    cmakeJs(
      'configure',
      Object.entries(values).map(([name, value]) => `--CD${name}=${value}`),
    );
    writeFileSync(depsFile, deps);
  }
  const { JOBS } = process.env;
  cmakeJs('build', ['--parallel', /^\d+$/.test(JOBS ?? '') ? `${JOBS}` : String(availableParallelism())]);
  say('built build-cuda/Release/node_cudnn_cuda.node. Whether it works here says:');
  say(`  node "${join(root, 'dist/cli/main.js')}" doctor`);
  return 0;
}

runScript(main, self);
