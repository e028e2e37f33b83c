import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { alexnet, jsonLines, type Outcome, root, useFolder } from '../cli/alexnet.js';
import { BLUE, RED, writePictures } from '../cli/pictures.js';
import { build, needCuda } from '../cuda/targets.js';
import { runProgram } from '../environment/child.js';
import { runNode } from '../support/child.js';

const preload = fileURLToPath(new URL('./as_cuda.mjs', import.meta.url));

/** Each program ends with status 99 where it broke a rule, or left something behind. */
describe('simulator: programs, such as the command line', function () {
  this.timeout(600_000);
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);
  const on = (device: string, ...args: string[]): Promise<Outcome> =>
    alexnet([...args, '--device', device, '--json']);
  const figures = ({ status, stdout, stderr }: Outcome): Record<string, unknown>[] => {
    expect([status, stderr]).to.deep.equal([0, '']);
    return jsonLines(stdout);
  };

  const { NODE_OPTIONS = '', NODE_CUDNN_SIMULATOR } = process.env;
  before(async function () {
    needCuda(this);
    build('node_cudnn_simulator');
    await writePictures(at('train'), { blue: BLUE, red: RED }, 4);
    await writePictures(at('val'), { blue: BLUE, red: RED }, 2);
    // The newest: every build has kernels for it, or PTX.
    process.env.NODE_CUDNN_SIMULATOR = 'seed=1 devices=b200';
    process.env.NODE_OPTIONS = `${NODE_OPTIONS} --import ${preload}`;
  });
  after(() => {
    process.env.NODE_OPTIONS = NODE_OPTIONS;
    if (NODE_CUDNN_SIMULATOR === undefined) delete process.env.NODE_CUDNN_SIMULATOR;
    else process.env.NODE_CUDNN_SIMULATOR = NODE_CUDNN_SIMULATOR;
  });

  const trainOn = (device: string, out: string, ...args: string[]): Promise<Outcome> => {
    const data = ['--data', at('train'), '--val', at('val'), '--out', at(out)];
    return on(device, 'train', ...data, '--batch', '4', '--epochs', '1', '--optimizer', 'sgd', ...args);
  };

  it('doctor finds the device', async () => {
    const { status, stdout } = await alexnet(['doctor']);
    expect(status).to.equal(0);
    expect(stdout).to.match(/^cuda:0: NVIDIA B200, compute capability 10\.0$/m);
  });

  it('train computes the losses that the CPU backend does', async () => {
    const [ours, wanted] = [
      figures(await trainOn('cuda', 'cuda', '--no-tf32')),
      figures(await trainOn('cpu', 'cpu')),
    ];
    expect(ours.map(({ event }) => event)).to.deep.equal(wanted.map(({ event }) => event));
    const losses = (events: Record<string, unknown>[]) =>
      events.filter(({ event }) => event === 'step').map(({ loss }) => Number(loss));
    for (const [i, loss] of losses(ours).entries()) expect(loss).to.be.closeTo(losses(wanted)[i] ?? 0, 1e-4);
  });

  it('round to TF32 where nobody says otherwise', async () => {
    const code = `
      const { conv2d, Device, rand } = await import(process.argv[1]);
      const device = Device.get('cuda');
      const drawn = (seed, shape) => rand(shape, { seed, low: -1, high: 1, device });
      const [x, weight] = [drawn(1, [8, 14, 14, 64]), drawn(2, [64, 3, 3, 64])];
      const results = [];
      for (const options of [{}, { tf32: true }, { tf32: false }]) {
        device.setConvolutions(options);
        results.push(String(await conv2d(x, weight).data()));
      }
      console.log(results[0] === results[1], results[0] === results[2]);
      for (const each of [x, weight]) each.dispose();`;
    const { code: status, stdout } = await runNode(
      ['--input-type=module', '--eval', code, join(root, 'dist/index.js')],
      100_000,
    );
    expect([status, stdout]).to.deep.equal([0, 'true false\n']);
  });

  it('eval and predict give the figures that the CPU backend does', async () => {
    const commands = [
      ['eval', '--model', at('cuda'), '--data', at('val')],
      ['predict', '--model', at('cuda'), at('val/red/0.png')],
    ];
    for (const args of commands) {
      const [ours, wanted] = [
        figures(await on('cuda', ...args, '--no-tf32')),
        figures(await on('cpu', ...args)),
      ];
      const numbers = (events: unknown) =>
        JSON.stringify(events).replace(/\d+\.\d+/g, (n) => Number(n).toFixed(3));
      expect(numbers(ours)).to.equal(numbers(wanted));
    }
  });

  it('four environments of a program train on one device at once', async () => {
    expect(await runProgram('workers.mjs', ['cuda'])).to.deep.equal({
      code: 0,
      signal: null,
      stdout: '1 50 0\n',
      stderr: '',
    });
  });

  it('a call that fails ends training with its name, and nothing is left behind', async () => {
    process.env.NODE_CUDNN_SIMULATOR = 'seed=1 devices=b200 fail=cublasSgemm:7:ExecutionFailed';
    const { status, stderr } = await trainOn('cuda', 'failed');
    expect(stderr).to.match(/^error: .*cublasSgemm_64: CUBLAS_STATUS_EXECUTION_FAILED.* on cuda:0.*\n$/);
    expect(status).to.equal(1);
  });
});
