import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { ArgumentError, conv2d, Device, noGrad, randn, type Tensor, tidy } from '../lib/index.js';
import conv2dTable from './cases/conv2d.js';
import { alexnet, useFolder } from './cli/alexnet.js';
import { BLUE, RED, writePictures } from './cli/pictures.js';
import { difference } from './support/compare.js';
import { runCase } from './support/run_case.js';

const FORWARD = 'conv2d forward';

describe('autotune on a CPU', () => {
  // Devices that no other test has, and that begin while no implementation is forced (npm run test:forced): nothing is
  // chosen then.
  const device = Device.get('cpu:13');
  const table = Device.get('cpu:14');
  const { NODE_CUDNN_CONV2D: forced } = process.env;
  before(async () => {
    delete process.env.NODE_CUDNN_CONV2D;
    device.setConvolutions({ autotune: true });
    await Promise.all([device.synchronize(), table.synchronize()]);
  });
  after(() => {
    device.setConvolutions({ autotune: false });
    if (forced !== undefined) process.env.NODE_CUDNN_CONV2D = forced;
  });
  beforeEach(() => device.choose({}));

  /** The implementations that computed, and the numbers. */
  async function convolution(on: Device, kernelSize = 3): Promise<{ implementations: string[]; y: unknown }> {
    const convolve = (): Tensor => {
      const x = randn([2, 9, 9, 8], { seed: 1, device: on });
      const weight = randn([8, kernelSize, kernelSize, 8], { seed: 2, device: on });
      return noGrad(() => conv2d(x, weight));
    };
    on.trace(true);
    const y = await tidy(() => convolve().data());
    on.trace(false);
    const spans = await on.takeSpans();
    const implementations = spans.filter(({ op }) => op === 'conv2d').map((span) => span.implementation);
    return { implementations, y };
  }

  it('computes what the committed table does', async () => {
    for (const opCase of conv2dTable.cases) {
      const [tuned, wanted] = await Promise.all(
        [device, table].map(async (on) => {
          const { outputs, gradients } = await runCase(conv2dTable, opCase, on);
          return Object.values({ ...outputs, ...gradients });
        }),
      );
      tuned?.forEach((array, i) => {
        expect(difference(array, wanted?.[i] ?? []).relative, opCase.name).to.be.below(2e-5);
      });
    }
  });

  it('keeps the name of what it chose by shape and threads, and computes with it', async () => {
    const { implementations } = await convolution(device);
    const [[what, name] = []] = Object.entries(device.choices);
    expect(Object.keys(device.choices)).to.have.lengthOf(1);
    expect(what).to.match(/^conv2d forward threads \d+( \d+){16}$/);
    expect(implementations).to.deep.equal([name]);
  });

  it('takes what it is told was chosen', async () => {
    await convolution(device);
    const [what = ''] = Object.keys(device.choices);
    for (const name of ['onednn', 'im2col']) {
      device.choose({ [what]: name });
      expect((await convolution(device)).implementations).to.deep.equal([name]);
      expect(device.choices).to.deep.equal({ [what]: name });
    }
  });

  it('measures anew where a choice is not to be had', async () => {
    await convolution(device);
    const [what = ''] = Object.keys(device.choices);
    device.choose({ [what]: 'an implementation that is not there' });
    const { implementations } = await convolution(device);
    expect(device.choices).to.deep.equal({ [what]: implementations[0] });
    expect(implementations[0]).to.not.match(/not there/);
  });

  it('measures for other threads anew', async () => {
    const threads = Number(device.arithmetic.threads);
    await convolution(device);
    device.setThreads(threads + 1);
    await convolution(device);
    device.setThreads(threads);
    expect(Object.keys(device.choices)).to.have.lengthOf(2);
  });

  it('gives equal bits with equal choices', async () => {
    const { y } = await convolution(device);
    expect((await convolution(device)).y).to.deep.equal(y);
  });

  it('chooses nothing where it is off', async () => {
    await convolution(table);
    expect(table.choices).to.deep.equal({});
    expect(table.arithmetic).to.not.have.property('autotune');
    expect(device.arithmetic).to.have.property('autotune', 'on');
  });

  it('leaves what only a GPU has', () => {
    expect(() => device.setConvolutions({ deterministic: true })).to.throw(ArgumentError, 'CUDA device');
  });

  describe('on the command line', () => {
    const folder = useFolder();
    const at = (...path: string[]) => join(folder(), ...path);
    let recipe: readonly string[];
    let saved: string | undefined;
    before(async () => {
      saved = process.env.XDG_CACHE_HOME;
      process.env.XDG_CACHE_HOME = at('cache');
      await writePictures(at('train'), { blue: BLUE, red: RED }, 2);
      await writePictures(at('val'), { blue: BLUE, red: RED }, 1);
      recipe = ['train', '--data', at('train'), '--val', at('val'), '--batch', '2', '--json', '--autotune'];
    });
    after(() => {
      if (saved === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = saved;
    });

    const memory = async () => JSON.parse(await readFile(at('cache/node-cudnn/autotune.json'), 'utf8'));
    async function choicesIn(run: string): Promise<Record<string, string>> {
      const file = await readFile(at(run, 'last.safetensors'));
      const header = JSON.parse(file.subarray(8, 8 + Number(file.readBigUInt64LE(0))).toString());
      const [training] = Object.values<string>(header.__metadata__).flatMap((text) => {
        try {
          return [JSON.parse(text)].filter((value) => value?.choices !== undefined);
        } catch {
          return [];
        }
      });
      return training.choices;
    }

    it('is remembered on disk, under processor, threads and library, and taken from there', async () => {
      const first = await alexnet([...recipe, '--epochs', '1', '--out', at('first')]);
      expect([first.status, first.stderr]).to.deep.equal([0, '']);
      const written = await memory();
      const [[key = '', choices = {}] = []] = Object.entries<Record<string, string>>(written);
      expect(key).to.match(/version .*processor .*onednn .*instructionSet .*threads \d+/);
      expect(Object.keys(choices).filter((what) => what.startsWith(FORWARD)).length).to.be.at.least(5);
      expect(await choicesIn('first')).to.deep.equal(choices);

      const swapped = Object.fromEntries(Object.keys(choices).map((what) => [what, 'im2col']));
      await writeFile(at('cache/node-cudnn/autotune.json'), JSON.stringify({ ...written, [key]: swapped }));
      const second = await alexnet([...recipe, '--epochs', '1', '--out', at('second')]);
      expect([second.status, second.stderr]).to.deep.equal([0, '']);
      expect(await choicesIn('second')).to.deep.equal(swapped);
    });

    it('a run that goes on takes what its checkpoint says', async () => {
      const chosen = await choicesIn('first');
      const [key = ''] = Object.keys(await memory());
      const other = Object.fromEntries(Object.keys(chosen).map((what) => [what, 'onednn']));
      await writeFile(at('cache/node-cudnn/autotune.json'), JSON.stringify({ [key]: other }));
      const resumed = await alexnet(['train', '--resume', at('first'), '--epochs', '2', '--json']);
      expect(resumed.status).to.equal(0);
      expect(await choicesIn('first')).to.deep.equal(chosen);
    });

    it('a memory that is broken, or cannot be written, fails nothing', async () => {
      const predict = ['predict', '--model', at('first'), '--autotune', at('val/red/0.png'), '--json'];
      await writeFile(at('cache/node-cudnn/autotune.json'), '{"what": 7}');
      const broken = await alexnet(predict);
      expect([broken.status, broken.stderr]).to.deep.equal([0, '']);
      process.env.XDG_CACHE_HOME = at('train/red/0.png');
      const { status, stderr } = await alexnet(predict);
      expect(status).to.equal(0);
      expect(stderr).to.match(/^what --autotune chose is not remembered: /);
    });
  });
});
