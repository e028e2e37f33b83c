import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { expect } from 'chai';
import { findCuda, missingFrom } from '../../native/cuda-deps.mjs';
import { InstallError, root } from '../../native/deps.mjs';

function write(path: string, text = ''): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function writeScript(path: string, text: string): void {
  write(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}

/** `version` as CUDA writes it: 13050 is 13.5. */
function writeCuda(folder: string, version: number, archs = '75 80 86 87 89 90 100 120'): void {
  write(join(folder, 'include/cuda.h'), `#define CUDA_VERSION ${version}\n`);
  for (const header of ['cuda_runtime.h', 'crt/host_defines.h', 'nv/target', 'cublas_v2.h']) {
    write(join(folder, 'include', header));
  }
  writeScript(join(folder, 'bin/nvcc'), `for arch in ${archs}; do echo compute_$arch; done`);
  write(join(folder, 'lib/libcublas.so.13'));
}

function writeCudnn(folder: string, version: string, cudaMajor: number): void {
  const [major, minor, patch] = version.split('.');
  write(
    join(folder, 'include/cudnn_version.h'),
    `#define CUDNN_MAJOR ${major}\n#define CUDNN_MINOR ${minor}\n#define CUDNN_PATCHLEVEL ${patch}\n`,
  );
  write(join(folder, 'lib/libcudnn.so.9'));
  write(join(folder, 'lib/libcudnn_adv.so.9'), `\0libcublasLt.so.${cudaMajor}\0`);
}

function writeFrontend(folder: string): void {
  write(
    join(folder, 'include/cudnn_frontend_version.h'),
    '#define CUDNN_FRONTEND_MAJOR_VERSION 1\n#define CUDNN_FRONTEND_MINOR_VERSION 32\n#define CUDNN_FRONTEND_PATCH_VERSION 0\n',
  );
}

/** A Python environment's folder of packages, with all of it. */
function writeSite(site: string): void {
  writeCuda(join(site, 'nvidia/cu13'), 13050);
  writeCudnn(join(site, 'nvidia/cudnn'), '9.28.1', 13);
  writeFrontend(site);
}

describe('CUDA: build', () => {
  let scratch: string;

  beforeEach(() => {
    scratch = realpathSync(mkdtempSync(join(tmpdir(), 'node-cudnn-build-')));
  });
  afterEach(() => {
    rmSync(scratch, { recursive: true, force: true });
  });

  describe('findCuda', () => {
    const nowhere = { env: { PATH: '' }, prefixes: [], sites: [], fetched: '/nonexistent' };

    it('takes all from a Python environment, and after that what was fetched', () => {
      const [site, fetched] = [join(scratch, 'site-packages'), join(scratch, 'fetched')];
      writeSite(site);
      writeSite(fetched);
      const found = findCuda({ ...nowhere, sites: [site], fetched });
      expect(found).to.deep.equal({
        cuda: { version: '13.5', source: 'Python environment', folder: `${site}/nvidia/cu13` },
        cudnn: { version: '9.28.1', source: 'Python environment', folder: `${site}/nvidia/cudnn` },
        frontend: { version: '1.32.0', source: 'Python environment', folder: site },
        passedOver: [],
      });
      const { cuda, cudnn, frontend } = findCuda({ ...nowhere, fetched });
      expect([cuda, cudnn, frontend].map((one) => one?.source)).to.deep.equal(
        Array(3).fill('alexnet setup cuda'),
      );
    });

    it('takes an activated environment', () => {
      writeSite(join(scratch, 'lib/python3.12/site-packages'));
      const env = { PATH: '', VIRTUAL_ENV: scratch };
      const { cuda } = findCuda({ env, prefixes: [], fetched: '/nonexistent' });
      expect(cuda?.folder).to.equal(join(scratch, 'lib/python3.12/site-packages/nvidia/cu13'));
    });

    it('takes CUDA of nvcc on PATH, and cuDNN and the headers beside it', () => {
      writeCuda(scratch, 12080);
      writeCudnn(scratch, '9.1.0', 12);
      writeFrontend(scratch);
      const bin = join(scratch, 'elsewhere');
      mkdirSync(bin);
      symlinkSync(join(scratch, 'bin/nvcc'), join(bin, 'nvcc'));
      const { cuda, cudnn, frontend } = findCuda({ ...nowhere, env: { PATH: bin } });
      expect(cuda).to.deep.equal({ version: '12.8', source: 'nvcc on PATH', folder: scratch });
      expect(cudnn).to.deep.equal({ version: '9.1.0', source: 'beside CUDA', folder: scratch });
      expect(frontend?.source).to.equal('beside cuDNN');
    });

    it('passes over what is old, incomplete or for another CUDA, and says so', () => {
      const [old, part, good] = ['old', 'part', 'good'].map((name) => join(scratch, name)) as [
        string,
        string,
        string,
      ];
      writeCuda(old, 11080);
      writeCudnn(old, '8.9.7', 11);
      writeCuda(part, 12080);
      rmSync(join(part, 'bin/nvcc'));
      rmSync(join(part, 'lib'), { recursive: true });
      writeCudnn(part, '9.1.0', 12);
      writeCuda(good, 13000);
      writeCudnn(good, '9.28.1', 13);
      const { cuda, cudnn, passedOver } = findCuda({ ...nowhere, prefixes: [old, part, good] });
      expect([cuda?.folder, cudnn?.folder]).to.deep.equal([good, good]);
      expect(passedOver).to.deep.equal([
        `CUDA 11.8 in ${old} is older than 12`,
        `CUDA 12.8 in ${part} has no bin/nvcc, no libcublas`,
      ]);
      rmSync(join(good, 'include/cudnn_version.h'));
      const again = findCuda({ ...nowhere, prefixes: [old, part, good] });
      expect(again.cudnn).to.equal(null);
      expect(again.passedOver.slice(2)).to.deep.equal([
        `cuDNN 8.9.7 in ${old} is for CUDA 11, and CUDA 13.0 was found`,
        `cuDNN 9.1.0 in ${part} is for CUDA 12, and CUDA 13.0 was found`,
      ]);
    });

    it('takes what a variable names, or refuses it by name', () => {
      writeCuda(scratch, 13050);
      writeCudnn(scratch, '8.9.7', 13);
      const { cuda } = findCuda({ ...nowhere, env: { PATH: '', CUDA_HOME: scratch } });
      expect(cuda).to.deep.equal({ version: '13.5', source: 'CUDA_HOME', folder: scratch });
      for (const [variable, problem] of [
        ['CUDNN_ROOT', `cuDNN 8.9.7 in ${scratch} is older than 9`],
        ['CUDNN_FRONTEND_ROOT', 'there is no cudnn-frontend in it'],
      ] as const) {
        const env = { PATH: '', CUDAToolkit_ROOT: scratch, [variable]: scratch };
        expect(() => findCuda({ ...nowhere, env })).to.throw(
          InstallError,
          `${variable}=${scratch} does not serve: ${problem}`,
        );
      }
    });

    it('names what is missing and each way to supply it', () => {
      const [cuda, cudnn, frontend, ...more] = missingFrom(findCuda(nowhere));
      expect(cuda).to.match(/^CUDA >= 12: .*PATH.*\/usr\/local\/cuda.*Python.*CUDAToolkit_ROOT or CUDA_HOME/);
      expect(cudnn).to.match(/^cuDNN >= 9: .*nvidia-cudnn-cu13.*CUDNN_ROOT/);
      expect(frontend).to.match(/^cudnn-frontend >= 1\.13: .*nvidia-cudnn-frontend.*CUDNN_FRONTEND_ROOT/);
      expect(more).to.deep.equal([]);
    });
  });

  describe('npm run build:cuda', () => {
    let copy: string;
    let bin: string;
    let toolkit: string;

    beforeEach(() => {
      copy = join(scratch, 'package');
      bin = join(scratch, 'bin');
      toolkit = join(scratch, 'toolkit');
      mkdirSync(join(copy, 'native/cuda'), { recursive: true });
      for (const file of ['deps', 'cuda-deps', 'build-cuda', 'setup-cuda'].map(
        (name) => `native/${name}.mjs`,
      )) {
        copyFileSync(join(root, file), join(copy, file));
      }
      copyFileSync(join(root, 'native/cuda/package.json'), join(copy, 'native/cuda/package.json'));
      write(join(copy, 'native/cuda/CMakeLists.txt'));
      symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
      writeCuda(toolkit, 12080, '75 80 86 89 90');
      writeCudnn(toolkit, '9.28.1', 12);
      writeFrontend(toolkit);
      mkdirSync(bin);
      symlinkSync('/bin/sh', join(bin, 'sh'));
      writeScript(join(bin, 'g++'), '');
      // Notes how it was called; configuring leaves a cache as the real one does.
      writeScript(
        join(bin, 'cmake'),
        `case "$1" in
           --version) ;;
           --build) echo "$@" >> "${scratch}/calls"; [ ! -e "${scratch}/broken" ] || { echo "a.cc:3: error: no such thing"; exit 1; };;
           *) echo "$@" >> "${scratch}/calls"; : > CMakeCache.txt;;
         esac`,
      );
    });

    function run(script: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
      const result = spawnSync(process.execPath, [join(copy, 'native', script), ...args], {
        env: { PATH: bin, CUDA_HOME: toolkit, JOBS: '2', ...env },
        encoding: 'utf8',
      });
      expect(result.stdout + result.stderr).not.to.match(/^\s+at /m);
      return result;
    }

    /** Of CMake, since the last time. */
    function calls(): string[] {
      const file = join(scratch, 'calls');
      const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
      rmSync(file, { force: true });
      return lines;
    }

    it('says what it found, leaves out what this nvcc does not know, and hands all of it to CMake', () => {
      const { status, stderr } = run('build-cuda.mjs', [], { NODE_CUDNN_WERROR: '1' });
      expect(status, stderr).to.equal(0);
      expect(stderr).to.include(`node-cudnn: CUDA 12.8 in ${toolkit} (CUDA_HOME)`);
      expect(stderr).to.include(`node-cudnn: cuDNN 9.28.1 in ${toolkit} (beside CUDA)`);
      expect(stderr).to.include('left out: architectures 100, 120, which CUDA 12.8 does not know');
      const [configure, build, ...more] = calls();
      for (const part of [
        `-DCUDAToolkit_ROOT=${toolkit}`,
        `-DCUDNN_ROOT=${toolkit}`,
        `-DCUDNN_FRONTEND_ROOT=${toolkit}`,
        `-DCMAKE_CUDA_COMPILER=${toolkit}/bin/nvcc`,
        '-DCMAKE_CUDA_ARCHITECTURES=75-real;80-real;86-real;89-real;90 ',
        '-DNODE_CUDNN_WERROR=ON',
        'node-api-headers/include',
        'node-addon-api',
      ]) {
        expect(`${configure} `).to.include(part);
      }
      expect(build).to.equal(`--build ${copy}/build-cuda --config Release --parallel 2`);
      expect(more).to.deep.equal([]);
    });

    it('configures again only where something changed, and never touches build/', () => {
      write(join(copy, 'build/Release/node_cudnn.node'), 'the CPU addon');
      expect(run('build-cuda.mjs', ['--arch', '90']).status).to.equal(0);
      expect(calls()[0]).to.include('-DCMAKE_CUDA_ARCHITECTURES=90');
      expect(run('build-cuda.mjs', ['--arch', '90']).status).to.equal(0);
      expect(calls()).to.have.length(1);
      write(join(copy, 'build-cuda/left-over'));
      expect(run('build-cuda.mjs', ['--arch', '80,86']).status).to.equal(0);
      expect(calls()[0]).to.include('-DCMAKE_CUDA_ARCHITECTURES=80-real;86');
      expect(existsSync(join(copy, 'build-cuda/left-over'))).to.equal(false);
      expect(JSON.parse(readFileSync(join(copy, 'build-cuda/deps.json'), 'utf8'))).to.deep.include({
        architectures: ['80', '86'],
      });
      expect(readdirSync(join(copy, 'build'), { recursive: true })).to.have.length(2);
    });

    it('builds for the devices of this machine', () => {
      writeScript(join(bin, 'nvidia-smi'), 'printf "9.0\\n8.0\\n9.0\\n"');
      const { status, stderr } = run('build-cuda.mjs', ['--arch', 'native']);
      expect(status, stderr).to.equal(0);
      expect(calls()[0]).to.include('-DCMAKE_CUDA_ARCHITECTURES=80-real;90');
      rmSync(join(bin, 'nvidia-smi'));
      const refused = run('build-cuda.mjs', ['--arch', 'native']);
      expect(refused.status).to.equal(1);
      expect(refused.stderr).to.include('--arch native needs a GPU and its driver; nvidia-smi cannot be run');
    });

    it('refuses what it does not know', () => {
      for (const [args, message] of [
        [['--arch', '35'], 'CUDA 12.8 does not know the architecture 35; it knows 75, 80, 86, 89, 90.'],
        [['--fast'], "Unknown option '--fast'"],
      ] as const) {
        const { status, stderr } = run('build-cuda.mjs', args);
        expect(status).to.equal(1);
        expect(stderr).to.include(message).and.to.include('Usage: npm run build:cuda');
      }
    });

    it('says how it is used', () => {
      const { status, stdout } = run('build-cuda.mjs', ['--help']);
      expect(status).to.equal(0);
      expect(stdout).to.match(/^Usage: npm run build:cuda/);
      expect(calls()).to.deep.equal([]);
    });

    it('names all that is missing in one message, and what fetches it', () => {
      rmSync(join(bin, 'cmake'));
      const { status, stderr } = run('build-cuda.mjs', [], { CUDA_HOME: '' });
      expect(status).to.equal(1);
      for (const what of ['CUDA >= 12', 'cuDNN >= 9', 'cudnn-frontend >= 1.13', 'CMake']) {
        expect(stderr).to.include(`\n  - ${what}: `);
      }
      expect(stderr).to.match(/fetched into this package \(1\.2 GB.*\n +node ".*main\.js" setup cuda\n/);
      expect(existsSync(join(copy, 'build-cuda'))).to.equal(false);
    });

    it('shows the first error of a build that fails', () => {
      write(join(scratch, 'broken'));
      const { status, stderr } = run('build-cuda.mjs');
      expect(status).to.equal(1);
      expect(stderr).to.match(
        /not built: cmake-js build failed:\n[\s\S]*a\.cc:3: error: no such thing\nThen run/,
      );
    });
  });

  describe('alexnet setup cuda', () => {
    /** Runs it in a package of its own, with a Python whose pip leaves empty wheels. */
    function setup(pip: string) {
      const copy = join(scratch, 'package');
      const bin = join(scratch, 'bin');
      if (!existsSync(copy)) {
        mkdirSync(join(copy, 'native'), { recursive: true });
        mkdirSync(bin);
        for (const name of ['deps', 'cuda-deps', 'setup-cuda']) {
          copyFileSync(join(root, `native/${name}.mjs`), join(copy, `native/${name}.mjs`));
        }
      }
      writeScript(
        join(bin, 'python3'),
        `case "$*" in
           *--version*) ;;
           *download*) echo "$@" > "${scratch}/calls"; cp "$(eval echo "\\\${$#}")" "${scratch}/requirements"; ${pip};;
           *zipfile*) mkdir -p "$5/nvidia/cu13/bin" "$5/nvidia/cu13/nvvm/bin" "$5/include" "$5/cudnn" "$5/a.dist-info"; : > "$5/nvidia/cu13/bin/nvcc";;
         esac`,
      );
      const result = spawnSync(process.execPath, [join(copy, 'native/setup-cuda.mjs')], {
        env: { PATH: [bin, '/usr/bin', '/bin'].join(delimiter) },
        encoding: 'utf8',
      });
      expect(result.stderr).not.to.match(/^\s+at /m);
      return { ...result, deps: join(copy, 'native/.deps') };
    }
    // The folder that follows --dest.
    const leaveWheel = 'while [ "$1" != --dest ]; do shift; done; mkdir -p "$2"; : > "$2/one.whl"';

    it('fetches pinned wheels by their hashes, once, and says the next command', () => {
      const { status, stderr, deps } = setup(leaveWheel);
      expect(status, stderr).to.equal(0);
      expect(stderr).to.match(/nvidia-cudnn-cu13 9\.28\.1\.4, 517 MB[\s\S]*1\.2 GB to download, 2\.1 GB/);
      expect(stderr).to.match(/next: node ".*native\/build-cuda\.mjs"\n$/);
      expect(readFileSync(join(scratch, 'calls'), 'utf8')).to.include('--require-hashes');
      const pins = readFileSync(join(scratch, 'requirements'), 'utf8').trim().split('\n');
      expect(pins).to.have.length(9);
      for (const pin of pins) expect(pin).to.match(/^nvidia-[a-z0-9-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}$/);
      const [folder = ''] = readdirSync(deps).filter((name) => name !== 'lock');
      expect(readdirSync(join(deps, folder)).sort()).to.deep.equal(['a.dist-info', 'include', 'nvidia']);
      expect(spawnSync('test', ['-x', join(deps, folder, 'nvidia/cu13/bin/nvcc')]).status).to.equal(0);
      const again = setup('exit 1');
      expect([again.status, again.stderr.includes('already there')]).to.deep.equal([0, true]);
    });

    it('says why it could not, and leaves nothing of the attempt', () => {
      const { status, stderr, deps } = setup(
        'echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" >&2; exit 1',
      );
      expect(status).to.equal(1);
      expect(stderr).to.match(/DO NOT MATCH[\s\S]*PIP_INDEX_URL.*PIP_FIND_LINKS.*nvidia-cublas 13/);
      expect(readdirSync(deps).filter((name) => name !== 'lock')).to.deep.equal([]);
    });
  });
});
