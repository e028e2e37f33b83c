import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { build, needCuda } from '../cuda/targets.js';

/** A line of test/simulator/checks/launches.cc. */
interface Call {
  function: string;
  /** Elements, or rows of ten, or images of 3 × 5 pixels. */
  size: number;
  /** How many pointers the call had, and how many of them its launches got. */
  pointers: number;
  captured: number;
  error: string;
  /** Configurations that no launch took. */
  left: number;
  launches: Launch[];
}
interface Launch {
  kernel: string;
  grid: number[];
  block: number[];
  sharedBytes: number;
  onStream: number;
  n: number;
}

const SIZES = [0, 1, 255, 256, 257, 1_000_000, 2 ** 31 + 5];
const COLUMNS = 10;
/** What both kernels of native/cuda/launch.cuh count with. */
const BLOCK = 256;
const MOST_BLOCKS = 2 ** 20;

type Work = readonly ['each' | 'rows', number];
const each = (n: number): Work => ['each', n];
const rows = (n: number): Work => ['rows', n];

/** What a function has to launch. Others launch one `each` over their elements. */
const WORK: Record<string, (size: number) => Work[]> = {
  cat: (n) => [each(n * 4)],
  catBackward: (n) => [each(n * 4)],
  addBiasRelu: (n) => [each(n * COLUMNS)],
  biasReluBackward: (n) => {
    const chunkRows = Math.max(32, Math.ceil(n / 1024));
    return [each(Math.ceil(n / chunkRows) * COLUMNS), each(COLUMNS)];
  },
  dropout: (n) => [each(Math.ceil(n / 4))],
  randomUniform: (n) => [each(Math.ceil(n / 4))],
  randomNormal: (n) => [each(Math.ceil(n / 2))],
  softmax: (n) => [rows(n)],
  softmaxBackward: (n) => [rows(n)],
  softmaxCrossEntropy: (n) => [rows(n), rows(1)],
  softmaxCrossEntropyBackward: (n) => [each(n * COLUMNS)],
  topKHits: (n) => [rows(n)],
  prepareImages: (n) => [each(n * 3 * 5)],
};

function workOf({ function: name, size }: Call): Work[] {
  const work = WORK[name]?.(size) ?? [each(size)];
  return work.filter(([, n]) => n > 0);
}

/** By its mangled name: which of the two kernels, and whose functor. */
function kernelOf({ kernel }: Launch): { kind: string; owner: string } {
  const [all = '', kind = '', length = ''] = /(each|rows)KernelIZNS_7kernels(\d+)/.exec(kernel) ?? [];
  const at = kernel.indexOf(all) + all.length;
  return { kind, owner: kernel.slice(at, at + Number(length)) };
}

describe('The launches that nvcc compiled', function () {
  this.timeout(600_000);
  let calls: Call[];
  let failing: Call[];
  let kernels: number;

  before(function () {
    needCuda(this);
    const { status, signal, stdout, stderr } = spawnSync(build('launches'), { encoding: 'utf8' });
    expect([status, signal, stderr]).to.deep.equal([0, null, '']);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const all: Call[] = lines.filter((line) => 'function' in line);
    calls = all.filter(({ size }) => SIZES.includes(size));
    failing = all.filter(({ size }) => !SIZES.includes(size));
    ({ kernels } = lines.at(-1));
  });

  it('are of every function of kernels.cuh, in every size', () => {
    const header = readFileSync(new URL('../../native/cuda/kernels.cuh', import.meta.url), 'utf8');
    const declared = [...header.matchAll(/^void (\w+)\(cudaStream_t/gm)].map(([, name]) => name);
    expect(declared.length).to.be.above(20);
    for (const size of SIZES)
      expect(calls.filter((call) => call.size === size).map((call) => call.function)).to.deep.equal(declared);
  });

  it('are one of each kernel that there is', () => {
    const launched = new Set(calls.flatMap(({ launches }) => launches.map(({ kernel }) => kernel)));
    expect(launched.size).to.equal(kernels);
  });

  it('do what the call asks for', () => {
    for (const call of calls) {
      const about = `${call.function} of ${call.size}`;
      expect([call.error, call.left], about).to.deep.equal(['', 0]);
      const launched = call.launches.map((launch) => [kernelOf(launch).kind, launch.n]);
      expect(launched, about).to.deep.equal(workOf(call));
      for (const launch of call.launches) expect(kernelOf(launch).owner, about).to.equal(call.function);
      if (call.size > 0) expect(call.captured, `pointers of ${about}`).to.equal(call.pointers);
    }
  });

  it('have a grid and blocks that the kernels count with', () => {
    for (const call of calls)
      for (const launch of call.launches) {
        const perBlock = kernelOf(launch).kind === 'each' ? BLOCK : BLOCK / 32;
        const { grid, block, sharedBytes, onStream } = launch;
        const blocks = Math.min(MOST_BLOCKS, Math.ceil(launch.n / perBlock));
        expect({ grid, block, sharedBytes, onStream }, `${call.function} of ${call.size}`).to.deep.equal({
          grid: [blocks, 1, 1],
          block: [BLOCK, 1, 1],
          sharedBytes: 0,
          onStream: 1,
        });
      }
  });

  it('fail as the runtime says', () => {
    expect(failing).to.have.lengthOf(calls.length / SIZES.length);
    for (const call of failing) {
      expect(call.launches, call.function).to.deep.equal([]);
      expect(call.error, call.function).to.match(
        /^cudaGetLastError: cudaErrorNoKernelImageForDevice .* for a kernel over \d+ (elements|rows)$/,
      );
    }
  });
});
