// Finds or fetches CUDA, cuDNN and the headers of cudnn-frontend; `node native/cuda-deps.mjs` prints them.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, realpathSync, renameSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { depsDir, fetchWheels, InstallError } from './deps.mjs';

/**
 * @typedef {object} Found
 * @property {string} version
 * @property {string} source how it was found, in words
 * @property {string} folder it holds include/, and what else the kind has
 */
/** @typedef {'cuda' | 'cudnn' | 'frontend'} Kind */
/** @typedef {{ source: string, folder: string }} Candidate */
/** @typedef {{ version: string } | { problem: string } | null} Inspected null where nothing of it is there */

/**
 * The wheels that `alexnet setup cuda` fetches: name, version, MB, SHA-256.
 * @type {readonly [name: string, version: string, megabytes: number, hash: string][]}
 */
export const wheels = [
  ['nvidia-cublas', '13.10.0.20', 444, 'dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84'],
  ['nvidia-cuda-cccl', '13.3.5.0.6', 4, 'd5230098fa2df5021e1a00c0c4eee41797671a91119d31e892463e5ccf3ee326'],
  ['nvidia-cuda-crt', '13.5.37', 0.2, 'e898b7f73d3035fa89915a3f7bf3b54a73e90249746111aed295822c4729bb29'],
  ['nvidia-cuda-nvcc', '13.5.37', 47, 'f5c4f7ead5d964fb4af42bbf1e6d3ec3c1e6e9d83b53749f691d387e7fcaa3a7'],
  ['nvidia-cuda-nvrtc', '13.5.37', 58, '86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc'],
  ['nvidia-cuda-runtime', '13.5.37', 2.5, 'df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d'],
  ['nvidia-cudnn-cu13', '9.28.1.4', 517, 'a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec'],
  ['nvidia-cudnn-frontend', '1.32.0', 12, 'c6006556017a4d1c914c52a556c71b1267f2d6a0500f742e7b4edef539878df0'],
  ['nvidia-nvvm', '13.5.37', 75, 'c41bfa362e407405163f103c2229f0765f8cc2ed7d148b754dc77f228bf7e070'],
];
/** The one wheel that depends on Python is the same for all: only its headers are used. */
const wheelTags = [
  '--python-version=3.11',
  '--implementation=cp',
  '--platform=manylinux_2_28_x86_64',
  '--platform=manylinux_2_27_x86_64',
  '--platform=manylinux2014_x86_64',
];
/** Laid out as a Python environment's site-packages. */
export const fetchedCuda = join(depsDir, 'cuda-13.5-cudnn-9.28.1');
export const fetchedCudaSize = '1.2 GB to download, 2.1 GB on the disk';

const triple = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
const cudaTarget = process.arch === 'arm64' ? 'targets/sbsa-linux' : 'targets/x86_64-linux';
const includeDirs = ['include', `include/${triple}`, `${cudaTarget}/include`];
const libDirs = ['lib64', 'lib', `lib/${triple}`, `${cudaTarget}/lib`];

/** @type {Record<Kind, { name: string, minimum: string, variables: string[], supply: string }>} */
const kinds = {
  cuda: {
    name: 'CUDA',
    minimum: '12',
    variables: ['CUDAToolkit_ROOT', 'CUDA_HOME'],
    supply:
      'install the CUDA toolkit, with nvcc and cuBLAS (looked for on PATH, in /usr/local/cuda and /usr, and as wheels ' +
      'in a Python environment: nvidia-cuda-nvcc, nvidia-cuda-cccl, nvidia-cublas), or name its folder in ' +
      'CUDAToolkit_ROOT or CUDA_HOME',
  },
  cudnn: {
    name: 'cuDNN',
    minimum: '9',
    variables: ['CUDNN_ROOT'],
    supply:
      "install cuDNN with its headers, for the same CUDA (looked for in CUDA's folder, /usr/local/cuda and /usr, and as a wheel " +
      'in a Python environment: nvidia-cudnn-cu13), or name its folder in CUDNN_ROOT',
  },
  frontend: {
    name: 'cudnn-frontend',
    // DeviceProperties are new in it.
    minimum: '1.13',
    variables: ['CUDNN_FRONTEND_ROOT'],
    supply:
      'get its headers (looked for beside cuDNN, in /usr/local and /usr, and as a wheel in a Python environment: ' +
      'nvidia-cudnn-frontend), or name the folder that holds include/cudnn_frontend.h in CUDNN_FRONTEND_ROOT',
  },
};

/**
 * @param {string} version
 * @param {string} minimum
 */
function isOlder(version, minimum) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = minimum.split('.').map(Number);
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}

/**
 * The first of each that serves, and what was there and does not.
 * @param {{ env?: NodeJS.ProcessEnv, prefixes?: string[], sites?: string[], fetched?: string }} [where]
 * @returns {{ [kind in Kind]: Found | null } & { passedOver: string[] }}
 * @throws InstallError where a folder is named in a variable and does not serve
 */
export function findCuda({
  env = process.env,
  prefixes = ['/usr/local/cuda', '/usr/local', '/usr'],
  sites = pythonSites(env),
  fetched = fetchedCuda,
} = {}) {
  /** @type {string[]} */
  const passedOver = [];
  /** @type {Candidate[]} */
  const system = prefixes.map((folder) => ({ source: 'system', folder }));
  const python = [
    ...sites.map((site) => ({ source: 'Python environment', site })),
    { source: 'alexnet setup cuda', site: fetched },
  ];
  /** @param {(name: string) => boolean} isWanted */
  const inPython = (isWanted) =>
    python.flatMap(({ source, site }) =>
      namesIn(join(site, 'nvidia'))
        .filter(isWanted)
        .map((name) => ({ source, folder: join(site, 'nvidia', name) })),
    );
  /**
   * @param {Kind} kind
   * @param {Candidate[]} candidates
   * @param {(folder: string) => Inspected} inspect
   * @returns {Found | null}
   */
  const first = (kind, candidates, inspect) => {
    const { name, minimum, variables } = kinds[kind];
    const variable = variables.find((variable) => env[variable]);
    const named = variable ? { source: variable, folder: env[variable] ?? '' } : null;
    for (const { source, folder } of named ? [named] : candidates) {
      let result = inspect(folder);
      if (result && 'version' in result && isOlder(result.version, minimum)) {
        result = { problem: `${name} ${result.version} in ${folder} is older than ${minimum}` };
      }
      if (result && 'version' in result) return { ...result, source, folder: resolve(folder) };
      if (named) {
        const problem = result?.problem ?? `there is no ${name} in it`;
        throw new InstallError(`${source}=${folder} does not serve: ${problem}`);
      }
      if (result) passedOver.push(result.problem);
    }
    return null;
  };

  const onPath = commandOnPath(env, 'nvcc');
  const cuda = first(
    'cuda',
    [
      ...(onPath ? [{ source: 'nvcc on PATH', folder: join(dirname(onPath), '..') }] : []),
      ...system,
      ...inPython((name) => /^cu\d+$/.test(name)),
    ],
    inspectCuda,
  );
  const cudnn = first(
    'cudnn',
    [
      ...(cuda ? [{ source: 'beside CUDA', folder: cuda.folder }] : []),
      ...system,
      ...inPython((name) => name === 'cudnn'),
    ],
    (folder) => inspectCudnn(folder, cuda),
  );
  const frontend = first(
    'frontend',
    [
      ...(cudnn ? [{ source: 'beside cuDNN', folder: cudnn.folder }] : []),
      ...system,
      ...python.map(({ source, site }) => ({ source, folder: site })),
    ],
    (folder) => versionIn(folder, 'cudnn_frontend_version.h', 'CUDNN_FRONTEND_', '_VERSION'),
  );
  return { cuda, cudnn, frontend, passedOver };
}

/**
 * What is missing and how to supply it, a line each.
 * @param {{ [kind in Kind]: Found | null }} found
 */
export function missingFrom(found) {
  return /** @type {Kind[]} */ (Object.keys(kinds))
    .filter((kind) => found[kind] === null)
    .map((kind) => `${kinds[kind].name} >= ${kinds[kind].minimum}: ${kinds[kind].supply}`);
}

/** @param {{ [kind in Kind]: Found | null }} found */
export function describeFound(found) {
  return /** @type {Kind[]} */ (Object.keys(kinds)).flatMap((kind) => {
    const one = found[kind];
    return one ? [`${kinds[kind].name} ${one.version} in ${one.folder} (${one.source})`] : [];
  });
}

/**
 * @param {string} folder
 * @returns {Inspected}
 */
function inspectCuda(folder) {
  const header = fileIn(folder, includeDirs, 'cuda.h');
  const [, digits] = /define CUDA_VERSION (\d+)/.exec(header ? readFileSync(header, 'utf8') : '') ?? [];
  if (!digits) return null;
  const version = `${Math.floor(Number(digits) / 1000)}.${Math.floor((Number(digits) % 1000) / 10)}`;
  const parts = {
    'bin/nvcc': existsSync(join(folder, 'bin/nvcc')),
    'cuda_runtime.h': fileIn(folder, includeDirs, 'cuda_runtime.h'),
    'crt/host_defines.h': fileIn(folder, includeDirs, 'crt/host_defines.h'),
    'nv/target': fileIn(folder, [...includeDirs, 'include/cccl', `${cudaTarget}/include/cccl`], 'nv/target'),
    'cublas_v2.h': fileIn(folder, includeDirs, 'cublas_v2.h'),
    libcublas: libraryIn(folder, 'libcublas.so'),
  };
  const missing = Object.entries(parts).flatMap(([name, there]) => (there ? [] : [name]));
  return missing.length === 0
    ? { version }
    : { problem: `CUDA ${version} in ${folder} has no ${missing.join(', no ')}` };
}

/**
 * @param {string} folder
 * @param {Found | null} cuda
 * @returns {Inspected}
 */
function inspectCudnn(folder, cuda) {
  const found = versionIn(folder, 'cudnn_version.h', 'CUDNN_');
  if (!found) return null;
  const library = libraryIn(folder, 'libcudnn.so');
  if (!library) return { problem: `cuDNN ${found.version} in ${folder} has no libcudnn.so` };
  const itsCuda = cudaOf(join(dirname(library), 'libcudnn_adv.so.9'));
  const major = cuda?.version.split('.')[0];
  if (!cuda || !itsCuda || itsCuda === major) return found;
  return {
    problem: `cuDNN ${found.version} in ${folder} is for CUDA ${itsCuda}, and CUDA ${cuda.version} was found`,
  };
}

/**
 * The major version of CUDA that a library of cuDNN was made for: it opens cuBLAS by that name.
 * @param {string} library
 */
function cudaOf(library) {
  if (!existsSync(library)) return null;
  const content = readFileSync(library);
  const name = 'libcublasLt.so.';
  const at = content.indexOf(name);
  return at < 0
    ? null
    : (/^\d+/.exec(content.toString('latin1', at + name.length, at + name.length + 4))?.[0] ?? null);
}

/**
 * @param {string} folder
 * @param {string} header
 * @param {string} prefix of the macros' names
 * @param {string} [suffix]
 */
function versionIn(folder, header, prefix, suffix = '') {
  const path = fileIn(folder, includeDirs, header);
  if (!path) return null;
  const text = readFileSync(path, 'utf8');
  const parts = ['MAJOR', 'MINOR', 'PATCH(?:LEVEL)?'].map(
    (part) => new RegExp(`define ${prefix}${part}${suffix}\\s+(\\d+)`).exec(text)?.[1] ?? '0',
  );
  return { version: parts.join('.') };
}

/**
 * @param {string} folder
 * @param {string[]} dirs
 * @param {string} name
 */
function fileIn(folder, dirs, name) {
  return dirs.map((dir) => join(folder, dir, name)).find((path) => existsSync(path));
}

/**
 * A library, with or without a version at the end of its name.
 * @param {string} folder
 * @param {string} name
 */
function libraryIn(folder, name) {
  return libDirs
    .flatMap((dir) => namesIn(join(folder, dir)).map((file) => join(folder, dir, file)))
    .find((path) => path.endsWith(`/${name}`) || path.includes(`/${name}.`));
}

/** @param {string} folder */
function namesIn(folder) {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @param {string} command
 */
function commandOnPath(env, command) {
  const path = (env.PATH ?? '').split(delimiter).map((dir) => join(dir, command));
  const found = path.find((file) => existsSync(file));
  return found && realpathSync(found);
}

/**
 * The site-packages of the active Python environment, and of the Python on PATH.
 * @param {NodeJS.ProcessEnv} env
 */
function pythonSites(env) {
  const lib = join(env.VIRTUAL_ENV ?? '', 'lib');
  const active = env.VIRTUAL_ENV ? namesIn(lib).map((name) => join(lib, name, 'site-packages')) : [];
  const program = 'import site, sys; print("\\n".join(p for p in sys.path if p.endswith("-packages")))';
  const { stdout } = spawnSync(env.PYTHON ?? 'python3', ['-c', program], { env, encoding: 'utf8' });
  return [...new Set([...active, ...(stdout ?? '').split('\n').filter((line) => line !== '')])];
}

/** Whether the pinned wheels have been fetched. */
export function isCudaFetched() {
  return existsSync(fetchedCuda);
}

/**
 * Downloads the pinned wheels into native/.deps.
 * @param {string} python that has pip
 * @throws InstallError
 */
export function fetchCuda(python) {
  const requirements = wheels.map(([name, version, , hash]) => `${name}==${version} --hash=sha256:${hash}\n`);
  const names = wheels.map(([name, version]) => `${name} ${version}`).join(', ');
  const advice =
    'CUDA and cuDNN were not fetched. Give pip a network, a mirror (PIP_INDEX_URL) or a folder with these wheels ' +
    `(PIP_FIND_LINKS): ${names}; or have CUDA, cuDNN and cudnn-frontend of your own, as README says.`;
  fetchWheels(
    python,
    requirements.join(''),
    fetchedCuda,
    advice,
    (unpacked, whole) => {
      for (const name of readdirSync(unpacked)) {
        if (/^(nvidia|include)$|\.dist-info$/.test(name)) renameSync(join(unpacked, name), join(whole, name));
      }
      // Unpacking loses permissions.
      for (const dir of ['bin', 'nvvm/bin'].map((dir) => join(whole, 'nvidia/cu13', dir))) {
        for (const name of readdirSync(dir)) chmodSync(join(dir, name), 0o755);
      }
    },
    wheelTags,
  );
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify(findCuda(), null, 2));
}
