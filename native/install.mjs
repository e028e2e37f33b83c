// Builds the CPU addon where it is not current. Leaves build/Release/node_cudnn.node and build/deps.json.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  fetchOneDnn,
  findOneDnn,
  InstallError,
  root,
  runLocked,
  runScript,
  say,
  supplyOneDnn,
  unsupported,
} from './deps.mjs';

/** @typedef {import('./deps.mjs').OneDnn} OneDnn */
/** @typedef {{ cxx: string, python: string }} Tools */

const require = createRequire(import.meta.url);
const verbose = process.env.NODE_CUDNN_VERBOSE === '1';
const self = fileURLToPath(import.meta.url);
const buildDir = join(root, 'build');
const stampFile = join(buildDir, 'stamp.json');

function hasGlibc() {
  Object.assign(process.report, { excludeNetwork: true });
  const report = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (process.report.getReport());
  return report.header.glibcVersionRuntime !== undefined;
}

/**
 * @param {boolean} needPip
 * @returns {Tools}
 * @throws InstallError that names all that is missing
 */
function findTools(needPip) {
  const { env } = process;
  const probe = '#include <omp.h>\n#include <optional>\nstd::optional<int> x;\n';
  const cxx = (env.CXX ? [env.CXX] : ['g++', 'clang++']).find((command) =>
    succeeds(`${command} -std=gnu++17 -fopenmp -fsyntax-only -x c++ -`, probe),
  );
  const python = [env.npm_config_python, env.PYTHON, 'python3', 'python'].find(
    (command) => command && succeeds(`"${command}" -c "import sys; assert sys.version_info >= (3, 8)"`),
  );
  const missing = [];
  if (!cxx) {
    missing.push(
      `a C++17 compiler with OpenMP${env.CXX ? ` (CXX=${env.CXX} is none)` : ''}: install g++ (Debian, ` +
        'Ubuntu: apt-get install build-essential; Fedora: dnf install gcc-c++ make), or name yours in CXX',
    );
  }
  if (!succeeds('make --version')) missing.push('make: it comes with build-essential (Fedora: make)');
  if (!python) {
    missing.push('Python 3.8 or newer: install python3, or name yours in PYTHON');
  }
  if (needPip && process.arch !== 'x64') {
    missing.push(`oneDNN >= 3.2, which cannot be fetched for ${process.arch}: ${supplyOneDnn}`);
  } else if (needPip && !succeeds(`"${python}" -m pip --version`)) {
    missing.push(`oneDNN >= 3.2, which Python's pip would fetch: install python3-pip; or ${supplyOneDnn}`);
  }
  if (!cxx || !python || missing.length > 0) {
    throw new InstallError(`the CPU addon was not built. Missing:\n  - ${missing.join('\n  - ')}`);
  }
  return { cxx, python };
}

/**
 * @param {string} command for the shell
 * @param {string} [input]
 */
function succeeds(command, input = '') {
  return spawnSync('sh', ['-c', command], { input, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0;
}

/** The prefix with the headers that came with this Node; without, node-gyp downloads them. */
function nodeDir() {
  if (process.env.npm_config_nodedir) return process.env.npm_config_nodedir;
  const prefix = join(dirname(process.execPath), '..');
  const header = join(prefix, 'include/node/node_version.h');
  if (!existsSync(header)) return null;
  const text = readFileSync(header, 'utf8');
  const version = ['MAJOR', 'MINOR', 'PATCH'].map(
    (part) => new RegExp(`define NODE_${part}_VERSION (\\d+)`).exec(text)?.[1],
  );
  return version.join('.') === process.versions.node ? prefix : null;
}

/**
 * What a build depends on: `configure` decides over the makefiles, `build` over the addon.
 * @param {OneDnn} oneDnn
 */
function stampOf(oneDnn) {
  const sources = ['core', 'cpu', 'bind'].flatMap((dir) =>
    readdirSync(join(root, 'native', dir)).map((name) => `native/${dir}/${name}`),
  );
  const { CXX, CXXFLAGS, LDFLAGS, NODE_CUDNN_WERROR } = process.env;
  const napi = require('node-addon-api/package.json').version;
  const configure = hash([
    readFileSync(join(root, 'binding.gyp'), 'utf8'),
    JSON.stringify([sources, oneDnn, root, process.version, process.arch, nodeDir(), napi]),
    JSON.stringify([CXX, CXXFLAGS, LDFLAGS, NODE_CUDNN_WERROR]),
  ]);
  const build = hash([configure, ...sources.map((source) => readFileSync(join(root, source), 'utf8'))]);
  return { configure, build };
}

/** @param {string[]} parts */
function hash(parts) {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part).update('\0');
  return digest.digest('hex');
}

/** @returns {{ configure?: string, build?: string }} */
function savedStamp() {
  return existsSync(stampFile) ? JSON.parse(readFileSync(stampFile, 'utf8')) : {};
}

/** @param {OneDnn} oneDnn */
function isCurrent(oneDnn) {
  return (
    existsSync(join(buildDir, 'Release/node_cudnn.node')) && savedStamp().build === stampOf(oneDnn).build
  );
}

/**
 * @param {OneDnn} oneDnn
 * @param {Tools} tools
 */
function build(oneDnn, tools) {
  const { configure, build } = stampOf(oneDnn);
  const configured = existsSync(join(buildDir, 'Makefile')) && savedStamp().configure === configure;
  mkdirSync(buildDir, { recursive: true });
  rmSync(stampFile, { force: true });
  if (!configured) {
    writeFileSync(join(buildDir, 'deps.json'), `${JSON.stringify({ onednn: oneDnn }, null, 2)}\n`);
    nodeGyp('configure', tools);
  }
  writeFileSync(stampFile, JSON.stringify({ configure }));
  nodeGyp('build', tools);
  writeFileSync(stampFile, JSON.stringify({ configure, build }));
}

/**
 * @param {'configure' | 'build'} step
 * @param {Tools} tools
 */
function nodeGyp(step, { cxx, python }) {
  const headers = nodeDir();
  const args = [require.resolve('node-gyp/bin/node-gyp.js'), step, `--python=${python}`];
  if (headers) args.push(`--nodedir=${headers}`);
  if (step === 'build') args.push(`--jobs=${process.env.JOBS ?? 'max'}`);
  const result = spawnSync(process.execPath, args, {
    cwd: root,
    env: { ...process.env, CXX: cxx },
    stdio: verbose ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: Number.POSITIVE_INFINITY,
  });
  if (result.status === 0) return;
  const hint =
    step === 'configure' && !headers
      ? `\nNode's headers were not found beside ${process.execPath}, so they are downloaded; to do without, ` +
        'name the folder that holds include/node in npm_config_nodedir.'
      : '';
  const log = verbose ? '' : `:\n${excerpt(`${result.stdout}\n${result.stderr}`)}`;
  throw new InstallError(`the CPU addon was not built: node-gyp ${step} failed${log}${hint}`);
}

/**
 * The first error of a log and what follows it.
 * @param {string} log
 */
function excerpt(log) {
  const noise = /^($|gyp info|gyp ERR! (stack at|System|command|cwd|node|not ok)|make)/;
  const lines = log.split('\n').filter((line) => !noise.test(line));
  const first = lines.findIndex((line) => /error:|undefined reference/.test(line));
  if (first < 0) return lines.slice(-30).join('\n');
  const compiler = lines.filter((line, index) => index >= first - 2 && !line.startsWith('gyp'));
  return compiler.slice(0, 40).join('\n');
}

/** @returns {number} exit status */
function main() {
  const problem = unsupported({ platform: process.platform, arch: process.arch, glibc: hasGlibc() });
  if (problem) {
    say(problem);
    return 1;
  }
  const { oneDnn, passedOver } = findOneDnn();
  if (oneDnn && isCurrent(oneDnn)) return 0;
  if (!process.argv.includes('--locked')) {
    const status = runLocked(self);
    if (status !== null) return status;
  }
  for (const reason of passedOver) say(`passed over: ${reason}`);
  const tools = findTools(oneDnn === null);
  if (!oneDnn) {
    say('fetching oneDNN 3.2 (39 MB)');
    fetchOneDnn(tools.python);
  }
  const usable = oneDnn ?? findOneDnn().oneDnn;
  if (!usable) throw new InstallError('the fetched oneDNN does not serve');
  say(`building the CPU addon with oneDNN ${usable.version} (${usable.source})`);
  build(usable, tools);
  return 0;
}

runScript(main, self);
