import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { CudaReport } from '../../lib/cuda.js';
import { alexnet, root } from '../cli/alexnet.js';
import { build, cudaAddon, needCuda } from './targets.js';

const check = fileURLToPath(new URL('../../native/check-symbols.mjs', import.meta.url));

function symbols(addon: string): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, [check, addon, '/dev/null'], { encoding: 'utf8' });
}

describe('CUDA: the addon', function () {
  this.timeout(600_000);
  before(function () {
    needCuda(this);
  });

  it('has every operation of the contract', () => {
    expect(symbols(cudaAddon)).to.include({ status: 0, stderr: '' });
  });

  it('does not pass where one is missing', () => {
    const { status, stderr } = symbols(build('node_cudnn_incomplete'));
    expect(status).to.equal(1);
    expect(stderr).to.match(/nothing defines\n {2}nodecudnn::sgdStep\(.*\n {2}nodecudnn::adamStep\(/);
  });

  it('exports nothing but what Node asks for', () => {
    const { stdout } = spawnSync('nm', ['-D', '--defined-only', cudaAddon], { encoding: 'utf8' });
    const names = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ').at(-1));
    expect(names).to.have.members(['napi_register_module_v1', 'node_api_module_get_api_version_v1']);
  });

  it('loads without a driver and says what is here', () => {
    const program = `
      const module = { exports: {} };
      process.dlopen(module, process.argv[1]);
      console.log(JSON.stringify(module.exports.describe()));`;
    const { stdout, status } = spawnSync(process.execPath, ['-e', program, cudaAddon], { encoding: 'utf8' });
    expect(status).to.equal(0);
    const facts = JSON.parse(stdout) as Record<string, string>;
    expect(facts).to.include.keys('cuda', 'driver', 'cudnn', 'cudnnBuilt', 'devices');
    expect(facts.cudnn).to.match(/^9\.\d+\.\d+$/);
  });

  it('is what doctor tells of, by the link that is missing', async () => {
    const { status, stdout } = await alexnet(['doctor']);
    expect(status).to.equal(0);
    const [line = ''] = stdout.split('\n').filter((each) => each.startsWith('CUDA: '));
    const { cuda } = JSON.parse((await alexnet(['doctor', '--json'])).stdout) as { cuda: CudaReport };
    if (cuda.driver === null) expect(line).to.match(/^CUDA: built, no driver: /);
    else expect(line).to.match(/^CUDA: (works|built), /);
  });

  it('is for every architecture that its nvcc knows of those we name', () => {
    const { cuda, architectures } = JSON.parse(readFileSync(join(root, 'build-cuda/deps.json'), 'utf8')) as {
      cuda: { folder: string };
      architectures: string[];
    };
    const nvcc = join(cuda.folder, 'bin/nvcc');
    const { stdout } = spawnSync(nvcc, ['--list-gpu-arch'], { encoding: 'utf8' });
    const known = [...stdout.matchAll(/^compute_(\w+)$/gm)].map(([, each]) => each ?? '');
    const wanted = ['75', '80', '86', '89', '90', '100', '120'];
    expect(known, 'those of CUDA 13').to.include.members(wanted);
    expect(architectures).to.deep.equal(wanted);
    const elf = spawnSync(join(cuda.folder, 'bin/cuobjdump'), ['--list-elf', cudaAddon], {
      encoding: 'utf8',
    });
    if (elf.error === undefined)
      expect([...new Set([...elf.stdout.matchAll(/sm_(\d+)/g)].map(([, each]) => each))]).to.have.members(
        wanted,
      );
  });
});
