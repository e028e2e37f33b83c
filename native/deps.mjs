// Finds or fetches what the addons are linked with; `node native/deps.mjs` prints it.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * @typedef {object} OneDnn
 * @property {string} version
 * @property {'DNNL_ROOT' | 'pkg-config' | 'system' | 'wheel'} source
 * @property {string} includeDir relative to the package for the fetched copy, else absolute
 * @property {string} libDir likewise
 */

/** A failure whose message is all that the user needs to see. */
export class InstallError extends Error {}

/**
 * What keeps a machine from running the CPU addon, in one sentence, or null.
 * @param {{ platform: string, arch: string, glibc: boolean }} machine
 */
export function unsupported({ platform, arch, glibc }) {
  if (platform === 'linux' && glibc && (arch === 'x64' || arch === 'arm64')) return null;
  const here = platform === 'linux' && !glibc ? `${platform}-${arch} without glibc` : `${platform}-${arch}`;
  return (
    `${here} is not supported: node-cudnn runs on Linux with glibc, on x86-64, ` +
    'and on arm64 with a oneDNN of your own.'
  );
}

export const depsDir = join(root, 'native', '.deps');
const fetchedDir = join(depsDir, 'onednn-3.2');
const fetchedLibrary = { name: 'libdnnl.so.3.2', bytes: 54569528 };
const requirements = `\
onednn-cpu-gomp==2023.2.0 --hash=sha256:2f22a54d6a890ed14bfa185d42a4be65d8b5b1df85dc1f0f3a9abe31620416fb
onednn-devel-cpu-gomp==2023.2.0 --hash=sha256:9763c69e8c907e119056bd52ad918ca84ac9ba939d130a99dfa95ccca3e5e284
`;

/** How to do without the fetched copy. */
export const supplyOneDnn =
  'set DNNL_ROOT to the folder of a oneDNN >= 3.2 built with OpenMP (it holds include/ and lib/), ' +
  'or make one known to pkg-config (dnnl)';

/**
 * oneDNN from DNNL_ROOT, pkg-config, the system or an earlier fetch, the first that serves.
 * @param {{ env?: NodeJS.ProcessEnv, prefixes?: string[] }} [where]
 * @returns {{ oneDnn: OneDnn | null, passedOver: string[] }}
 * @throws InstallError where DNNL_ROOT is set and does not serve
 */
export function findOneDnn({ env = process.env, prefixes = ['/usr/local', '/usr'] } = {}) {
  if (env.DNNL_ROOT) {
    const result = inspect('DNNL_ROOT', join(env.DNNL_ROOT, 'include'), libDirs(env.DNNL_ROOT));
    if ('problem' in result) {
      throw new InstallError(
        `DNNL_ROOT does not serve: ${result.problem}.\nPoint it to oneDNN >= 3.2, or unset it to have oneDNN found or fetched.`,
      );
    }
    return { oneDnn: result, passedOver: [] };
  }
  /** @type {string[]} */
  const passedOver = [];
  for (const candidate of candidates(env, prefixes)) {
    if (!existsSync(join(candidate.includeDir, 'oneapi/dnnl/dnnl_version.h'))) continue;
    const result = inspect(candidate.source, candidate.includeDir, candidate.libDirs);
    if (!('problem' in result)) return { oneDnn: result, passedOver };
    passedOver.push(result.problem);
  }
  return { oneDnn: null, passedOver };
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @param {string[]} prefixes
 * @returns {Generator<{ source: OneDnn['source'], includeDir: string, libDirs: string[] }>}
 */
function* candidates(env, prefixes) {
  const query = spawnSync('pkg-config', ['--variable=includedir', 'dnnl'], { env, encoding: 'utf8' });
  if (query.status === 0) {
    const libDir = spawnSync('pkg-config', ['--variable=libdir', 'dnnl'], { env, encoding: 'utf8' });
    yield { source: 'pkg-config', includeDir: query.stdout.trim(), libDirs: [libDir.stdout.trim()] };
  }
  for (const prefix of prefixes) {
    yield { source: 'system', includeDir: join(prefix, 'include'), libDirs: libDirs(prefix) };
  }
  if (fetchedIsWhole()) {
    yield { source: 'wheel', includeDir: join(fetchedDir, 'include'), libDirs: [join(fetchedDir, 'lib')] };
  }
}

/** @param {string} prefix */
function libDirs(prefix) {
  const triple = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  return ['lib', 'lib64', `lib/${triple}`].map((dir) => join(prefix, dir));
}

/**
 * @param {OneDnn['source']} source
 * @param {string} includeDir
 * @param {string[]} libDirs
 * @returns {OneDnn | { problem: string }}
 */
function inspect(source, includeDir, libDirs) {
  const header = join(includeDir, 'oneapi/dnnl/dnnl_version.h');
  if (!existsSync(header)) return { problem: `there is no ${header}` };
  const text = readFileSync(header, 'utf8');
  const [major = 0, minor = 0, patch = 0] = ['MAJOR', 'MINOR', 'PATCH'].map((part) =>
    Number(new RegExp(`define DNNL_VERSION_${part}\\s+(\\d+)`).exec(text)?.[1] ?? 0),
  );
  const version = `${major}.${minor}.${patch}`;
  if (major < 3 || (major === 3 && minor < 2)) {
    return { problem: `oneDNN ${version} in ${includeDir} is older than 3.2` };
  }
  const config = join(includeDir, 'oneapi/dnnl/dnnl_config.h');
  if (!existsSync(config)) return { problem: `there is no ${config}` };
  const runtime = /define DNNL_CPU_RUNTIME DNNL_RUNTIME_(\w+)/.exec(readFileSync(config, 'utf8'))?.[1];
  if (runtime !== 'OMP') {
    return { problem: `oneDNN ${version} in ${includeDir} is built for the CPU runtime ${runtime}, not OMP` };
  }
  const libDir = libDirs.find((dir) => existsSync(join(dir, 'libdnnl.so')));
  if (!libDir)
    return { problem: `oneDNN ${version} in ${includeDir} has no libdnnl.so in ${libDirs.join(', ')}` };
  if (source === 'wheel') {
    return { version, source, includeDir: relative(root, includeDir), libDir: relative(root, libDir) };
  }
  if (/\s/.test(includeDir + libDir)) {
    return { problem: `make cannot use oneDNN ${version} in ${includeDir}: there is a space in the path` };
  }
  return { version, source, includeDir: resolve(includeDir), libDir: resolve(libDir) };
}

function fetchedIsWhole() {
  const library = statSync(join(fetchedDir, 'lib', fetchedLibrary.name), { throwIfNoEntry: false });
  return library?.size === fetchedLibrary.bytes;
}

/**
 * Downloads the pinned oneDNN into native/.deps.
 * @param {string} python that has pip
 * @throws InstallError
 */
export function fetchOneDnn(python) {
  const advice =
    'oneDNN >= 3.2 was not found on this machine, and pip could not fetch it. Give pip a network, a mirror ' +
    '(PIP_INDEX_URL) or a folder with the wheels of onednn-cpu-gomp and onednn-devel-cpu-gomp 2023.2.0 ' +
    `(PIP_FIND_LINKS); or ${supplyOneDnn}.`;
  fetchWheels(python, requirements, fetchedDir, advice, (unpacked, whole) => {
    const library = join(unpacked, 'onednn_cpu_gomp-2023.2.0.data/data');
    mkdirSync(join(whole, 'lib'));
    renameSync(join(unpacked, 'onednn_devel_cpu_gomp-2023.2.0.data/data/include'), join(whole, 'include'));
    renameSync(join(library, 'share/doc/onednn'), join(whole, 'doc'));
    renameSync(join(library, 'lib', fetchedLibrary.name), join(whole, 'lib', fetchedLibrary.name));
    symlinkSync(fetchedLibrary.name, join(whole, 'lib/libdnnl.so.3'));
    symlinkSync('libdnnl.so.3', join(whole, 'lib/libdnnl.so'));
  });
}

/**
 * Downloads wheels, checks their hashes, unpacks them. Only while the lock is held: see runLocked.
 * @param {string} python that has pip
 * @param {string} requirements with hashes, for pip
 * @param {string} target a folder of native/.deps, which appears whole or not at all
 * @param {string} advice what to do where it fails
 * @param {(unpacked: string, whole: string) => void} arrange moves what is wanted from all wheels' content to `whole`
 * @param {string[]} [options] of `pip download`
 * @throws InstallError
 */
export function fetchWheels(python, requirements, target, advice, arrange, options = []) {
  mkdirSync(depsDir, { recursive: true });
  for (const name of readdirSync(depsDir).filter((name) => name.startsWith('fetch-'))) {
    rmSync(join(depsDir, name), { recursive: true });
  }
  const temporary = mkdtempSync(join(depsDir, 'fetch-'));
  const wheels = join(temporary, 'wheels');
  const unpacked = join(temporary, 'unpacked');
  const whole = join(temporary, 'whole');
  try {
    const list = join(temporary, 'requirements.txt');
    writeFileSync(list, requirements);
    const download = ['download', '--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes'];
    run(python, ['-m', 'pip', ...download, ...options, '--dest', wheels, '--requirement', list], advice);
    for (const name of readdirSync(wheels)) {
      run(python, ['-m', 'zipfile', '-e', join(wheels, name), unpacked], advice);
      rmSync(join(wheels, name));
    }
    mkdirSync(whole);
    arrange(unpacked, whole);
    rmSync(target, { recursive: true, force: true });
    renameSync(whole, target);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} advice
 */
function run(command, args, advice) {
  const env = { ...process.env, PIP_REQUIRE_VIRTUALENV: '0', PIP_DISABLE_PIP_VERSION_CHECK: '1' };
  const result = spawnSync(command, args, { env, encoding: 'utf8' });
  if (result.status === 0) return;
  const lines = `${result.stdout}\n${result.stderr}`.split('\n').filter((line) => line.trim() !== '');
  if (lines.some((line) => line.includes('Retrying'))) lines.push('The package index could not be reached.');
  const reasons = lines.filter((line) => !line.startsWith('WARNING')).slice(-5);
  throw new InstallError(`${reasons.join('\n')}\n${advice}`);
}

/**
 * Runs a script again with `--locked` and the same arguments, one at a time in this package.
 * @param {string} script
 * @returns {number | null} its exit status; null without flock(1), where the caller goes on unguarded
 */
export function runLocked(script) {
  mkdirSync(depsDir, { recursive: true });
  const args = [
    '--close',
    join(depsDir, 'lock'),
    process.execPath,
    script,
    ...process.argv.slice(2),
    '--locked',
  ];
  const { error, status } = spawnSync('flock', args, { stdio: 'inherit' });
  return error ? null : (status ?? 1);
}

/** @param {string} message */
export function say(message) {
  console.error(`node-cudnn: ${message}`);
}

/**
 * The start of a script's life: its exit status, or its failure as one message.
 * @param {() => number} main
 * @param {string} script to run when what is missing is there
 */
export function runScript(main, script) {
  try {
    process.exitCode = main();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    if (!(error instanceof InstallError) && process.env.NODE_CUDNN_VERBOSE === '1') console.error(error);
    console.error(`Then run: node "${script}"`);
    process.exitCode = 1;
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify(findOneDnn(), null, 2));
}
