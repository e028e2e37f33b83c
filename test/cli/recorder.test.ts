import { readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { CurvesFile, StepMeans } from '../../lib/cli/curves.js';
import { Recorder } from '../../lib/cli/recorder.js';
import { newSettings } from '../../lib/cli/settings.js';
import { encodeRecord } from '../../lib/io/tensorboard.js';
import { AlexNet } from '../../lib/models/alexnet.js';
import type { EpochEvent, StepEvent } from '../../lib/train/events.js';
import { rejection } from '../data/rejection.js';
import { useFolder } from './alexnet.js';

function step(number: number, figures: Partial<StepEvent> = {}): StepEvent {
  return {
    event: 'step',
    epoch: 1,
    step: number,
    stepsPerEpoch: 25,
    images: 4,
    loss: number,
    top1: 0.5,
    lr: 0.1,
    imagesPerSecond: 20,
    waitingMs: 0,
    ...figures,
  };
}

const EPOCH: EpochEvent = {
  event: 'epoch',
  epoch: 1,
  step: 25,
  train: { loss: 2, top1: 0.25 },
  val: { loss: 1, top1: 0.5, top5: 1 },
  best: true,
  skipped: 0,
};

/** The records of an event file. */
function recordsOf(file: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const bytes = file.subarray(at + 12, at + 12 + length);
    expect(encodeRecord(bytes).equals(file.subarray(at, at + length + 16)), 'checksums').to.equal(true);
    records.push(bytes);
    at += length + 16;
  }
  return records;
}

function tagsOf(event: Buffer): string[] {
  return event.toString('latin1').match(/(train|validation)\/\w+|filters/g) ?? [];
}

describe('means over steps', () => {
  it('are of ten, weighed by their pictures and times', () => {
    const means = new StepMeans();
    for (let i = 1; i < 10; i++) expect(means.add(step(i))).to.equal(undefined);
    const row = means.add(step(10, { images: 1, loss: 100, top1: 1, lr: 0.2, imagesPerSecond: 1 }));
    expect(row).to.deep.include({ event: 'step', epoch: 1, step: 10, loss: (4 * 45 + 100) / 37, lr: 0.2 });
    expect(row?.event === 'step' && row.imagesPerSecond).to.be.closeTo(37 / (9 * 0.2 + 1), 1e-9);
    expect(means.take()).to.equal(undefined);
    means.add(step(11));
    expect(means.take()).to.include({ step: 11, loss: 11 });
  });
});

describe('curves.csv', () => {
  const folder = useFolder();

  it('goes on without what a crash cut short, and what came after the checkpoint', async () => {
    const [old, path] = [join(folder(), 'old.csv'), join(folder(), 'new.csv')];
    const file = await CurvesFile.create(old, null, 0);
    const { event, epoch, train, val } = EPOCH;
    const rows = [
      { event: 'step', epoch: 1, step: 20, loss: 1.5, top1: 0.5, lr: 1e-3, imagesPerSecond: 7 },
      { event, epoch, step: 25, ...train, val },
      { event, epoch: 2, step: 30, ...train, val: null },
      { event: 'step', epoch: 3, step: 40, loss: 1, top1: 1, lr: 1e-30, imagesPerSecond: 7 },
    ] as const;
    for (const row of rows) await file.append(row);
    const whole = await readFile(old);
    // Cut from `…,1,0.5,0.75`, the second has all its columns.
    for (const cut of ['step,3,41,0.', 'epoch,3,41,2,0.25,,,1,0.5,0.7', 'epoch,3,41,2,0.25,,,1,0.5,']) {
      await writeFile(old, Buffer.concat([whole, Buffer.from(cut)]));
      expect((await CurvesFile.create(path, old, 99)).rows).to.deep.equal(rows);
    }
    expect((await CurvesFile.create(path, old, 30)).rows).to.deep.equal(rows.slice(0, 3));
    expect(await readFile(path, 'utf8')).to.equal(
      'event,epoch,step,loss,top1,lr,imagesPerSecond,valLoss,valTop1,valTop5\r\n' +
        'step,1,20,1.5,0.5,0.001,7,,,\r\nepoch,1,25,2,0.25,,,1,0.5,1\r\nepoch,2,30,2,0.25,,,,,\r\n',
    );
    expect((await CurvesFile.create(path, join(folder(), 'none.csv'), 30)).rows).to.deep.equal([]);
    expect(await rejection(CurvesFile.create(path, folder(), 30), Error)).to.match(/EISDIR/);
  });
});

describe('records of a training', () => {
  const folder = useFolder();
  const classes = ['a', '<b>'];
  const settings = newSettings({}, null, { trainPictures: 100, valPictures: 10, classes: 2 });
  let model: AlexNet;
  before(() => {
    model = new AlexNet({ classes: 2, seed: 1 });
  });
  after(() => model.dispose());

  /** Records an epoch of 25 steps. @returns what was written to stderr */
  async function record(meanwhile: () => Promise<void>): Promise<{ stderr: string; report: string | null }> {
    let stderr = '';
    const { write } = process.stderr;
    process.stderr.write = (chunk: string | Uint8Array) => {
      stderr += chunk;
      return true;
    };
    try {
      const recorder = await Recorder.open({ out: folder(), model, classes, settings });
      await meanwhile();
      for (let i = 1; i <= 25; i++) recorder.onEvent(step(i));
      recorder.onJudgement({
        index: 0,
        label: 1,
        probabilities: Float64Array.of(0.9, 0.1),
        members: [],
      });
      recorder.onEvent(EPOCH);
      return { report: await recorder.close(), stderr };
    } finally {
      process.stderr.write = write;
    }
  }

  for (const [what, begin] of [
    ['curves', 'curves.csv'],
    ['events', 'events.out.'],
  ] as const) {
    it(`say once that the disk is full where it is for the ${what}, and let training go on`, async () => {
      const { stderr, report } = await record(async () => {
        // A full disk for this file alone.
        const names = (await readdir(folder())).filter((name) => name.startsWith(begin));
        for (const name of names) {
          await rm(join(folder(), name));
          await symlink('/dev/full', join(folder(), name));
        }
      });
      expect(stderr).to.match(
        /^Curves and report end here, and training goes on: .*ENOSPC: no space left on device[^\n]*\n$/,
      );
      expect(report).to.equal(null);
      expect(await readdir(folder())).not.to.include('report.html');
      for (const name of await readdir(folder())) await rm(join(folder(), name));
    });
  }

  it('are a report with what was confused, the filters and the settings', async () => {
    const { stderr, report } = await record(async () => {});
    expect([stderr, report]).to.deep.equal(['', join(folder(), 'report.html')]);
    const html = await readFile(join(folder(), 'report.html'), 'utf8');
    expect(html)
      .to.include('After epoch 1 of 3, 25 steps: training loss 2.000, top-1 25.0 %; validation loss 1.000')
      .and.to.include('&lt;b&gt;')
      .and.to.include('alt="filters" src="data:image/png;base64,')
      .and.to.include('<td>seed</td>');
    const { rows } = await CurvesFile.create(join(folder(), 'copy'), join(folder(), 'curves.csv'), 25);
    expect(rows.map((row) => row.step)).to.deep.equal([10, 20, 25, 25]);
    const [name = ''] = (await readdir(folder())).filter((file) => file.startsWith('events.out.'));
    expect(recordsOf(await readFile(join(folder(), name))).map(tagsOf)).to.deep.equal([
      [],
      [],
      ...[10, 20, 25].map(() => ['train/loss', 'train/top1', 'train/lr', 'train/images_per_second']),
      ['validation/loss', 'validation/top1', 'validation/top5'],
      ['filters'],
    ]);
  });
});
