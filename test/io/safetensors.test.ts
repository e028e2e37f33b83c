import { execFileSync } from 'node:child_process';
import { mkdir, open, readdir, readFile, readlink, truncate, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { ArgumentError, FileFormatError } from '../../lib/errors.js';
import { type Dtype, SafetensorsFile, type TensorEntry, writeSafetensors } from '../../lib/io/safetensors.js';
import { rawSafetensors, temporaryFolder } from './files.js';

const folder = temporaryFolder();

async function save(
  name: string,
  tensors: Readonly<Record<string, TensorEntry>>,
  metadata?: Readonly<Record<string, string>>,
): Promise<string> {
  const file = await open(folder.path(name), 'w');
  try {
    await writeSafetensors(file, new Map(Object.entries(tensors)), metadata);
  } finally {
    await file.close();
  }
  return folder.path(name);
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error) => error,
  );
}

async function expectFormatError(path: string, message: RegExp): Promise<void> {
  const error = await rejection(SafetensorsFile.open(path));
  expect(error).to.be.instanceOf(FileFormatError);
  expect(error).to.have.property('message').that.matches(message);
  expect(error).to.have.property('message').that.includes(path);
}

describe('safetensors, written and read', () => {
  const tensors: Readonly<Record<string, TensorEntry>> = {
    flag: { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
    byte: { dtype: 'U8', shape: [2, 2], data: Uint8Array.of(0, 1, 254, 255) },
    half: { dtype: 'BF16', shape: [1], data: Uint16Array.of(0x3f80) },
    'conv1.weight': { dtype: 'F32', shape: [1, 2, 1], data: Float32Array.of(0.1, -0) },
    label: { dtype: 'I32', shape: [2], data: Int32Array.of(-(2 ** 31), 7) },
    scalar: { dtype: 'F64', shape: [], data: Float64Array.of(Math.PI) },
    step: { dtype: 'I64', shape: [1], data: BigInt64Array.of(-(2n ** 63n)) },
    empty: { dtype: 'F32', shape: [0, 5], data: new Float32Array() },
    ['__proto__']: { dtype: 'U8', shape: [1], data: Uint8Array.of(9) },
    'Grüße "\\\n 猫': { dtype: 'U8', shape: [1], data: Uint8Array.of(7) },
  };

  it('come back as they were', async () => {
    const metadata = { config: JSON.stringify({ classes: ['a', 'ß'] }), ['__proto__']: 'polluted' };
    await using file = await SafetensorsFile.open(await save('all', tensors, metadata));
    expect([...file.tensors.keys()]).to.have.members(Object.keys(tensors));
    for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
      expect(file.tensors.get(name))
        .to.include({ dtype })
        .and.to.have.property('shape')
        .that.deep.equals(shape);
      expect(await file.readTensor(name), name).to.deep.equal(data);
    }
    expect(Object.entries(file.metadata)).to.deep.equal(Object.entries(metadata));
    expect(file.metadata.toString, 'no inherited metadata').to.equal(undefined);
  });

  it('have aligned data: the header is padded to 8 bytes, larger elements come first', async () => {
    const path = await save('aligned', tensors);
    const dataStart = 8 + Number((await readFile(path)).readBigUInt64LE());
    expect(dataStart % 8).to.equal(0);
    await using file = await SafetensorsFile.open(path);
    for (const [name, { dtype, begin }] of file.tensors) {
      expect(begin % { 8: 8, 4: 4, 2: 2, 1: 1 }[bytesOf(dtype)], name).to.equal(0);
    }
    expect([...file.tensors.keys()].slice(0, 3)).to.deep.equal(['scalar', 'step', 'conv1.weight']);
  });

  it('may be a view into a larger buffer', async () => {
    const data = new Float32Array([1, 2, 3, 4]).subarray(1, 3);
    await using file = await SafetensorsFile.open(
      await save('view', { x: { dtype: 'F32', shape: [2], data } }),
    );
    expect(await file.readTensor('x')).to.deep.equal(Float32Array.of(2, 3));
  });

  it('are asked for piece by piece, each when the one before is in the file', async () => {
    const path = folder.path('lazy');
    const file = await open(path, 'w');
    const sizes: number[] = [];
    async function* data(): AsyncGenerator<Float32Array> {
      for (const length of [15, 10]) {
        sizes.push((await file.stat()).size);
        yield new Float32Array(length);
      }
    }
    const entry: TensorEntry = { dtype: 'F32', shape: [25], data };
    await writeSafetensors(
      file,
      new Map([
        ['a', entry],
        ['b', entry],
        ['c', entry],
      ]),
    );
    await file.close();
    const [first = 0] = sizes;
    expect(sizes).to.deep.equal([0, 60, 100, 160, 200, 260].map((size) => first + size));
  });

  it('longer than a chunk come back whole', async () => {
    const data = Int32Array.from({ length: 5 * 2 ** 20 }, (_, i) => i);
    await using file = await SafetensorsFile.open(
      await save('long', { x: { dtype: 'I32', shape: [data.length], data } }),
    );
    expect(
      Buffer.compare(Buffer.from((await file.readTensor('x')).buffer), Buffer.from(data.buffer)),
    ).to.equal(0);
  });

  it('may be none at all', async () => {
    await using file = await SafetensorsFile.open(await save('none', {}));
    expect(file.tensors.size).to.equal(0);
  });

  it('are refused with another dtype or shape than expected, or another name', async () => {
    const path = await save('expected', { x: { dtype: 'F32', shape: [2, 3], data: new Float32Array(6) } });
    await using file = await SafetensorsFile.open(path);
    expect(await file.readTensor('x', { dtype: 'F32', shape: [2, 3] })).to.have.length(6);
    const cases = [
      [file.readTensor('x', { dtype: 'F32', shape: [3, 2] }), `F32 of shape [3, 2] for "x" in ${path}`],
      [file.readTensor('x', { dtype: 'I32', shape: [2, 3] }), `I32 of shape [2, 3] for "x" in ${path}`],
      [file.readTensor('y'), `a tensor for "y" in ${path}`],
      [file.readTensor('constructor'), `a tensor for "constructor" in ${path}`],
    ] as const;
    for (const [reading, what] of cases) {
      const error = await rejection(reading);
      expect(error)
        .to.be.instanceOf(FileFormatError)
        .with.property('message')
        .that.matches(/^Expected /)
        .and.includes(what);
    }
  });

  it('are refused by the writer where they are not what dtype and shape say', async () => {
    const pieces = (...arrays: NodeJS.TypedArray[]) =>
      async function* () {
        yield* arrays;
      };
    const cases: [Record<string, TensorEntry>, RegExp][] = [
      [
        { x: { dtype: 'F32', shape: [2], data: pieces(new Float32Array(1), new Uint8Array(1)) } },
        /but received Uint8Array of length 2/,
      ],
      [
        { x: { dtype: 'F32', shape: [3], data: new Float32Array(2) } },
        /Float32Array for F32 of shape \[3\] for "x" but received Float32Array of length 2/,
      ],
      [{ x: { dtype: 'F32', shape: [2], data: new Int32Array(2) } }, /but received Int32Array of length 2/],
      [
        { x: { dtype: 'F32', shape: [2], data: pieces(new Float32Array(1), new Float32Array(2)) } },
        /but received Float32Array of length 3/,
      ],
      [
        { x: { dtype: 'F32', shape: [-1, -2], data: new Float32Array(2) } },
        /shape of "x" but received \[-1, -2\]/,
      ],
      [{ x: { dtype: 'F32', shape: [1.5], data: new Float32Array(2) } }, /shape of "x" but received \[1.5\]/],
      [{ __metadata__: { dtype: 'F32', shape: [], data: new Float32Array(1) } }, /another name/],
    ];
    for (const [tensors, message] of cases) {
      const error = await rejection(save('wrong', tensors));
      expect(error).to.be.instanceOf(ArgumentError).with.property('message').that.matches(message);
    }
  });

  it('written by Python are read', async () => {
    const path = fileURLToPath(new URL('python.safetensors', import.meta.url));
    await using file = await SafetensorsFile.open(path);
    expect(Object.entries(file.metadata)).to.have.deep.members([
      ['format', 'np'],
      ['config', '{"classes":["a","ß"]}'],
      ['__proto__', 'x'],
    ]);
    const wanted: Readonly<Record<string, TensorEntry>> = {
      double: { dtype: 'F64', shape: [2, 3], data: Float64Array.of(1.5, -2, 1e300, 0, -0, 5e-324) },
      long: { dtype: 'I64', shape: [2], data: BigInt64Array.of(2n ** 53n + 1n, -(2n ** 63n)) },
      float: { dtype: 'F32', shape: [2, 3, 4], data: Float32Array.from({ length: 24 }, (_, i) => i / 7) },
      int: { dtype: 'I32', shape: [2, 1], data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1) },
      half: { dtype: 'F16', shape: [3], data: Uint16Array.of(0x3c00, 0xc000, 0x7bff) },
      short: { dtype: 'I16', shape: [2], data: Int16Array.of(-32768, 32767) },
      bytes: { dtype: 'U8', shape: [256], data: Uint8Array.from({ length: 256 }, (_, i) => i) },
      flags: { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
      scalar: { dtype: 'F32', shape: [], data: Float32Array.of(3.25) },
      empty: { dtype: 'F32', shape: [0, 3], data: new Float32Array() },
      'Grüße "\\ \n 猫': { dtype: 'U8', shape: [1], data: Uint8Array.of(7) },
      ['__proto__']: { dtype: 'U8', shape: [2], data: Uint8Array.of(1, 2) },
    };
    expect([...file.tensors.keys()]).to.have.members(Object.keys(wanted));
    for (const [name, { dtype, shape, data }] of Object.entries(wanted)) {
      expect(await file.readTensor(name, { dtype, shape }), name).to.deep.equal(data);
    }
  });

  function bytesOf(dtype: Dtype): 1 | 2 | 4 | 8 {
    if (dtype.endsWith('64')) return 8;
    if (dtype.endsWith('32')) return 4;
    return dtype.endsWith('16') ? 2 : 1;
  }
});

describe('safetensors, corrupted', () => {
  const x = '"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}';
  const good = `{${x}}`;
  const data = new Uint8Array(8);

  /** A header whose only tensor is `x`, with some of its text replaced. */
  function changed(from: string, to: string): string {
    if (!good.includes(from)) throw new Error(`no ${from}`);
    return good.replace(from, to);
  }

  it('has a good file to start from', async () => {
    await (await SafetensorsFile.open(await folder.write('good', rawSafetensors(good, data)))).close();
  });

  const headers: [string, string | Uint8Array, RegExp][] = [
    [
      'bytes that are no UTF-8',
      Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]),
      /Expected UTF-8 for the safetensors header/,
    ],
    [
      'a byte order mark',
      `\ufeff${good}`,
      /Expected "\{" for the safetensors header .* but received "\ufeff/,
    ],
    ['no text', '', /Expected "\{" for .* but received the end of the header/],
    ['a space before the object', ` ${good}`, /Expected "\{" for the safetensors header/],
    ['an array', `[${good}]`, /Expected "\{" for the safetensors header .* but received "\[/],
    ['null', 'null', /Expected "\{" for the safetensors header/],
    ['half an object', good.slice(0, -1), /Expected "\}" for .* but received the end of the header/],
    ['half a string', '{"x', /Expected a string that ends for a name in the safetensors header/],
    ['text after the object', `${good} {}`, /Expected nothing more for the safetensors header/],
    ['a trailing comma', `{${x},}`, /Expected a string for a name/],
    ['a name that is no string', '{1:2}', /Expected a string for a name .* but received "1:2/],
    ['a control character in a name', '{"a\u0001b":{}}', /Expected a JSON string for a name/],
    ['a wrong escape', '{"\\x":{}}', /Expected a JSON string for a name/],
    ['half a surrogate pair', '{"\\ud800":{}}', /surrogate/],
    ['nested arrays without end', `{"x":${'['.repeat(10000)}`, /Expected "\{" for "x"/],
    ['a tensor that is no object', '{"x":[]}', /Expected "\{" for "x"/],
    [
      'a tensor given twice',
      `{${x},${x}}`,
      /each name once for the safetensors header .* but received "x" twice/,
    ],
    ['a tensor given twice, once with an escape', `{${x},${x.replace('x', '\\u0078')}}`, /"x" twice/],
    [
      'a field given twice',
      changed('"shape"', '"dtype":"F32","shape"'),
      /each name once for "x" .* "dtype" twice/,
    ],
    ['metadata given twice', `{"__metadata__":{},"__metadata__":{},${x}}`, /"__metadata__" twice/],
    [
      'an entry of metadata given twice',
      `{"__metadata__":{"a":"1","a":"2"},${x}}`,
      /once for __metadata__ .* "a" twice/,
    ],
    [
      'metadata that are no strings',
      `{"__metadata__":{"epoch":1},${x}}`,
      /a string for metadata "epoch" .* received "1\}/,
    ],
    [
      'another field',
      changed('"shape"', '"extra":1,"shape"'),
      /only dtype, shape and data_offsets for "x" .* "extra"/,
    ],
    ['no dtype', changed('"dtype":"F32",', ''), /a dtype for "x" in .* but received none/],
    ['no shape', changed('"shape":[2],', ''), /a shape for "x" in .* but received none/],
    ['no offsets', changed(',"data_offsets":[0,8]', ''), /two data_offsets for "x"/],
    ['an unknown dtype', changed('F32', 'F33'), /one of BOOL, .* for "x" in .* but received "F33"/],
    ['an inherited name as dtype', changed('F32', 'toString'), /but received "toString"/],
    ['a dtype that is no string', changed('"F32"', '32'), /a string for the dtype of "x"/],
    [
      'a negative dimension',
      changed('[2]', '[-2,-1]'),
      /non-negative integers below 2\^53 for the shape of "x" .* "-2/,
    ],
    ['a fractional dimension', changed('[2]', '[2.0]'), /non-negative integers/],
    ['a dimension in exponential form', changed('[2]', '[2e0]'), /non-negative integers/],
    ['a dimension with a leading zero', changed('[2]', '[02]'), /non-negative integers/],
    ['an unsafe dimension', changed('[2]', '[9007199254740993]'), /non-negative integers/],
    ['a dimension as a string', changed('[2]', '["2"]'), /non-negative integers/],
    [
      'an element count past all integers',
      changed('[2]', '[4294967296,4294967296,0]'),
      /fewer elements for "x"/,
    ],
    [
      'more dimensions than anything has',
      changed('[2]', `[${'1,'.repeat(64)}2]`),
      /at most 64 numbers for the shape of "x"/,
    ],
    ['a shape that is no array', changed('[2]', '2'), /"\[" for the shape of "x"/],
    ['three offsets', changed('[0,8]', '[0,8,8]'), /at most 2 numbers for the offsets of "x"/],
    ['one offset', changed('[0,8]', '[8]'), /two data_offsets for "x"/],
    [
      'a shape of more bytes than the offsets',
      changed('[2]', '[3]'),
      /12 bytes, F32 of shape \[3\], for "x" .* received bytes 0 to 8/,
    ],
    ['offsets that end before they begin', changed('[0,8]', '[8,0]'), /8 bytes, .* received bytes 8 to 0/],
    ['a hole at the start', changed('[0,8]', '[4,12]'), /begin at byte 0 for "x" .* received bytes 4 to 12/],
    [
      'data past the end',
      `{"y":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}`,
      /within 8 bytes for "y" .* bytes 0 to 9/,
    ],
    [
      'trailing bytes',
      `{"y":{"dtype":"U8","shape":[7],"data_offsets":[0,7]}}`,
      /7 bytes for the data of all tensors .* but received 8/,
    ],
    [
      'overlapping data',
      `{${x},"y":{"dtype":"U8","shape":[2],"data_offsets":[6,8]}}`,
      /begin at byte 8 for "y" .* bytes 6 to 8/,
    ],
    ['the same data twice', `{${x},${x.replace('x', 'y')}}`, /begin at byte 8 for "y"/],
    [
      'a hole between',
      '{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}}',
      /begin at byte 2 for "y" .* bytes 3 to 8/,
    ],
  ];
  for (const [name, header, message] of headers) {
    it(`refuses ${name}`, async () => {
      await expectFormatError(await folder.write('header', rawSafetensors(header, data)), message);
    });
  }

  it('names a tensor of endless name in short', async () => {
    const path = await folder.write('endless', rawSafetensors(`{"${'n'.repeat(100_000)}":1}`, data));
    const error = await rejection(SafetensorsFile.open(path));
    expect(error).to.have.property('message').that.has.length.below(1000);
  });

  it('refuses more names than any model has', async () => {
    const names = Array.from({ length: 2 ** 17 + 1 }, (_, i) => `"${i}":""`);
    const path = await folder.write(
      'names',
      rawSafetensors(`{"__metadata__":{${names.join(',')}}}`, new Uint8Array()),
    );
    await expectFormatError(path, /Expected at most 131072 names for __metadata__/);
  });

  it('refuses a file cut short at any length', async () => {
    const whole = rawSafetensors(good, data);
    for (let length = 0; length < whole.length; length++) {
      await expectFormatError(await folder.write('short', whole.subarray(0, length)), /^Expected /);
    }
  });

  for (const [name, length] of [
    ['one byte more than there is', BigInt(good.length + 9)],
    ['as much as 64 bits hold', 2n ** 64n - 1n],
    ['2^53', 2n ** 53n],
  ] as const) {
    it(`refuses a header length of ${name}`, async () => {
      const path = await folder.write('length', rawSafetensors(good, data, length));
      await expectFormatError(
        path,
        new RegExp(`Expected at most ${good.length + 8} bytes for .* but received ${length}`),
      );
    });
  }

  it('refuses a header length that cuts the header, or takes of the data', async () => {
    for (const length of [0, 1, good.length - 1, good.length + 1, good.length + 8]) {
      const path = await folder.write('length', rawSafetensors(good, data, BigInt(length)));
      await expectFormatError(path, /^Expected /);
    }
  });

  it('refuses a header over 100 MB before anything of that size is allocated', async () => {
    const path = await folder.write('huge', rawSafetensors('{}', new Uint8Array(), 100_000_001n));
    await truncate(path, 200_000_000);
    const before = process.memoryUsage().arrayBuffers;
    await expectFormatError(
      path,
      /Expected at most 100000000 bytes for the safetensors header .* received 100000001/,
    );
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(10_000_000);
  });

  it('refuses what is no file, or none that can be read', async () => {
    await mkdir(folder.path('folder'));
    execFileSync('mkfifo', [folder.path('fifo')]);
    await expectFormatError(folder.path('missing'), /at .* but received ENOENT/);
    await expectFormatError(folder.path('folder'), /but received a folder/);
    await expectFormatError(folder.path('fifo'), /but received a special file/);
    await expectFormatError('/dev/zero', /but received a special file/);
  });

  it('refuses a tensor whose file was cut after it was opened', async () => {
    const path = await folder.write('cut', rawSafetensors(good, data));
    await using file = await SafetensorsFile.open(path);
    await truncate(path, 8 + good.length + 4);
    const error = await rejection(file.readTensor('x'));
    expect(error)
      .to.be.instanceOf(FileFormatError)
      .with.property('message')
      .that.matches(/8 bytes for .* received 4/);
  });

  it('closes the file that it refuses', async () => {
    const path = folder.path('leak');
    await writeFile(path, 'not a model, but long enough for its length');
    for (let i = 0; i < 3; i++) await expectFormatError(path, /^Expected at most 35 bytes/);
    const open = (await readdir('/proc/self/fd')).map((descriptor) =>
      readlink(`/proc/self/fd/${descriptor}`).catch(() => 'closed since'),
    );
    expect(await Promise.all(open)).not.to.include(path);
  });
});
