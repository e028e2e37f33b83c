import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { BarProgress, duration, JsonProgress, LineProgress, type Progress } from '../../lib/cli/progress.js';
import type { TrainEvent } from '../../lib/train/events.js';

const STEPS = 25;

function* events(): Generator<TrainEvent> {
  for (let epoch = 1; epoch <= 2; epoch++) {
    for (let i = 1; i <= STEPS; i++) {
      yield {
        event: 'step',
        epoch,
        step: (epoch - 1) * STEPS + i,
        stepsPerEpoch: STEPS,
        loss: 2 / epoch,
        top1: 0.25 * epoch,
        lr: 1e-3,
        imagesPerSecond: 40,
        waitingMs: 0,
      };
    }
    const figures = { loss: 1 / epoch, top1: 0.5 };
    yield {
      event: 'epoch',
      epoch,
      step: epoch * STEPS,
      train: figures,
      val: { ...figures, top5: 1 },
      best: epoch === 1,
    };
  }
  yield { event: 'end', complete: true, epoch: 2, step: 2 * STEPS, train: null, val: null, checkpoint: null };
}

/** What is written to stdout meanwhile. */
function written(progress: Progress): string {
  const write = process.stdout.write;
  let text = '';
  process.stdout.write = (chunk) => {
    text += chunk;
    return true;
  };
  try {
    for (const event of events()) progress.onEvent(event);
  } finally {
    progress.close();
    process.stdout.write = write;
  }
  return text;
}

describe('command line: progress', () => {
  it('JSON: every event as it is, a line each', () => {
    const lines = written(new JsonProgress()).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).to.deep.equal([...events()]);
  });

  it('plain: the first step, every tenth, and each epoch', () => {
    const lines = written(new LineProgress(2)).trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/ {2}\d+ s left$/, ''))).to.deep.equal([
      'epoch 1/2  1/25  loss 2.000  top-1 25.0 %  40 images/s',
      'epoch 1/2  10/25  loss 2.000  top-1 25.0 %  40 images/s',
      'epoch 1/2  20/25  loss 2.000  top-1 25.0 %  40 images/s',
      'epoch 1/2  training loss 1.000, top-1 50.0 %  validation loss 1.000, top-1 50.0 %, top-5 100.0 %  best so far',
      'epoch 2/2  10/25  loss 1.000  top-1 50.0 %  40 images/s',
      'epoch 2/2  20/25  loss 1.000  top-1 50.0 %  40 images/s',
      'epoch 2/2  training loss 0.500, top-1 50.0 %  validation loss 0.500, top-1 50.0 %, top-5 100.0 %',
    ]);
    expect(lines[1]).to.match(/ {2}\d+ s left$/);
  });

  it('on a terminal: a bar with loss, accuracy, images/s and time left', () => {
    const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
    const handlers = process.listenerCount('SIGINT');
    const progress = new BarProgress(2, terminal);
    const [first, second] = events();
    if (first === undefined || second === undefined) throw new Error('no events');
    progress.onEvent(first);
    progress.onEvent(second);
    expect(process.listenerCount('SIGINT'), 'Ctrl-C ends the process').to.equal(handlers);
    progress.close();
    expect(String(terminal.read())).to.match(
      /epoch 1\/2 \[=-{7}\] 2\/25 loss 2\.000 top-1 25\.0 % 40 images\/s \d+ s left/,
    );
  });

  it('on a terminal: a line for each epoch, the bar cleared', () => {
    const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
    const lines = written(new BarProgress(2, terminal)).split('\n');
    expect(lines.map((line) => line.slice(0, 26))).to.deep.equal([
      'epoch 1/2  training loss 1',
      'epoch 2/2  training loss 0',
      '',
    ]);
    const cleared = String(terminal.read()).split('\u001b[2K');
    expect(cleared).to.have.length(3);
    expect(cleared[0]).to.match(/epoch 1\/2 \[={8}\] 25\/25 loss 2\.000 top-1 25\.0 % validating, saving/);
    expect(cleared[1]).to.include('epoch 2/2 [');
    expect(cleared[2]).to.equal('');
  });

  it('tells durations', () => {
    expect([0.4, 59, 60, 125, 3600, 11520].map(duration)).to.deep.equal([
      '0 s',
      '59 s',
      '1 min 0 s',
      '2 min 5 s',
      '1 h 0 min',
      '3 h 12 min',
    ]);
  });
});
