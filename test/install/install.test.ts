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
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { expect } from 'chai';
import { findOneDnn, InstallError, root, unsupported } from '../../native/deps.mjs';

/** Where a command of this machine's PATH lies. */
function locate(command: string): string | undefined {
  const dirs = (process.env.PATH ?? '').split(delimiter);
  return dirs.map((dir) => join(dir, command)).find((path) => existsSync(path));
}

function writeOneDnn(prefix: string, version: string, runtime = 'OMP'): void {
  const include = join(prefix, 'include/oneapi/dnnl');
  mkdirSync(include, { recursive: true });
  const [major, minor, patch] = version.split('.');
  writeFileSync(
    join(include, 'dnnl_version.h'),
    `#define DNNL_VERSION_MAJOR ${major}\n#define DNNL_VERSION_MINOR ${minor}\n#define DNNL_VERSION_PATCH ${patch}\n`,
  );
  writeFileSync(join(include, 'dnnl_config.h'), `#define DNNL_CPU_RUNTIME DNNL_RUNTIME_${runtime}\n`);
  mkdirSync(join(prefix, 'lib'), { recursive: true });
  writeFileSync(join(prefix, 'lib/libdnnl.so'), '');
}

describe('installation', () => {
  let scratch: string;

  beforeEach(() => {
    scratch = realpathSync(mkdtempSync(join(tmpdir(), 'node-cudnn-')));
  });

  afterEach(() => {
    rmSync(scratch, { recursive: true, force: true });
  });

  describe('where nothing has been built', () => {
    /** Runs the install script of a copy of the package, with a PATH that has only `commands`. */
    function install(commands: Record<string, string>, env: NodeJS.ProcessEnv = {}) {
      const copy = join(scratch, 'a package');
      for (const dir of ['core', 'cpu', 'bind']) mkdirSync(join(copy, 'native', dir), { recursive: true });
      for (const file of ['package.json', 'binding.gyp', 'native/deps.mjs', 'native/install.mjs']) {
        copyFileSync(join(root, file), join(copy, file));
      }
      symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
      const bin = join(scratch, 'bin');
      mkdirSync(bin);
      symlinkSync('/bin/sh', join(bin, 'sh'));
      // CUDA is for those who ask for it.
      const touched = join(scratch, 'touched');
      const poisoned = {
        nvcc: `: > "${touched}"`,
        cmake: `: > "${touched}"`,
        'nvidia-smi': `: > "${touched}"`,
      };
      for (const [name, script] of Object.entries({ ...poisoned, ...commands })) {
        writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
        chmodSync(join(bin, name), 0o755);
      }
      const result = spawnSync(process.execPath, [join(copy, 'native/install.mjs')], {
        env: { PATH: bin, ...env },
        encoding: 'utf8',
      });
      expect(result.stderr).not.to.match(/^\s+at /m);
      expect(existsSync(touched), 'whether CUDA was looked for').to.equal(false);
      return { ...result, deps: join(copy, 'native/.deps') };
    }

    it('names all that is missing, and each way to supply it, in one message', () => {
      const { status, stderr } = install({});
      expect(status).to.equal(1);
      expect(stderr).to.match(/- a C\+\+17 compiler with OpenMP: install g\+\+ .* or name yours in CXX/);
      expect(stderr).to.match(/- make: /);
      expect(stderr).to.match(/- Python 3\.8 or newer: install python3, or name yours in PYTHON/);
      expect(stderr).to.match(/- oneDNN >= 3\.2.*: install python3-pip; or set DNNL_ROOT .*pkg-config/);
    });

    it('names only what is missing', () => {
      const { status, stderr } = install({ make: '', python3: '' });
      expect(status).to.equal(1);
      expect(stderr)
        .to.include('a C++17 compiler')
        .and.not.to.match(/- (make|Python|oneDNN)/);
    });

    it('says that a compiler named in CXX does not serve', () => {
      const { stderr } = install({ make: '', python3: '', 'g++': '' }, { CXX: 'nocc' });
      expect(stderr).to.include('CXX=nocc is none');
    });

    it('shows why oneDNN was not fetched, and leaves nothing of the attempt', () => {
      const python3 = `case "$*" in *download*) echo "ERROR: no such host" >&2; exit 1;; esac`;
      const { status, stderr, deps } = install({ make: '', 'g++': '', python3 });
      expect(status).to.equal(1);
      expect(stderr).to.match(/ERROR: no such host[\s\S]*PIP_INDEX_URL.*PIP_FIND_LINKS.*DNNL_ROOT/);
      expect(readdirSync(deps)).to.deep.equal([]);
    });

    it('fetches oneDNN by pinned versions and their hashes', () => {
      const download = `echo "$*" > ${scratch}/call
        for list; do :; done
        while read -r line; do echo "$line"; done < "$list" > ${scratch}/requirements
        exit 1`;
      install({ make: '', 'g++': '', python3: `case "$*" in *download*) ${download};; esac` });
      expect(readFileSync(join(scratch, 'call'), 'utf8')).to.match(/^-m pip download .*--require-hashes /);
      const pins = readFileSync(join(scratch, 'requirements'), 'utf8').trim().split('\n');
      expect(pins).to.have.length(2);
      for (const pin of pins) expect(pin).to.match(/^onednn-[a-z-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}$/);
    });

    it('refuses an old oneDNN in DNNL_ROOT by name', () => {
      writeOneDnn(scratch, '2.6.0');
      const { status, stderr } = install({}, { DNNL_ROOT: scratch });
      expect(status).to.equal(1);
      expect(stderr).to.include(`DNNL_ROOT does not serve: oneDNN 2.6.0 in ${scratch}/include`);
    });
  });

  it('does nothing where all is current: no output, no compiler, nothing written', () => {
    const bin = join(scratch, 'bin');
    mkdirSync(bin);
    const pkgConfig = locate('pkg-config');
    if (pkgConfig) symlinkSync(pkgConfig, join(bin, 'pkg-config'));
    const written = () =>
      ['Release/node_cudnn.node', 'stamp.json', 'deps.json'].map(
        (file) => statSync(join(root, 'build', file)).mtimeMs,
      );
    const before = written();
    const result = spawnSync(process.execPath, [join(root, 'native/install.mjs')], {
      env: { ...process.env, PATH: bin },
      encoding: 'utf8',
    });
    expect(result.stdout + result.stderr).to.equal('');
    expect(result.status).to.equal(0);
    expect(written()).to.deep.equal(before);
  });

  it('builds in build/, anew too, and leaves build-cuda/ alone', () => {
    const copy = join(scratch, 'package');
    for (const dir of ['core', 'cpu', 'bind']) mkdirSync(join(copy, 'native', dir), { recursive: true });
    for (const file of ['package.json', 'binding.gyp']) copyFileSync(join(root, file), join(copy, file));
    for (const file of ['deps.mjs', 'install.mjs', 'check-symbols.mjs'])
      copyFileSync(join(root, 'native', file), join(copy, 'native', file));
    for (const dir of ['node_modules', 'native/.deps']) symlinkSync(join(root, dir), join(copy, dir));
    const marker = join(copy, 'build-cuda/Release/node_cudnn_cuda.node');
    mkdirSync(join(marker, '..'), { recursive: true });
    writeFileSync(marker, 'of CUDA');
    for (const source of ['int first;', 'int second;']) {
      writeFileSync(join(copy, 'native/bind/addon.cc'), source);
      const { status, stderr } = spawnSync(process.execPath, [join(copy, 'native/install.mjs')], {
        encoding: 'utf8',
      });
      expect(status, stderr).to.equal(0);
      expect(
        readFileSync(join(copy, 'build/Release/node_cudnn.node')).includes(source.slice(4, -1)),
      ).to.equal(true);
      expect(readFileSync(marker, 'utf8')).to.equal('of CUDA');
      rmSync(join(copy, 'build/Makefile'));
    }
  });

  it('compiles no TypeScript again where that is current: nothing written', () => {
    const written = () =>
      readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' }).map((file) => [
        file,
        statSync(join(root, 'dist', file)).mtimeMs,
      ]);
    const before = written();
    const result = spawnSync('npm', ['run', '--silent', 'prepare'], { cwd: root, encoding: 'utf8' });
    expect([result.status, result.stdout, result.stderr]).to.deep.equal([0, '', '']);
    expect(written()).to.deep.equal(before);
  });

  describe('findOneDnn', () => {
    it('passes over an old system library and says so', () => {
      const [old, fresh] = [join(scratch, 'old'), join(scratch, 'new')];
      writeOneDnn(old, '2.6.0');
      writeOneDnn(fresh, '3.5.1');
      const { oneDnn, passedOver } = findOneDnn({ env: { PATH: '' }, prefixes: [old, fresh] });
      expect(passedOver).to.deep.equal([`oneDNN 2.6.0 in ${old}/include is older than 3.2`]);
      expect(oneDnn).to.deep.equal({
        version: '3.5.1',
        source: 'system',
        includeDir: `${fresh}/include`,
        libDir: `${fresh}/lib`,
      });
    });

    it('refuses a oneDNN without OpenMP', () => {
      writeOneDnn(scratch, '3.4.0', 'SYCL');
      expect(() => findOneDnn({ env: { DNNL_ROOT: scratch } })).to.throw(
        InstallError,
        'CPU runtime SYCL, not OMP',
      );
    });

    it('refuses a folder without a library', () => {
      writeOneDnn(scratch, '3.4.0');
      rmSync(join(scratch, 'lib/libdnnl.so'));
      expect(() => findOneDnn({ env: { DNNL_ROOT: scratch } })).to.throw(
        InstallError,
        'has no libdnnl.so in',
      );
    });

    it('refuses a path that make would split', () => {
      const spaced = join(scratch, 'one dnn');
      writeOneDnn(spaced, '3.4.0');
      expect(() => findOneDnn({ env: { DNNL_ROOT: spaced } })).to.throw(InstallError, 'a space in the path');
    });
  });

  it('says what is supported elsewhere', () => {
    for (const [platform, arch, glibc, here] of [
      ['darwin', 'arm64', false, 'darwin-arm64'],
      ['win32', 'x64', false, 'win32-x64'],
      ['linux', 'x64', false, 'linux-x64 without glibc'],
      ['linux', 'ia32', true, 'linux-ia32'],
    ] as const) {
      expect(unsupported({ platform, arch, glibc })).to.match(
        new RegExp(`^${here} is not supported: .*Linux with glibc`),
      );
    }
    expect(unsupported({ platform: 'linux', arch: 'x64', glibc: true })).to.equal(null);
    expect(unsupported({ platform: 'linux', arch: 'arm64', glibc: true })).to.equal(null);
  });

  it('fails the link of an addon that lacks an operation, by its name', () => {
    const [addon, stamp] = [join(scratch, 'addon.node'), join(scratch, 'stamp')];
    const source =
      'extern "C" void napi_throw(); namespace nodecudnn { void lrn(int); void f() { napi_throw(); lrn(1); } }';
    const compile = ['-shared', '-fPIC', '-o', addon, '-x', 'c++', '-'];
    expect(spawnSync(process.env.CXX ?? 'g++', compile, { input: source }).status).to.equal(0);
    const check = [join(root, 'native/check-symbols.mjs'), addon, stamp];
    const result = spawnSync(process.execPath, check, { encoding: 'utf8' });
    expect(result.status).to.equal(1);
    expect(result.stderr).to.match(/nothing defines\s+(nodecudnn::lrn\(int\)|_ZN9nodecudnn3lrnEi)\s+$/);
    expect(existsSync(stamp)).to.equal(false);
  });

  it('packs sources and compiled library only', () => {
    const pack = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const result = spawnSync('npm', pack, { cwd: root, encoding: 'utf8' });
    const [{ files }] = JSON.parse(result.stdout) as [{ files: { path: string }[] }];
    const paths = files.map((file) => file.path);
    expect(paths).to.include.members([
      'package.json',
      'binding.gyp',
      'native/install.mjs',
      'native/build-cuda.mjs',
      'native/cuda/package.json',
      'dist/index.js',
      'LICENSE',
      'THIRD_PARTY_LICENSES.md',
    ]);
    const places =
      /^(dist\/.*\.(js|d\.ts)|native\/([a-z]+\/)*[\w-]+\.(mjs|cc|cuh?|h)|native\/cuda\/(CMakeLists\.txt|package\.json)|[A-Z_]+(\.md)?|binding\.gyp|package\.json)$/;
    expect(paths.filter((path) => !places.test(path))).to.deep.equal([]);
  });
});
