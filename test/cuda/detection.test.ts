import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type CudaBuild, type CudaReport, diagnose } from '../../lib/cuda.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { include_dir: headers } = createRequire(createRequire(import.meta.url).resolve('cmake-js'))(
  'node-api-headers',
) as { include_dir: string };

const WORKING = {
  cuda: '13.5',
  driver: '13.0',
  cudnn: '9.28.1',
  cudnnBuilt: '9.28.1',
  devices: '2',
  device0: 'NVIDIA H100 80GB HBM3, 9.0',
  device1: 'Quadro, P6000, 6.1',
};
const BUILD: CudaBuild = {
  cuda: { version: '13.5', folder: '/opt/cuda' },
  cudnn: { version: '9.28.1', folder: '/opt/cudnn' },
  architectures: ['75', '80', '86', '89', '90', '100', '120'],
};

describe('CUDA: the missing link', () => {
  function reasonFor(facts: Partial<typeof WORKING>, build = BUILD): string | null {
    const report = diagnose({ facts: { ...WORKING, ...facts } }, build);
    expect(report.available).to.equal(report.reason === null);
    expect(report.built).to.equal(true);
    return report.reason;
  }

  it('none', () => {
    expect(diagnose({ facts: WORKING }, BUILD)).to.deep.equal({
      available: true,
      built: true,
      reason: null,
      version: '13.5',
      driver: '13.0',
      cudnn: '9.28.1',
      devices: [
        { name: 'cuda:0', model: 'NVIDIA H100 80GB HBM3', computeCapability: '9.0', problem: null },
        {
          name: 'cuda:1',
          model: 'Quadro, P6000',
          computeCapability: '6.1',
          problem: diagnose({ facts: WORKING }, BUILD).devices[1]?.problem,
        },
      ],
      pairs: [],
    });
  });

  it('the driver', () => {
    expect(reasonFor({ driver: '0', devices: '0' })).to.match(/^built, no driver: .*libcuda\.so\.1/);
    expect(reasonFor({ driver: '12.9', devices: '0' })).to.equal(
      'built, driver too old: it serves CUDA 12.9, and the addon needs one for CUDA 13.0 or newer',
    );
    expect(reasonFor({ driver: '14.1' })).to.equal(null);
  });

  it('a device', () => {
    const before = process.env.CUDA_VISIBLE_DEVICES;
    try {
      process.env.CUDA_VISIBLE_DEVICES = '7';
      expect(reasonFor({ devices: '0' })).to.equal(
        'built, no device: the driver finds no GPU (CUDA_VISIBLE_DEVICES is "7")',
      );
      delete process.env.CUDA_VISIBLE_DEVICES;
      expect(reasonFor({ devices: '0' })).to.match(/^built, no device: [^(]*$/);
    } finally {
      if (before !== undefined) process.env.CUDA_VISIBLE_DEVICES = before;
    }
  });

  it('a device that answers', () => {
    const { device0: _, ...facts } = WORKING;
    const { reason, devices } = diagnose({ facts: { ...facts, devices: '1' } }, BUILD);
    expect(reason).to.equal('built, device broken: the driver does not give its properties');
    expect(devices).to.have.length(1);
  });

  it('cuDNN', () => {
    expect(reasonFor({ cudnn: '9.3.0' })).to.match(
      /^built, cuDNN too old: 9\.3\.0 was loaded, and the addon was built for 9\.28\.1/,
    );
    expect(reasonFor({ cudnn: '10.0.0' })).to.match(/^built, another cuDNN: 10\.0\.0 was loaded/);
    expect(reasonFor({ cudnn: '9.30.0' })).to.equal(null);
    expect(diagnose({ error: 'no such file', missing: ['libcudnn.so.9', 'libcublas.so.13'] }, BUILD).reason)
      .to.include('built, cuDNN not found: there is no libcudnn.so.9, no libcublas.so.13;')
      .and.to.include('/opt/cudnn and /opt/cuda. ')
      .and.to.include('build-cuda.mjs');
  });

  it('another library', () => {
    const { reason } = diagnose({ error: 'no such file', missing: ['libcublas.so.13'] }, BUILD);
    expect(reason).to.include(
      'built, libraries of CUDA not found: there is no libcublas.so.13; it was built',
    );
    expect(diagnose({ error: 'invalid ELF header', missing: [] }, {}).reason).to.match(
      /^built, does not load: invalid ELF header\. .*build-cuda\.mjs/,
    );
  });

  const served: readonly [architectures: string, capability: string, served: boolean][] = [
    ['75,80,120', '7.5', true],
    ['75,80,120', '7.0', false],
    ['75,80,120', '8.9', true],
    ['75,80,120', '9.0', false],
    ['75,80,120', '12.1', true],
    ['75,80,120', '13.0', true],
    ['90', '8.0', false],
    ['90', '10.0', true],
    ['100', '10.3', true],
  ];
  for (const [architectures, capability, isServed] of served) {
    it(`a build for ${architectures} ${isServed ? 'serves' : 'does not serve'} ${capability}`, () => {
      const build = { architectures: architectures.split(',') };
      const reason = reasonFor({ devices: '1', device0: `GPU, ${capability}` }, build);
      if (isServed) expect(reason).to.equal(null);
      else
        expect(reason).to.match(
          new RegExp(
            `^built, device too old for the build: GPU has compute capability ${capability}, .*--arch native$`,
          ),
        );
    });
  }

  it('is not looked for in architectures that nobody noted', () => {
    expect(reasonFor({ device0: 'GPU, 3.5' }, {})).to.equal(null);
  });
});

describe('CUDA: a package', () => {
  let folder = '';
  let fake = '';

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'node-cudnn-cuda-'));
    for (const name of ['dist', 'package.json', 'native/probe-cuda.mjs']) {
      cpSync(join(root, name), join(folder, name), { recursive: true });
    }
    for (const name of ['node_modules', 'build']) symlinkSync(join(root, name), join(folder, name));
    fake = join(folder, 'fake.node');
    compile(fake, []);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(() => {
    rmSync(join(folder, 'build-cuda'), { recursive: true, force: true });
  });

  function compile(output: string, options: readonly string[]): void {
    const source = join(root, 'test/cuda/fake_addon.c');
    const flags = ['-shared', '-fPIC', `-I${headers}`, '-o', output, '-x', 'c', source, '-x', 'none'];
    const { status, stderr } = spawnSync(process.env.CXX ?? 'g++', [...flags, ...options], {
      encoding: 'utf8',
    });
    expect(status, stderr).to.equal(0);
  }

  /** Puts a file where the addon is looked for. */
  function place(addon: string | Buffer, build = BUILD): void {
    const release = join(folder, 'build-cuda/Release');
    mkdirSync(release, { recursive: true });
    if (Buffer.isBuffer(addon)) writeFileSync(join(release, 'node_cudnn_cuda.node'), addon);
    else cpSync(addon, join(release, 'node_cudnn_cuda.node'));
    writeFileSync(join(folder, 'build-cuda/deps.json'), JSON.stringify(build));
  }

  function run(args: readonly string[], facts: object | string = WORKING) {
    const text =
      typeof facts === 'string'
        ? facts
        : Object.entries(facts)
            .map((fact) => fact.join('='))
            .join('\n');
    const env = { ...process.env, FAKE_CUDA: text };
    return spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8' });
  }

  /** `doctor` in words and in JSON: its line, and its report. */
  function doctor(facts?: object | string): { lines: string[]; cuda: CudaReport } {
    const words = run(['dist/cli/main.js', 'doctor'], facts);
    const json = run(['dist/cli/main.js', 'doctor', '--json'], facts);
    expect([words.status, words.stderr, json.status, json.stderr]).to.deep.equal([0, '', 0, '']);
    const { cuda } = JSON.parse(json.stdout) as { cuda: CudaReport };
    return { lines: words.stdout.split('\n').filter((line) => /^cuda/i.test(line)), cuda };
  }

  /** Runs a program that uses the package. */
  function program(code: string, facts?: object | string) {
    return run(['--input-type=module', '--eval', `import * as lib from './dist/index.js'; ${code}`], facts);
  }

  it('that has no CUDA addon', () => {
    const { lines, cuda } = doctor();
    expect(lines).to.have.length(1);
    expect(lines[0]).to.match(/^CUDA: not built: node ".*native\/build-cuda\.mjs" builds/);
    expect(cuda).to.include({ available: false, built: false });
    expect(`CUDA: ${cuda.reason}`).to.equal(lines[0]);
  });

  it('whose addon is no library', () => {
    place(Buffer.from('not a library'));
    const { lines, cuda } = doctor();
    expect(lines[0]).to.match(/^CUDA: built, does not load: .*(too short|invalid ELF header)/);
    expect(cuda).to.deep.include({ available: false, built: true, devices: [] });
  });

  it('whose addon needs libraries that are gone', () => {
    const libraries = ['libcudnn.so.9', 'libcublas.so.13'].map((name) => join(folder, name));
    for (const library of libraries) {
      const soname = `-Wl,-soname,${library.slice(folder.length + 1)}`;
      spawnSync(process.env.CXX ?? 'g++', ['-shared', '-o', library, soname, '-x', 'c', '/dev/null']);
    }
    const addon = join(folder, 'linked.node');
    compile(addon, ['-Wl,--no-as-needed', ...libraries]);
    for (const library of libraries) rmSync(library);
    place(addon);
    expect(doctor().lines[0]).to.match(
      /^CUDA: built, cuDNN not found: there is no libcudnn\.so\.9, no libcublas\.so\.13; .*\/opt\/cudnn/,
    );
  });

  it('whose addon ends the process', () => {
    place(fake);
    expect(doctor('crash').lines[0]).to.match(
      /^CUDA: built, crashes: NVIDIA's driver, or the addon, ended the process that asked by SIGABRT/,
    );
    const { stdout, status } = program('console.log(await lib.zeros([1]).data())', 'crash');
    expect([stdout.trim(), status]).to.deep.equal(['Float32Array(1) [ 0 ]', 0]);
  });

  it('whose addon leaves without an answer', () => {
    place(fake);
    expect(doctor('leave').lines[0]).to.include(
      "crashes: NVIDIA's driver, or the addon, ended the process that asked with status 0.",
    );
  });

  it('on a machine without a driver', () => {
    place(fake);
    const facts = { ...WORKING, driver: '0', devices: '0' };
    expect(doctor(facts).lines[0]).to.match(/^CUDA: built, no driver/);
  });

  it('that works', () => {
    place(fake);
    const { lines, cuda } = doctor();
    expect(lines.slice(0, 2)).to.deep.equal([
      'CUDA: works, CUDA 13.5, cuDNN 9.28.1, driver for CUDA 13.0',
      'cuda:0: NVIDIA H100 80GB HBM3, compute capability 9.0',
    ]);
    expect(lines[2]).to.match(
      /^cuda:1: device too old for the build: Quadro, P6000 has compute capability 6\.1/,
    );
    expect(lines).to.have.length(3);
    expect(cuda).to.include({ available: true, reason: null });
  });

  it('is asked once, in one child process', () => {
    place(fake);
    const counted = `import child from 'node:child_process';
      import { syncBuiltinESMExports } from 'node:module';
      const { spawnSync } = child;
      const asked = [];
      child.spawnSync = (program, args, ...rest) => {
        asked.push(args.join(' '));
        return spawnSync(program, args, ...rest);
      };
      syncBuiltinESMExports();
      const lib = await import('./dist/index.js');
      for (const name of ['cuda', 'cuda:0', 'cpu', 'cuda:1', 'cuda:9']) try { lib.Device.get(name); } catch {}
      console.log(asked.filter((args) => args.includes('probe-cuda.mjs')).length, asked.length);`;
    expect(run(['--input-type=module', '--eval', counted]).stdout).to.equal('1 1\n');
  });

  it('whose devices copy to each other, directly where they can', () => {
    place(fake);
    const gpu = 'NVIDIA H100 80GB HBM3, 9.0';
    const { lines, cuda } = doctor({
      ...WORKING,
      devices: '4',
      device2: gpu,
      device3: gpu,
      peers: '0-1,0-3',
    });
    // cuda:1 cannot be used.
    expect(lines.slice(5)).to.deep.equal([
      "cuda:0 and cuda:2: copies go through the host's memory",
      'cuda:0 and cuda:3: copies go directly',
      "cuda:2 and cuda:3: copies go through the host's memory",
    ]);
    expect(cuda.pairs).to.deep.equal([
      { devices: ['cuda:0', 'cuda:2'], direct: false },
      { devices: ['cuda:0', 'cuda:3'], direct: true },
      { devices: ['cuda:2', 'cuda:3'], direct: false },
    ]);
  });

  it('gives the devices that there are, and no others', () => {
    place(fake);
    const names = ['cuda', 'cuda:0', 'cuda:1', 'cuda:2'];
    const { stdout, stderr } = program(
      `for (const name of ${JSON.stringify(names)})
         try { console.log(lib.Device.get(name).name); } catch (error) { console.log(error.name, error.message); }
       console.log(lib.Device.get('cuda') === lib.Device.get('cuda:0'), lib.Device.get('cuda').arithmetic.gpu);
       try { lib.to(lib.zeros([1]), 'cuda'); } catch (error) { console.log(error.name, error.message); }`,
    );
    expect(stderr).to.equal('');
    const lines = stdout.trim().split('\n');
    expect(lines.slice(0, 2)).to.deep.equal(['cuda:0', 'cuda:0']);
    expect(lines[2]).to.match(/^DeviceError Expected .*"cuda:1".*\. CUDA: device too old for the build/);
    expect(lines[3]).to.match(/^DeviceError Expected cuda:0 … cuda:1 for device but received "cuda:2"/);
    expect(lines[4]).to.match(/^true NVIDIA H100/);
    expect(lines[5]).to.match(
      /^DeviceError Expected device of the same backend as cpu:0 for device .*"cuda:0"/,
    );
  });

  it('throws what the libraries refuse as CudaError', () => {
    place(fake);
    const { stdout } = program(
      `try { lib.Device.get('cuda').emptyCache(); }
       catch (error) { console.log(error instanceof lib.CudaError, error.op, error.message); }`,
    );
    expect(stdout).to.equal('true conv2d conv2d failed: cudnnCreate: CUDNN_STATUS_NOT_INITIALIZED\n');
  });

  it('never takes the CPU where CUDA was asked for', () => {
    place(fake);
    const facts = { ...WORKING, driver: '0', devices: '0' };
    for (const code of [
      "lib.zeros([1], { device: 'cuda' })",
      "lib.tensor([1], [1], { device: 'cuda:0' })",
      "new lib.AlexNet({ classes: 2, device: 'cuda' })",
    ]) {
      const { status, stderr } = program(code, facts);
      expect(status, code).to.equal(1);
      expect(stderr).to.match(
        /DeviceError: Expected .* for device but received "cuda.*\. CUDA: built, no driver/,
      );
    }
  });

  it('compiles a program that asks for CUDA, which ends with the one error', () => {
    const file = join(folder, 'program.ts');
    writeFileSync(
      file,
      `import { AlexNet, Device, tensor } from './dist/index.js';
       const device: Device = Device.get('cuda:0');
       const model = new AlexNet({ classes: 2, device });
       console.log(model.summary(), await tensor([1, 2], [2], { device: 'cuda' }).data());`,
    );
    const options = ['--module', 'nodenext', '--target', 'es2022', '--strict', '--types', 'node'];
    const tsc = [join(root, 'node_modules/typescript/bin/tsc'), ...options, '--skipLibCheck', file];
    const compiled = spawnSync(process.execPath, tsc, { cwd: folder, encoding: 'utf8' });
    expect(compiled.stdout + compiled.stderr).to.equal('');
    const { status, stdout, stderr } = run(['program.js']);
    expect([status, stdout]).to.deep.equal([1, '']);
    expect(stderr.match(/^\w*Error: .*$/gm)).to.have.length(1);
    expect(stderr).to.match(
      /^DeviceError: Expected .*"cuda:0" of type string\. CUDA: not built: node ".*build-cuda/m,
    );
  });

  it('loads nothing of CUDA where a CPU computes', () => {
    place(fake);
    const { stdout } = program(
      `await lib.zeros([1]).data();
       process.report.excludeNetwork = true;
       console.log(process.report.getReport().sharedObjects.map((path) => path.split('/').at(-1)).join(' '));`,
      'crash',
    );
    expect(stdout)
      .to.include('node_cudnn.node')
      .and.not.to.match(/cuda|cublas|libcudnn/);
  });
});
