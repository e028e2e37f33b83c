import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { AlexNet, type Crossing } from '../../lib/index.js';
import { ModelFile } from '../../lib/train/model_file.js';
import { alexnet, expectError, jsonLines, type Outcome, useFolder } from './alexnet.js';
import { BLUE, RED, writePictures } from './pictures.js';

interface Event {
  name: string;
  ph: string;
  tid: number;
  ts: number;
  dur: number;
  args: { name?: string; bytes?: number; from?: string };
}

describe('command line: the columns on two devices', function () {
  this.timeout(300_000);
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);
  const [BATCH, STEPS] = [4, 3];
  let trained: Outcome;
  let trace: Event[];
  const train = (...args: string[]) =>
    alexnet(['train', '--batch', String(BATCH), '--optimizer', 'sgd', ...args]);
  const pictures = () => ['--data', at('train'), '--val', at('val')];

  before(async () => {
    await writePictures(at('train'), { blue: BLUE, red: RED }, 6);
    await writePictures(at('val'), { blue: BLUE, red: RED }, 2);
    trained = await train(
      ...pictures(),
      ...['--out', at('two'), '--epochs', '1', '--devices', 'cpu:0,cpu:1', '--trace', at('trace.json')],
    );
    const { traceEvents } = JSON.parse(await readFile(at('trace.json'), 'utf8')) as { traceEvents: Event[] };
    trace = traceEvents;
  });

  it('train tells of all that crosses, and where its trace is', () => {
    expect([trained.status, trained.stderr.includes('error')]).to.deep.equal([0, false]);
    expect(trained.stdout).to.include('a column on each of cpu:0 and cpu:1');
    expect(trained.stdout).to.include(
      `    pool2, of conv3, from cpu:1 to cpu:0: ${(4 * 13 * 13 * 128 * 4).toLocaleString('en-US')}\n`,
    );
    expect(trained.stdout.match(/, of \w+, from cpu:\d to cpu:\d: /g)).to.have.lengthOf(18);
    expect(trained.stdout).to.include(`Saved ${at('trace.json')}`);
  });

  it('the trace has a thread for each device, and an X event for each operation', () => {
    const threads = trace.filter(({ name }) => name === 'thread_name');
    expect(threads.map(({ ph, args }) => [ph, args.name])).to.deep.equal([
      ['M', 'cpu:0'],
      ['M', 'cpu:1'],
    ]);
    const events = trace.filter(({ ph }) => ph === 'X');
    expect(events.length + threads.length).to.equal(trace.length);
    for (const { ts, dur } of events) {
      expect(ts).to.be.at.least(0);
      expect(dur).to.be.at.least(0);
    }
    for (const { tid } of threads) {
      const own = events.filter((event) => event.tid === tid);
      // Those of a device follow each other: Perfetto wants no other overlap than of one in the other.
      own.slice(1).forEach(({ ts }, i) => {
        const before = own[i];
        expect(ts).to.be.at.least((before?.ts ?? 0) + (before?.dur ?? 0) - 0.01);
      });
      for (const name of ['conv1 conv2d', 'conv1 conv2dBackwardFilter', 'fc8 linear', 'sgdStep'])
        expect(
          own.some((event) => event.name === name),
          name,
        ).to.equal(true);
    }
  });

  it('the trace shows both columns at work at once', () => {
    const [first = [], second = []] = [0, 1].map((tid) =>
      trace.filter((event) => event.tid === tid && / conv2d/.test(event.name)),
    );
    const total = (durations: number[]) => durations.reduce((sum, each) => sum + each, 0);
    const together = total(
      first.flatMap((a) =>
        second.map((b) => Math.max(0, Math.min(a.ts + a.dur, b.ts + b.dur) - Math.max(a.ts, b.ts))),
      ),
    );
    // One after the other it would be none. On two cores with others beside it was 0.67 to 0.81.
    const shorter = Math.min(...[first, second].map((events) => total(events.map(({ dur }) => dur))));
    expect(together / shorter).to.be.above(0.1);
  });

  it('what crosses in the steps is what the model lists, and nothing else', () => {
    using model = new AlexNet({ classes: 2, devices: ['cpu:0', 'cpu:1'] });
    const listed = model.crossings(BATCH);
    for (const [tid, device] of ['cpu:0', 'cpu:1'].entries()) {
      const crossed = trace
        .filter((event) => event.tid === tid && event.args.bytes !== undefined)
        .map(({ name, args }) => [name, args.from, args.bytes]);
      const wanted = listed
        .filter(({ to }) => to === device)
        .map(({ layer, from, bytes }: Crossing) => [layer === 'loss' ? 'to' : `${layer} to`, from, bytes]);
      expect(crossed).to.deep.equal(Array.from({ length: STEPS }, () => wanted).flat());
    }
  });

  it('the model file is that of a network on one device', async () => {
    await using file = await ModelFile.open(at('two'));
    using model = await file.loadModel();
    expect([...model.namedParameters()].map(([name]) => name)).to.include('conv1.weight');
    const { status, stdout } = await alexnet(['eval', '--model', at('two'), '--data', at('val'), '--json']);
    expect(status).to.equal(0);
    expect(jsonLines(stdout)[0]).to.include.keys('top1');
  });

  it('a run goes on, on one device too, which it tells', async () => {
    const two = await train('--resume', at('two'), '--epochs', '2', '--out', at('again'));
    expect([two.status, two.stdout.includes('instead of')]).to.deep.equal([0, true]);
    expect(two.stdout).to.not.include('devices:');
    const one = await train('--resume', at('again'), '--epochs', '3', '--out', at('one'), '--device', 'cpu');
    expect(one.status).to.equal(0);
    expect(one.stdout).to.include('device: cpu instead of cpu:0,cpu:1');
    expect(one.stdout).to.include('devices: none instead of cpu:0, cpu:1');
    const again = await train('--resume', at('one'), '--epochs', '4', '--devices', 'cpu:0,cpu:1');
    expect(again.stdout).to.include('device: cpu:0,cpu:1 instead of cpu');
    expect(again.status).to.equal(0);
  });

  it('a new run tells that it replaces checkpoints', async () => {
    const anew = await train(...pictures(), '--out', at('one'), '--epochs', '1');
    expect([anew.status, anew.stderr]).to.deep.equal([0, '']);
    expect(anew.stdout).to.include(`The checkpoints in ${at('one')} will be replaced\n`);
  });

  for (const [name, args, message] of [
    [
      'one device twice',
      ['--devices', 'cpu:0,cpu:0'],
      /Expected each device once for devices but received "cpu:0, cpu:0"/,
    ],
    ['one device', ['--devices', 'cpu:0'], /Expected two, with a comma between, for --devices/],
    [
      'three devices',
      ['--devices', 'cpu:0,cpu:1,cpu:2'],
      /Expected two, with a comma between, for --devices/,
    ],
    [
      'a CPU and a CUDA device',
      ['--devices', 'cpu:0,cuda:0'],
      /Expected devices of one kind, CPU or CUDA, for devices/,
    ],
    [
      'a device that is not there',
      ['--devices', 'cpu:0,cpu:99'],
      /Expected cpu:0 … cpu:15 for device but received "cpu:99"/,
    ],
    [
      'two devices for --device',
      ['--device', 'cpu:0,cpu:1'],
      /Expected one, as --devices takes two, for --device/,
    ],
    [
      '--device beside --devices',
      ['--device', 'cpu', '--devices', 'cpu:0,cpu:1'],
      /--devices goes without --device/,
    ],
    [
      'a preset without groups',
      ['--preset', 'torchvision', '--devices', 'cpu:0,cpu:1'],
      /Expected one of two columns, such as paper, for two devices for preset/,
    ],
  ] as const) {
    it(`train refuses ${name}, before it tells that checkpoints will be replaced`, async () => {
      const refused = await train(...args, '--out', at('two'));
      expectError(refused, 1, message);
      expect(refused.stdout + refused.stderr).to.not.include('will be replaced');
    });
  }
});
