import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { build, needCuda } from '../cuda/targets.js';
import { SEEDS } from './simulator.js';

/** What checks/strict.cc does wrong, and what is told of it. */
const RULES: Readonly<Record<string, RegExp>> = {
  nothing: /^$/,
  'two writes': /^race: a fill .* and a fill .* nothing orders them$/,
  'a kernel that writes while a copy reads': /^race: .*a kernel .* nothing orders them$/,
  'two kernels that read': /^$/,
  'an event that was recorded too early': /^race: a fill .* and a copy to the host /,
  'memory before its allocation': /^allocation race: a fill /,
  'a free before a use': /^free race: a free .* while a fill /,
  'a use after a free': /^use after free: a kernel uses .* freed by cudaFreeAsync on stream \d+$/,
  'a second free': /^cudaFreeAsync: not the beginning of memory that is allocated$/,
  'a free of a part': /^cudaFreeAsync: not the beginning of memory that is allocated$/,
  'a copy beyond the end': /^out of range: a fill reaches beyond its block of 1024 bytes: 1025 bytes /,
  'a kernel beyond the end': /^out of range: a kernel .* wrote beside its block of 1024 bytes$/,
  "a pointer of the host's": /^a fill: no memory of device 0/,
  'memory of another device': /^a fill: memory of device 0, not memory of device 1/,
  "a kernel on another device's stream": /^a kernel: a stream of a device that is not the thread's$/,
  'a copy in the wrong direction': /^a copy on the device: pinned memory, not memory of device 0/,
  'host memory that is not pinned': /^a copy to the device: no pinned memory/,
  'host memory that changes before it was copied':
    /^host race: the host touches pinned memory before a copy to the device of it has completed$/,
  'pinned memory that is freed before it was copied':
    /^use after free: cudaFreeHost of memory that a copy will touch$/,
  'a stream that was destroyed': /^cudaMemsetAsync: no stream, or one that was destroyed$/,
  'an event that was destroyed': /^cudaEventRecord: no event, or one that was destroyed$/,
  'an event of another device': /^cudaEventRecord: an event of another device$/,
  'the time between events that keep none': /^cudaEventElapsedTime: events without times/,
  'a stream that waits for the null stream':
    /^cudaStreamCreateWithFlags: a stream that waits for the null stream$/,
  'no bytes': /^cudaMallocAsync: no bytes$/,
};
const SEEN = {
  'memory that nobody wrote': '255',
  'a copy to the host before it was waited for': '255',
  after: '0',
  'more memory than the device has': 'cudaErrorMemoryAllocation',
};

describe('simulator: its rules', function () {
  this.timeout(600_000);
  let program: string;
  before(function () {
    needCuda(this);
    program = build('strict');
  });

  function run(seed: number, ...args: string[]) {
    const env = { ...process.env, NODE_CUDNN_SIMULATOR: `seed=${seed} devices=t4,h100` };
    return spawnSync(program, args, { encoding: 'utf8', env });
  }

  for (const seed of SEEDS) {
    it(`seed ${seed}: each is told, whatever the order`, () => {
      const { status, stdout } = run(seed);
      expect(status).to.equal(99);
      const lines = stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t'));
      const told = Object.fromEntries(lines) as Record<string, string>;
      expect(Object.keys(told)).to.have.members([...Object.keys(SEEN), ...Object.keys(RULES)]);
      expect(told).to.include(SEEN);
      for (const [rule, wanted] of Object.entries(RULES)) expect(told[rule] ?? '', rule).to.match(wanted);
    });
  }

  it('the host that touches device memory is ended', () => {
    const { signal, stderr } = run(1, 'touch');
    expect(signal).to.equal('SIGSEGV');
    expect(stderr).to.match(/^simulator: violation: the host touches device memory/);
  });

  it('what is left at the exit is counted', () => {
    const { status, stderr } = run(1, 'leak');
    expect(status).to.equal(99);
    expect(stderr.split('\n')).to.deep.equal([
      'simulator: leaked: event 1',
      'simulator: leaked: memory 2',
      'simulator: leaked: pinned memory 1',
      'simulator: leaked: stream 3',
      '',
    ]);
  });
});
