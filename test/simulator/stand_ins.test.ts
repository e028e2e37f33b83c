import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { build, needCuda } from '../cuda/targets.js';

/** What checks/stand_ins.cc does wrong, and what is told of it. */
const RULES: Readonly<Record<string, RegExp>> = {
  nothing: /^$/,
  lda: /^leading dimension: cublasSgemm: lda is 2, its matrix has 3 rows$/,
  ldb: /^leading dimension: cublasSgemm: ldb is 3, its matrix has 4 rows$/,
  ldc: /^leading dimension: cublasSgemm: ldc is 2, its matrix has 3 rows$/,
  'a leading dimension beyond the memory':
    /^out of range: cublasSgemm reaches beyond its block of 4096 bytes/,
  'math of TF32': /^cublasSgemm: math that is not float32's$/,
  "cuBLAS's handle that was destroyed": /^cublasSgemm: no handle, or one that was destroyed$/,
  "cuBLAS's handle on another device's thread":
    /^cublasSgemm: a handle of a device that is not the thread's$/,
  "cuBLAS on another device's stream": /^cublasSetStream: a stream of another device$/,
  "workspace of cuBLAS's that is not aligned":
    /^cublasSetWorkspace: memory that is not aligned to 256 bytes$/,
  "workspace of cuBLAS's beyond its block":
    /^out of range: cublasSgemm reaches beyond its block of 4096 bytes/,
  "workspace of cuBLAS's that is used elsewhere": /^race: cublasSgemm .* and a fill .* nothing orders them$/,
  "cuDNN's handle that was destroyed": /^cudnnPoolingForward: no descriptor, or one that was destroyed$/,
  "cuDNN's handle on another device's thread":
    /^cudnnPoolingForward: a handle of a device that is not the thread's$/,
  "cuDNN on another device's stream": /^cudnnSetStream: a stream of another device$/,
  'a descriptor that was destroyed': /^cudnnPoolingForward: no descriptor, or one that was destroyed$/,
  'a descriptor that was not set': /^cudnnPoolingForward: a descriptor that was not set$/,
  'an output of another shape': /^cudnnPoolingForward: an output of another shape$/,
  'another layout': /^layout: cudnnSetTensor4dDescriptor: not NHWC of float/,
  'pooling that differs from run to run': /^cudnnSetPooling2dDescriptor: not the deterministic maximum/,
};

describe('simulator: the rules of cuBLAS and cuDNN', function () {
  this.timeout(600_000);
  let program: string;
  before(function () {
    needCuda(this);
    program = build('stand_ins');
  });

  for (const settings of ['devices=h100,h100', 'devices=h100,h100 cudnn=none']) {
    const run = (...args: string[]) =>
      spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, NODE_CUDNN_SIMULATOR: settings } });

    it(`${settings}: each is told`, () => {
      const { status, stdout } = run();
      expect(status).to.equal(99);
      const lines = stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t'));
      expect(lines.map(([rule]) => rule)).to.deep.equal(Object.keys(RULES));
      for (const [rule = '', told = ''] of lines) expect(told, rule).to.match(RULES[rule] ?? /no rule/);
    });

    it(`${settings}: what is left at the exit is counted`, () => {
      const { status, stderr } = run('leak');
      expect(status).to.equal(99);
      expect(stderr.split('\n')).to.deep.equal([
        'simulator: leaked: cuBLAS handle 1',
        'simulator: leaked: cuDNN descriptor 1',
        'simulator: leaked: cuDNN handle 1',
        "simulator: leaked: cuDNN's backend descriptor 1",
        '',
      ]);
    });
  }
});
