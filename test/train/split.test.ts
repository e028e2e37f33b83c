import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { AlexNet, Device, type Optimizer, OutOfMemoryError, SGD, Trainer } from '../../lib/index.js';
import { useFolder } from '../cli/alexnet.js';
import { Greys, preprocessing } from './greys.js';

interface Run extends Disposable {
  trainer: Trainer;
  model: AlexNet;
  optimizer: Optimizer;
}

function makeRun(devices: readonly string[], out?: string, batchSize = 4): Run {
  const model = new AlexNet({ classes: 2, init: 'he', seed: 3, devices });
  const optimizer = new SGD(model.namedParameters(), { lr: 1e-5, momentum: 0.9, weightDecay: 5e-4 });
  const options = { model, optimizer, train: new Greys(8), batchSize, seed: 5, preprocessing };
  const trainer = new Trainer({ ...options, ...(out === undefined ? {} : { out }) });
  const dispose = (): void => {
    for (const item of [trainer, optimizer, model]) item.dispose();
  };
  return { trainer, model, optimizer, [Symbol.dispose]: dispose };
}

describe('a training on two devices', function () {
  this.timeout(300_000);
  const folder = useFolder();

  it('takes at most 60 % of the memory of one on each', async () => {
    const peak = async (names: readonly string[]): Promise<number[]> => {
      {
        using run = makeRun(names, undefined, 8);
        await run.trainer.fit(1);
      }
      return names.map((name) => Device.get(name).memory().peakBytes);
    };
    const [one = 0] = await peak(['cpu:4']);
    for (const bytes of await peak(['cpu:9', 'cpu:10'])) expect(bytes / one).to.be.within(0.4, 0.6);
  });

  it('ends where a device fails with one error that names it; the other is released, the checkpoint whole', async () => {
    const devices = ['cpu:11', 'cpu:15'].map((name) => Device.get(name));
    const [, failing] = devices;
    const out = join(folder(), 'failing');
    const last = join(out, 'last.safetensors');
    {
      using run = makeRun(['cpu:11', 'cpu:15'], out);
      await run.trainer.fit(1);
      const before = await readFile(last);
      failing?.backend.failAllocation(failing.index, false, 60);
      const error: unknown = await run.trainer.fit(2).catch((reason: unknown) => reason);
      failing?.backend.failAllocation(failing.index, false, 0);
      expect(error).to.be.instanceOf(OutOfMemoryError);
      expect((error as Error).message).to.match(/ on cpu:15 /);
      expect(before.equals(await readFile(last)), 'the checkpoint').to.equal(true);
      await Promise.all(devices.map((device) => device.synchronize().catch(() => {})));
    }
    expect(devices.map((device) => device.memory().liveBuffers)).to.deep.equal([0, 0]);
    using again = makeRun(['cpu:11', 'cpu:15'], out);
    expect((await again.trainer.resume(out)).epoch).to.equal(1);
    await again.trainer.fit(2);
  });
});
