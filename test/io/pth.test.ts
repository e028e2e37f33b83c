import { readFile, rename, truncate, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { FileFormatError } from '../../lib/errors.js';
import { PthFile, PthTensor } from '../../lib/io/pth.js';
import { temporaryFolder } from './files.js';
import { call, dict, global, integer, pickle, tensor, text, tuple, writeZip } from './pth_files.js';

const FIXTURE = fileURLToPath(new URL('python.pth', import.meta.url));

function members(value: unknown, ...path: string[]): Map<unknown, unknown> {
  expect(value).to.be.instanceOf(Map);
  const map = value as Map<unknown, unknown>;
  const [first, ...rest] = path;
  return first === undefined ? map : members(map.get(first), ...rest);
}

async function numbers(file: PthFile, value: unknown, elements = 5): Promise<(number | bigint)[]> {
  if (!(value instanceof PthTensor)) throw new Error('Expected a tensor');
  const all: (number | bigint)[] = [];
  for await (const piece of file.readPieces('t', value, value, elements)) {
    expect(piece.length).to.be.at.most(elements);
    all.push(...piece);
  }
  return all;
}

describe('.pth files', () => {
  const folder = temporaryFolder();

  async function write(
    value: Buffer,
    others: Readonly<Record<string, Uint8Array>> = { 'data/0': new Uint8Array(24) },
    options?: { method?: number; flags?: number },
  ): Promise<string> {
    const path = folder.path('made.pth');
    const entries = Object.entries({ 'data.pkl': value, ...others });
    await writeZip(
      path,
      entries.map(([name, bytes]) => [`made/${name}`, bytes]),
      options,
    );
    return path;
  }

  async function refusal(path: string): Promise<string> {
    const error = await PthFile.open(path).then(
      (file) => file[Symbol.asyncDispose](),
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(FileFormatError);
    const { message } = error as Error;
    expect(message)
      .to.match(/^Expected /)
      .and.to.include(path);
    return message;
  }

  describe("PyTorch's", () => {
    it('hold numbers, with 64-bit integers as bigints, and plain containers', async () => {
      await using file = await PthFile.open(FIXTURE);
      const content = members(file.content);
      expect([...content.keys()]).to.deep.equal([
        'epoch',
        'total_steps',
        'optimizer',
        'model',
        'seed',
        'others',
      ]);
      expect([content.get('epoch'), content.get('total_steps')]).to.deep.equal([7, 123456]);
      expect(content.get('seed')).to.equal(2n ** 63n + 12345n);
      expect(members(file.content, 'others').get('plain')).to.deep.equal([
        null,
        true,
        -1,
        2 ** 40,
        -(2n ** 62n),
        1.5,
        'Grüße 猫',
        [],
        [1, [2]],
        [],
        new Map([[3, 'x']]),
      ]);
      const [group] = members(file.content, 'optimizer').get('param_groups') as unknown[];
      expect(members(group).get('lr')).to.equal(1e-4);
    });

    it('hold tensors, read in pieces', async () => {
      await using file = await PthFile.open(FIXTURE);
      const model = members(file.content, 'model');
      const weight = model.get('module.0.weight') as PthTensor;
      expect([weight.dtype, weight.shape]).to.deep.equal(['F32', [2, 1, 2, 2]]);
      const wanted = Array.from({ length: 8 }, (_, i) => i / 8 - 1);
      // One step of Adam moved each by its rate.
      for (const [i, value] of (await numbers(file, weight, 3)).entries())
        expect(Number(value)).to.be.closeTo(wanted[i] ?? Number.NaN, 1.1e-4);
      const others = members(file.content, 'others');
      for (const [name, dtype, shape, values] of [
        ['parameter', 'F32', [2], [0.5, -0.5]],
        ['part', 'F32', [2, 4], [4, 5, 6, 7, 8, 9, 10, 11]],
        ['half', 'F16', [2], [0x3c00, 0xc000]],
        ['bfloat', 'BF16', [1], [0x3f80]],
        ['double', 'F64', [], [1e300]],
        ['long', 'I64', [2], [2n ** 53n + 1n, -(2n ** 63n)]],
        ['flags', 'BOOL', [2], [1, 0]],
        ['empty', 'F32', [0, 3], []],
      ] as const) {
        const tensor = others.get(name) as PthTensor;
        expect([tensor.dtype, tensor.shape], name).to.deep.equal([dtype, shape]);
        expect(await numbers(file, tensor), name).to.deep.equal(values);
      }
    });

    it('are not read where their numbers are not one after the other', async () => {
      await using file = await PthFile.open(FIXTURE);
      const error = await numbers(file, members(file.content, 'others').get('columns')).catch(
        (reason: unknown) => reason,
      );
      expect(error).to.be.instanceOf(FileFormatError);
      expect(String(error)).to.match(/tensor\.contiguous\(\).* for "t" .* strides \[1, 4\]/);
    });

    it('are refused where they are cut short at any length', async () => {
      const bytes = await readFile(FIXTURE);
      const path = await folder.write('short.pth', bytes);
      for (let length = bytes.length - 1; length >= 0; length--) {
        await truncate(path, length);
        await refusal(path);
      }
    });
  });

  describe('that hold code are refused by its name', () => {
    for (const [what, value, name] of [
      ['a call', call(global('posix', 'system'), text('echo')), 'posix.system'],
      ['builtins', call(global('builtins', 'eval'), text('1')), 'builtins.eval'],
      ['a name that is not called', global('os', 'environ'), 'os.environ'],
      ['a class of its own', call(global('__main__', 'AlexNet')), '__main__.AlexNet'],
      [
        'a name inside a name',
        call(global('torch', '_utils._rebuild_tensor')),
        'torch._utils._rebuild_tensor',
      ],
      [
        'a name on the stack',
        Buffer.concat([text('posix'), text('system'), Buffer.of(0x93)]),
        'posix.system',
      ],
      [
        'a name beside a tensor',
        dict([
          ['a', tensor()],
          ['b', global('torch', 'load')],
        ]),
        'torch.load',
      ],
    ] as const) {
      it(what, async () => {
        expect(await refusal(await write(pickle(value)))).to.include(
          `only tensors and plain containers for the pickle in ${folder.path('made.pth')} but received code: "${name}" is neither`,
        );
      });
    }

    for (const [what, bytes] of [
      ['INST', 'iposix\nsystem\n'],
      ['OBJ', '(o'],
      ['NEWOBJ', '}}\x81'],
      ['PERSID', 'P0\n'],
      ['EXT1', '\x82\x01'],
    ] as const) {
      it(`the operation ${what}`, async () => {
        expect(await refusal(await write(pickle(Buffer.from(bytes, 'latin1'))))).to.match(
          /plain containers .* operation 0x/,
        );
      });
    }

    it('a storage that is called', async () => {
      const value = call(global('torch', 'FloatStorage'), integer(1));
      expect(await refusal(await write(pickle(value)))).to.include('"torch.FloatStorage"');
    });
  });

  describe('are refused where', () => {
    for (const [what, value, message] of [
      ['the pickle is empty', Buffer.alloc(0), /protocol 2 to 5/],
      ['the pickle is of protocol 0', Buffer.from('(dp0\n.'), /protocol 2 to 5/],
      ['the pickle is of protocol 9', Buffer.of(0x80, 9, 0x4e, 0x2e), /received protocol 9/],
      ['nothing is left', Buffer.of(0x80, 2, 0x2e), /an operand/],
      ['a mark is missing', pickle(Buffer.from('t')), /a mark/],
      ['an object never came', pickle(Buffer.from('h\x05')), /object that came before .* number 5/],
      ['a key has no value', pickle(Buffer.from('}(Nu')), /a value for each key/],
      ['a key is None', pickle(Buffer.from('}(NNu')), /text or numbers as keys/],
      ['a tuple is appended to', pickle(Buffer.from(')Na')), /a list to append to/],
      ['a list has items set', pickle(Buffer.from('](NNu')), /a dict to set items of/],
      ['a list has attributes', pickle(Buffer.from(']}b')), /attributes of an OrderedDict/],
      ['text is no UTF-8', pickle(Buffer.from('X\x01\0\0\0\xff', 'latin1')), /UTF-8/],
      ['an integer has 65 bits', pickle(Buffer.from(`\x8a\x09${'\xff'.repeat(8)}\x01`, 'latin1')), /64 bits/],
      [
        'there are more operations than any state dict takes',
        pickle(Buffer.alloc(2 ** 18, 'N')),
        /at most 131072 operations/,
      ],
      [
        'the pickle is larger than any',
        pickle(text('x'.repeat(2 ** 22))),
        /at most 4194304 bytes for "data\.pkl"/,
      ],
    ] as const) {
      it(what, async () => expect(await refusal(await write(value))).to.match(message));
    }

    for (const [what, parts, message] of [
      ['a storage is missing', { key: '1' }, /an entry for "data\/1"/],
      ['a storage would be outside', { key: '../x' }, /an entry for "data\/\.\.\/x"/],
      ['a storage is shorter', { elements: 7 }, /7 elements of F32 for "data\/0" .* 24 bytes/],
      ['a storage is of another type', { storage: 'DoubleStorage' }, /6 elements of F64/],
      ['a tensor is larger than its storage', { shape: [2, 4], elements: 6 }, /a part of 6 elements/],
      ['a tensor begins too late', { offset: 1 }, /a part of 6 elements .* offset 1/],
      ['a tensor shows an element often', { shape: [2 ** 40], strides: [0], elements: 6 }, /a part of 6/],
      ['strides pass its storage', { strides: [4, 1] }, /a part of 6 elements/],
      ['strides are missing', { strides: [1] }, /2 strides/],
      ['an offset is negative', { offset: -1 }, /storage, offset, shape and strides/],
      ['a size is negative', { shape: [-2, 3], elements: 6 }, /storage, offset, shape and strides/],
      ['there are more dimensions than any', { shape: Array(65).fill(1), elements: 6 }, /shape and strides/],
    ] as const) {
      it(what, async () => expect(await refusal(await write(pickle(tensor(parts))))).to.match(message));
    }

    it('numbers are big-endian', async () => {
      const others = { 'data/0': new Uint8Array(24), byteorder: Buffer.from('big') };
      expect(await refusal(await write(pickle(tensor()), others))).to.match(
        /little-endian .* received "big"/,
      );
    });

    it('entries are compressed, or encrypted', async () => {
      expect(await refusal(await write(pickle(tensor()), {}, { method: 8 }))).to.match(/stored as it is/);
      expect(await refusal(await write(pickle(tensor()), {}, { flags: 1 }))).to.match(/damaged one/);
    });

    it('they name a place that no file has', async () => {
      const bytes = await readFile(FIXTURE);
      const locator = bytes.lastIndexOf('PK\x06\x07', undefined, 'latin1');
      for (const place of [2n ** 62n, BigInt(bytes.length - 1)]) {
        bytes.writeBigUInt64LE(place, locator + 8);
        const path = folder.path('far.pth');
        await writeFile(path, bytes);
        expect(await refusal(path)).to.match(/damaged one \(it names byte \d+ of 8125\)/);
      }
    });

    it('there is no pickle, or there are two', async () => {
      const path = folder.path('pickles.pth');
      await writeZip(path, [['a/data', new Uint8Array(1)]]);
      expect(await refusal(path)).to.match(/one data\.pkl .* received 0/);
      await writeZip(path, [
        ['a/data.pkl', new Uint8Array(1)],
        ['b/data.pkl', new Uint8Array(1)],
      ]);
      expect(await refusal(path)).to.match(/one data\.pkl .* received 2/);
    });

    it('they are from before PyTorch 1.6, and what to do is said', async () => {
      const magic = Buffer.from('80028a0a6cfc9c46f9206aa850192e80024de9032e', 'hex');
      const tar = Buffer.alloc(1024);
      tar.write('ustar', 257);
      for (const bytes of [magic, tar])
        expect(await refusal(await folder.write('old.pth', bytes))).to.match(
          /before PyTorch 1\.6: .*torch\.save/,
        );
    });

    it('they are anything else', async () => {
      expect(await refusal(await folder.write('text.pth', Buffer.from('weights')))).to.match(/other bytes/);
      expect(await refusal(folder.path('none.pth'))).to.match(/ENOENT/);
      expect(await refusal(folder.path('.'))).to.match(/a folder/);
    });
  });

  it('may nest deeply', async () => {
    const depth = 60_000;
    const value = Buffer.concat([Buffer.alloc(depth, ']'), Buffer.alloc(depth - 1, 'a')]);
    await using file = await PthFile.open(await write(pickle(value)));
    expect(file.content).to.be.an('array').of.length(1);
  });

  it('may hold themselves', async () => {
    await using file = await PthFile.open(await write(pickle(Buffer.from(']q\0h\0a'))));
    const list = file.content as unknown[];
    expect(list[0] === list).to.equal(true);
  });

  it('hold what was saved by protocol 4', async () => {
    const value = Buffer.from('\x80\x04\x95\x12\0\0\0\0\0\0\0}\x94\x8c\x01a\x94K\x01s.', 'latin1');
    await using file = await PthFile.open(await write(value));
    expect(file.content).to.deep.equal(new Map([['a', 1]]));
  });

  it('do not change while they are open, where they are replaced', async () => {
    await using file = await PthFile.open(await write(pickle(tuple(tensor()))));
    await writeFile(folder.path('other'), 'x');
    await rename(folder.path('other'), folder.path('made.pth'));
    const [only] = file.content as unknown[];
    expect(await numbers(file, only)).to.deep.equal([0, 0, 0, 0, 0, 0]);
  });
});
