import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { expect } from 'chai';
import { type TensorEntry, writeSafetensors } from '../../lib/io/safetensors.js';
import { ModelFile } from '../../lib/train/model_file.js';
import { Greys, makeRun } from '../train/greys.js';
import { hasPythonSafetensors, NEEDS_PYTHON, runPython, temporaryFolder } from './files.js';

describe(`safetensors in Python (${NEEDS_PYTHON})`, () => {
  const folder = temporaryFolder();

  before(async function () {
    if (!(await hasPythonSafetensors())) this.skip();
  });

  it('are opened, with names, shapes, values and metadata', async () => {
    const tensors: [string, TensorEntry][] = [
      ['flag', { dtype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) }],
      ['conv1.weight', { dtype: 'F32', shape: [2, 1, 2], data: Float32Array.of(0.5, -1, 2, 0.25) }],
      ['Grüße "\\ 猫', { dtype: 'I32', shape: [1, 2], data: Int32Array.of(-5, 6) }],
      ['scalar', { dtype: 'F64', shape: [], data: Float64Array.of(1e300) }],
      ['half', { dtype: 'F16', shape: [1], data: Uint16Array.of(0x3c00) }],
      ['long', { dtype: 'I64', shape: [1], data: BigInt64Array.of(-3n) }],
      ['empty', { dtype: 'U8', shape: [3, 0], data: new Uint8Array() }],
    ];
    const metadata = { config: '{"classes":["ß"]}', epoch: '3' };
    const file = await open(folder.path('ours'), 'w');
    await writeSafetensors(file, new Map(tensors), metadata);
    await file.close();
    const program = `
import json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], "numpy") as f:
    tensors = {name: f.get_tensor(name) for name in f.keys()}
    print(json.dumps([f.metadata(), {name: [str(t.dtype), list(t.shape), t.ravel().tolist()] for name, t in tensors.items()}]))`;
    expect(await runPython(program, folder.path('ours'))).to.deep.equal([
      metadata,
      {
        flag: ['bool', [2], [true, false]],
        'conv1.weight': ['float32', [2, 1, 2], [0.5, -1, 2, 0.25]],
        'Grüße "\\ 猫': ['int32', [1, 2], [-5, 6]],
        scalar: ['float64', [], [1e300]],
        half: ['float16', [1], [1]],
        long: ['int64', [1], [-3]],
        empty: ['uint8', [3, 0], []],
      },
    ]);
  });

  it("are opened as the trainer wrote them: a checkpoint's tensors, and metadata that are JSON strings", async () => {
    using run = makeRun({ out: folder.path('run'), validation: new Greys(2), notes: { from: 'a test' } });
    await run.trainer.fit(1);
    const program = `
import hashlib, json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], "numpy") as f:
    tensors = {name: f.get_tensor(name) for name in f.keys()}
    metadata = {name: json.loads(text) for name, text in f.metadata().items()}
    print(json.dumps([metadata, {name: [str(t.dtype), list(t.shape), hashlib.sha256(t.tobytes()).hexdigest()] for name, t in tensors.items()}]))`;
    const [metadata, tensors] = (await runPython(program, folder.path('run/last.safetensors'))) as [
      Record<string, unknown>,
      Record<string, unknown>,
    ];
    await using file = await ModelFile.open(folder.path('run'));
    const { preprocessing, ...info } = file.info;
    expect(metadata).to.deep.include({ format: 'node-cudnn model 1', ...info });
    expect(metadata).to.have.all.keys('format', 'preprocessing', ...Object.keys(info));
    const names: string[] = [];
    for (const [name, parameter] of run.model.namedParameters()) {
      const bytes = Buffer.from((await parameter.data()).buffer);
      const sum = createHash('sha256').update(bytes).digest('hex');
      expect(tensors[name], name).to.deep.equal(['float32', parameter.shape, sum]);
      names.push(name, `optimizer/velocity/${name}`);
    }
    expect(Object.keys(tensors)).to.have.members(names);
  });
});
