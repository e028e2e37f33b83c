import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { alexnet, expectError, useFolder } from './alexnet.js';
import { BLUE, RED, writePictures } from './pictures.js';

/** A safetensors file of this header, and no data. */
function modelFile(header: object, headerBytes?: bigint): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(headerBytes ?? BigInt(json.length));
  return Buffer.concat([size, json]);
}

const METADATA = {
  format: 'node-cudnn model 1',
  model: JSON.stringify({ classes: 2, preset: 'paper' }),
  classes: JSON.stringify(['blue', 'red']),
  preprocessing: JSON.stringify({ resize: 256, crop: 227, mean: [0, 0, 0], scale: [1, 1, 1] }),
};

describe('command line: failures end with one message and exit status 1', () => {
  const folder = useFolder();

  before(async () => {
    const at = (...path: string[]) => join(folder(), ...path);
    await writePictures(at('good'), { blue: BLUE, red: RED }, 2);
    await writePictures(at('single'), { red: RED }, 2);
    await writePictures(at('hollow'), { red: RED, blue: BLUE }, 1);
    await mkdir(at('hollow', 'green'));
    await writePictures(at('strange'), { green: [0, 200, 0], red: RED }, 1);
    await mkdir(at('empty'));
    await mkdir(at('text', 'red'), { recursive: true });
    await writePictures(at('text'), { blue: BLUE }, 1);
    await writeFile(at('text', 'red', 'note.jpg'), 'no picture');
    await writeFile(at('file'), 'no folder');
    await writeFile(
      at('random.safetensors'),
      Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 167 + 13) % 256)),
    );
    await writeFile(at('long.safetensors'), modelFile({ __metadata__: METADATA }, 2n ** 40n));
    await writeFile(
      at('offsets.safetensors'),
      modelFile({ __metadata__: METADATA, w: { dtype: 'F32', shape: [1000], data_offsets: [0, 4000] } }),
    );
    await writeFile(at('bare.safetensors'), modelFile({ __metadata__: METADATA }));
    await mkdir(at('run'));
    await writeFile(at('run', 'last.safetensors'), modelFile({ __metadata__: METADATA }));
  });

  /** `@name` stands for the path of that name in the folder. */
  const cases: readonly [args: string, message: RegExp][] = [
    ['train --data @good', /--data needs --val/],
    ['train --val @good', /--val needs --data/],
    ['train --data @nowhere --val @good', /nowhere/],
    ['train --data @good --val @nowhere', /nowhere/],
    ['train --data @file --val @good', /file/],
    ['train --data @empty --val @good', /empty/],
    ['train --data @single --val @good', /single/],
    ['train --data @hollow --val @good', /green/],
    ['train --data @text --val @good --out @out', /red/],
    ['train --data @good --val @strange', /green/],
    ['train --data @good --val @good --out @file', /--out but received .*file/],
    ['train --data @good --val @good --out @file/deeper', /--out but received .*file\/deeper/],
    ['train --data @good --val @good --out /proc/node-cudnn', /--out but received \/proc\/node-cudnn/],
    ['train --data @good --val @good --out /proc', /--out but received \/proc/],
    ['train --device cuda:99', /device.*"cuda:99"/],
    ['train --device gpu', /device.*"gpu"/],
    ['train --device cpu:9999', /device.*"cpu:9999"/],
    ['train --no-tf32 --deterministic', /CUDA device for tf32, deterministic but received cpu:0/],
    ['predict --model @bare.safetensors --no-tf32 @good/red/0.png', /CUDA device for tf32/],
    ['train --resume @empty', /checkpoint at .*empty\/last\.safetensors/],
    ['train --resume @nowhere', /nowhere/],
    ['train --resume @run', /run\/last\.safetensors/],
    ['eval --model @nowhere --data @good', /nowhere/],
    ['eval --model @empty --data @good', /empty\/last\.safetensors/],
    ['eval --model @random.safetensors --data @good', /random\.safetensors/],
    ['eval --model @long.safetensors --data @good', /header.*long\.safetensors/],
    ['eval --model @offsets.safetensors --data @good', /offsets\.safetensors/],
    ['eval --model @bare.safetensors --data @good', /bare\.safetensors/],
    ['eval --model @good/red/0.png --data @good', /0\.png/],
    ['eval --model @bare.safetensors --data @good --device cuda:99', /device.*"cuda:99"/],
    ['predict --model @random.safetensors @good/red/0.png', /random\.safetensors/],
  ];
  for (const [args, message] of cases) {
    it(`alexnet ${args}`, async () => {
      const paths = args.split(' ').map((arg) => (arg.startsWith('@') ? join(folder(), arg.slice(1)) : arg));
      expectError(await alexnet(paths), 1, message);
    });
  }

  it('--verbose adds the stack trace', async () => {
    const { status, stderr, stdout } = await alexnet(['train', '--device', 'cuda:99', '--verbose']);
    if (!/^error: DeviceError: .*\n {4}at /.test(stderr)) throw new Error(stderr);
    if (status !== 1 || stdout !== '') throw new Error(`status ${status}: ${stdout}`);
  });
});
