import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import {
  BarProgress,
  duration,
  JsonProgress,
  LineProgress,
  makeProgress,
  type Progress,
} from '../../lib/cli/progress.js';
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
        images: 32,
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
      skipped: 0,
    };
  }
  yield {
    event: 'end',
    complete: true,
    epoch: 2,
    step: 2 * STEPS,
    train: null,
    val: null,
    checkpoint: null,
    skipped: 0,
  };
}

const SKIP: TrainEvent = {
  event: 'skip',
  data: 'train',
  index: 3,
  file: 'a\nb.jpg',
  reason: 'a\nb.jpg could not be decoded: it ends early',
};

/** What is written meanwhile. */
function captured(
  progress: Progress,
  list: Iterable<TrainEvent> = events(),
): { stdout: string; stderr: string } {
  const text = { stdout: '', stderr: '' };
  const writes = { stdout: process.stdout.write, stderr: process.stderr.write };
  for (const name of ['stdout', 'stderr'] as const) {
    process[name].write = (chunk: string | Uint8Array) => {
      text[name] += chunk;
      return true;
    };
  }
  try {
    for (const event of list) progress.onEvent(event);
  } finally {
    progress.close();
    process.stdout.write = writes.stdout;
    process.stderr.write = writes.stderr;
  }
  return text;
}

function written(progress: Progress, list?: Iterable<TrainEvent>): string {
  return captured(progress, list).stdout;
}

/** The lines of steps of which the device waited for its pictures for so many ms of 800. */
function waiting(...waits: readonly number[]): string[] {
  const list: TrainEvent[] = waits.map((waitingMs, i) => ({
    ...{ event: 'step', epoch: 1, step: 10 * (i + 1), stepsPerEpoch: 100, images: 32 },
    ...{ loss: 1, top1: 1, lr: 1, imagesPerSecond: 40, waitingMs },
  }));
  return written(new LineProgress(1), list).trimEnd().split('\n');
}

describe('command line: progress', () => {
  it('is a bar on a terminal, and plain lines elsewhere', () => {
    const { isTTY } = process.stderr;
    try {
      for (const [terminal, kind] of [
        [true, BarProgress],
        [false, LineProgress],
      ] as const) {
        process.stderr.isTTY = terminal;
        expect(makeProgress(false, 2)).to.be.instanceOf(kind);
        expect(makeProgress(true, 2)).to.be.instanceOf(JsonProgress);
      }
    } finally {
      process.stderr.isTTY = isTTY;
    }
  });

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

  it('says that the device waits for data from a tenth of the time of the epoch on', () => {
    const without = /top-1 100\.0 % {2}40 images\/s/;
    expect(waiting(0)[0]).to.match(without);
    expect(waiting(79)[0]).to.match(without);
    expect(waiting(80)[0]).to.match(/top-1 100\.0 % {2}waiting for data 10 % {2}40 images\/s/);
    expect(waiting(800)[0]).to.include('waiting for data 100 %');
    // Clocks are read at other moments.
    expect(waiting(900)[0]).to.include('waiting for data 100 %');
    const [, second, third] = waiting(400, 0, 0, 0, 0);
    expect(second).to.include('waiting for data 25 %');
    expect(third).to.include('waiting for data 17 %');
    expect(waiting(400, 0, 0, 0, 0, 0).at(-1)).to.match(without);
  });

  it('begins anew with each epoch', () => {
    const [step] = events();
    if (step?.event !== 'step') throw new Error('no step');
    const list = [
      { ...step, waitingMs: 800 },
      { ...step, epoch: 2, step: STEPS + 10, waitingMs: 0 },
    ];
    const lines = written(new LineProgress(2), list).trimEnd().split('\n');
    expect(lines[0]).to.include('waiting for data 100 %');
    expect(lines[1]).not.to.include('waiting');
  });

  it('weighs a step by its pictures', () => {
    const [step] = events();
    if (step?.event !== 'step') throw new Error('no step');
    const list = [
      { ...step, step: 9, images: 30, loss: 1, top1: 1 },
      { ...step, step: 10, images: 10, loss: 3, top1: 0 },
    ];
    expect(written(new LineProgress(2), list)).to.match(/10\/25 {2}loss 1\.500 {2}top-1 75\.0 %/);
  });

  it('tells on stderr, in one line, what is left out', () => {
    const stderr = 'Left out: a\\u000ab.jpg could not be decoded: it ends early\n';
    const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
    for (const progress of [new LineProgress(2), new BarProgress(2, terminal)]) {
      expect(captured(progress, [SKIP])).to.deep.equal({ stdout: '', stderr });
    }
    expect(captured(new JsonProgress(), [SKIP])).to.deep.equal({
      stdout: `${JSON.stringify(SKIP)}\n`,
      stderr,
    });
  });

  it('on a terminal: the bar is cleared for that line and drawn again', () => {
    const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
    const [first, second] = events();
    if (first === undefined || second === undefined) throw new Error('no events');
    const progress = new BarProgress(2, terminal);
    captured(progress, [first, SKIP, second]);
    expect(String(terminal.read())).to.match(/ 1\/25 .*\[2K.* 2\/25 /s);
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
