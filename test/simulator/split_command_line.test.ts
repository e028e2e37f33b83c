import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { alexnet, expectError, jsonLines, type Outcome, useFolder } from '../cli/alexnet.js';
import { BLUE, RED, writePictures } from '../cli/pictures.js';
import { build, needCuda } from '../cuda/targets.js';

const preload = fileURLToPath(new URL('./as_cuda.mjs', import.meta.url));
const PEERS = { directly: '0,1', "through the host's memory": 'none' };

/** Each program ends with status 99 where it broke a rule, or left something behind. */
describe('simulator: the command line on two devices', function () {
  this.timeout(600_000);
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);

  const { NODE_OPTIONS = '', NODE_CUDNN_SIMULATOR } = process.env;
  const play = (words: string) => {
    process.env.NODE_CUDNN_SIMULATOR = `seed=1 devices=b200,h100 ${words}`;
  };
  before(async function () {
    needCuda(this);
    build('node_cudnn_simulator');
    await writePictures(at('train'), { blue: BLUE, red: RED }, 4);
    await writePictures(at('val'), { blue: BLUE, red: RED }, 1);
    process.env.NODE_OPTIONS = `${NODE_OPTIONS} --import ${preload}`;
  });
  after(() => {
    process.env.NODE_OPTIONS = NODE_OPTIONS;
    if (NODE_CUDNN_SIMULATOR === undefined) delete process.env.NODE_CUDNN_SIMULATOR;
    else process.env.NODE_CUDNN_SIMULATOR = NODE_CUDNN_SIMULATOR;
  });

  const train = (devices: string, out: string, ...args: string[]): Promise<Outcome> => {
    const data = ['--data', at('train'), '--val', at('val'), '--out', at(out)];
    const how = ['--batch', '4', '--optimizer', 'sgd', '--devices', devices, '--json'];
    return alexnet(['train', ...data, ...how, ...args]);
  };

  for (const [way, peers] of Object.entries(PEERS)) {
    it(`doctor says that copies go ${way}`, async () => {
      play(`peers=${peers}`);
      const words = await alexnet(['doctor']);
      expect(words.stdout).to.include(`\ncuda:0 and cuda:1: copies go ${way}\n`);
      const { stdout } = await alexnet(['doctor', '--json']);
      expect((jsonLines(stdout)[0] as { cuda: { pairs: unknown } }).cuda.pairs).to.deep.equal([
        { devices: ['cuda:0', 'cuda:1'], direct: way === 'directly' },
      ]);
    });

    it(`train computes the losses that the CPU backend does, and a trace, copies going ${way}`, async () => {
      play(`peers=${peers}`);
      const trace = at(`${peers}.json`);
      const outcomes = [
        await train('cuda:0,cuda:1', peers, '--epochs', '1', '--no-tf32', '--trace', trace),
        await train('cpu:0,cpu:1', `${peers}-cpu`, '--epochs', '1'),
      ];
      const [ours = [], wanted = []] = outcomes.map(({ status, stdout, stderr }) => {
        expect([status, stderr]).to.deep.equal([0, '']);
        return jsonLines(stdout)
          .filter(({ event }) => event === 'step')
          .map(({ loss }) => Number(loss));
      });
      expect(ours).to.have.lengthOf(2);
      for (const [i, loss] of ours.entries()) expect(loss).to.be.closeTo(wanted[i] ?? 0, 1e-4);
      type Event = { name: string; ph: string; tid: number; args: { name?: string; bytes?: number } };
      const { traceEvents } = JSON.parse(await readFile(trace, 'utf8')) as { traceEvents: Event[] };
      const threads = traceEvents.filter(({ name }) => name === 'thread_name');
      expect(threads.map(({ tid, args }) => [tid, args.name])).to.deep.equal([
        [0, 'cuda:0'],
        [1, 'cuda:1'],
      ]);
      for (const { tid } of threads) {
        const own = traceEvents.filter((event) => event.tid === tid && event.ph === 'X');
        expect(own.some(({ name }) => name === 'conv1 conv2d')).to.equal(true);
        // Of two steps, and of the validation, whose logits cross too.
        const crossings = 2 * 9 + (tid === 0 ? 5 : 4);
        expect(own.filter(({ args }) => args.bytes !== undefined)).to.have.lengthOf(crossings);
      }
    });
  }

  for (const lost of [0, 1]) {
    it(`train ends with one error that names it where cuda:${lost} is lost; the checkpoint stays`, async () => {
      play('');
      const out = `lost${lost}`;
      expect(await train('cuda:0,cuda:1', out, '--epochs', '1')).to.include({ status: 0, stderr: '' });
      const checkpoint = await readFile(at(out, 'last.safetensors'));
      play(`fail=cublasSgemm:11:DeviceLost:${lost}`);
      const { status, stderr } = await train('cuda:0,cuda:1', out, '--resume', at(out), '--epochs', '2');
      expect(stderr.match(/^error: /gm), stderr).to.have.lengthOf(1);
      expect(stderr).to.match(new RegExp(`^error: .* on cuda:${lost}[^\n]*\n$`, 'm'));
      expect(stderr).to.not.include(`on cuda:${1 - lost}`);
      expect(status).to.equal(1);
      expect(checkpoint.equals(await readFile(at(out, 'last.safetensors')))).to.equal(true);
    });
  }

  it('train refuses a device that is not there', async () => {
    play('');
    expectError(
      await train('cuda:0,cuda:9', 'refused'),
      1,
      /Expected cuda:0 … cuda:1 for device but received "cuda:9"/,
    );
  });
});
