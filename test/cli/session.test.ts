import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { CurvesFile } from '../../lib/cli/curves.js';
import { AlexNet } from '../../lib/models/alexnet.js';
import { saveModelFile } from '../../lib/train/model_file.js';
import { alexnet, expectError, jsonLines, type Outcome, useFolder } from './alexnet.js';
import { BLUE, RED, writePictures } from './pictures.js';

describe('command line: from training to prediction', () => {
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);
  let trained: Outcome;
  let events: Record<string, unknown>[];

  before(async () => {
    await writePictures(at('train'), { blue: BLUE, red: RED }, 5);
    await writePictures(at('val'), { blue: BLUE, red: RED }, 2);
    trained = await alexnet([
      'train',
      '--data',
      at('train'),
      '--val',
      at('val'),
      '--out',
      at('run', 'of', 'two'),
      '--batch',
      '4',
      '--epochs',
      '2',
      '--optimizer',
      'sgd',
      '--json',
    ]);
    events = jsonLines(trained.stdout);
  });

  it('train --json writes a line for every step and epoch, and the end', () => {
    expect([trained.status, trained.stderr]).to.deep.equal([0, '']);
    expect(events.map((event) => event.event)).to.deep.equal([
      'step',
      'step',
      'epoch',
      'step',
      'step',
      'epoch',
      'end',
    ]);
    for (const step of events.filter((event) => event.event === 'step')) {
      expect(step).to.have.all.keys(
        'event',
        'epoch',
        'step',
        'stepsPerEpoch',
        'images',
        'loss',
        'top1',
        'lr',
        'imagesPerSecond',
        'waitingMs',
      );
    }
    for (const event of events.filter((event) => event.event !== 'step')) {
      expect(event.train).to.have.all.keys('loss', 'top1');
      expect(event.val).to.have.all.keys('loss', 'top1', 'top5');
    }
    expect(events.at(-1)).to.include({
      epoch: 2,
      step: 4,
      checkpoint: at('run/of/two/last.safetensors'),
      skipped: 0,
    });
    expect(events.at(-1)?.val).to.deep.equal(events.at(-2)?.val);
  });

  it('train leaves curves, events for TensorBoard and a report', async () => {
    const names = await readdir(at('run/of/two'));
    const [eventFile] = names.filter((name) => name.startsWith('events.out.tfevents.'));
    expect(names.sort()).to.deep.equal(
      ['best.safetensors', 'curves.csv', eventFile, 'last.safetensors', 'report.html'].sort(),
    );
    const { rows } = await CurvesFile.create(at('copy.csv'), at('run/of/two/curves.csv'), 4);
    const told = events.filter(({ event }) => event === 'step' || event === 'epoch');
    expect(rows.map(({ event, step }) => [event, step])).to.deep.equal([
      ['step', 2],
      ['epoch', 2],
      ['step', 4],
      ['epoch', 4],
    ]);
    const losses = told.slice(0, 2).map(({ loss }) => Number(loss));
    expect(rows[0]?.loss).to.be.closeTo(((losses[0] ?? 0) + (losses[1] ?? 0)) / 2, 1e-9);
    for (const [i, at] of [
      [1, 2],
      [3, 5],
    ] as const)
      expect(rows[i]).to.deep.include({ ...(told[at]?.train as object), val: told[at]?.val });
    const html = await readFile(at('run/of/two/report.html'), 'utf8');
    expect(html)
      .to.include('After epoch 2 of 2, 4 steps')
      .and.to.include('<td>optimizer</td><td>sgd</td>')
      .and.to.match(/<text [^>]*>red<\/text>/);
  });

  it('eval gives the figures of the last validation, in equal bytes each time', async () => {
    const args = ['eval', '--model', at('run/of/two'), '--data', at('val'), '--json'];
    const [first, second] = [await alexnet(args), await alexnet(args)];
    expect(first).to.deep.equal(second);
    expect([first.status, first.stderr]).to.deep.equal([0, '']);
    const { perClass, skipped, ...figures } = jsonLines(first.stdout)[0] ?? {};
    expect(skipped).to.equal(0);
    expect(figures).to.deep.equal(events.at(-1)?.val);
    expect(perClass).to.have.length(2);
    expect((perClass as object[])[0])
      .to.include({ class: 'blue', count: 2 })
      .and.to.have.all.keys('class', 'count', 'top1', 'top5');
  });

  it('eval matches classes by name, and refuses those that the model does not know', async () => {
    await writePictures(at('only'), { red: RED }, 1);
    const one = await alexnet(['eval', '--model', at('run/of/two'), '--data', at('only')]);
    expect([one.status, one.stderr]).to.deep.equal([0, '']);
    expect(one.stdout)
      .to.match(/^1 pictures: loss [\d.]+, top-1/)
      .and.to.match(/^red +1 /m);
    await writePictures(at('other'), { green: [0, 200, 0], red: RED }, 1);
    expectError(await alexnet(['eval', '--model', at('run/of/two'), '--data', at('other')]), 1, /green/);
  });

  it('eval of two models, over ten crops, with what was confused and the errors as tables', async () => {
    await writePictures(at('crossed'), { blue: RED, red: RED }, 2);
    const { status, stdout, stderr } = await alexnet([
      'eval',
      ...['last', 'best'].flatMap((name) => ['--model', at('run/of/two', `${name}.safetensors`)]),
      ...['--data', at('crossed'), '--ten-crop', '--json'],
      ...['--confusion', at('confusion.csv'), '--errors', at('errors.csv')],
    ]);
    expect([status, stderr]).to.deep.equal([0, '']);
    const [evaluation] = jsonLines(stdout);
    expect(evaluation?.top1).to.equal(0.5);
    const [head, blue, red, ...more] = (await readFile(at('confusion.csv'), 'utf8')).split('\r\n');
    expect([head, more]).to.deep.equal(['class,blue,red', ['']]);
    expect(blue?.replace('blue', 'red')).to.equal(red);
    const errors = (await readFile(at('errors.csv'), 'utf8')).trimEnd().split('\r\n');
    expect(errors[0]).to.equal('file,class,guess,probability');
    expect(errors).to.have.lengthOf(3);
    for (const line of errors.slice(1)) expect(line).to.match(/[01]\.png,(blue,red|red,blue),0\.\d{4}$/);
    expectError(
      await alexnet([
        ...['eval', '--model', at('run/of/two'), '--data', at('crossed')],
        ...['--errors', at('nowhere/errors.csv')],
      ]),
      1,
      /Expected file in a folder that can be written for --errors but received .*nowhere\/errors\.csv \(ENOENT/,
    );
    // The figures are not lost with a table.
    await mkdir(at('taken.csv'));
    const lost = await alexnet([
      ...['eval', '--model', at('run/of/two'), '--data', at('crossed')],
      ...['--errors', at('taken.csv')],
    ]);
    expect(lost.status).to.equal(1);
    expect(lost.stdout).to.match(/^4 pictures: loss/);
    expect(lost.stderr).to.match(/^error: Cannot write .*taken\.csv/);
  });

  it('eval --table has the error rates of each model and of all, as the paper has them', async () => {
    const data = ['--data', at('crossed'), '--table'];
    const files = ['last', 'best'].map((name) => at('run/of/two', `${name}.safetensors`));
    const models = files.flatMap((file) => ['--model', file]);
    const { stdout, stderr } = await alexnet(['eval', ...models, ...data]);
    expect(stderr).to.equal('');
    const table = stdout.slice(stdout.indexOf('Model')).trimEnd().split('\n');
    expect(table.map((line) => line.split(/ {2,}/))).to.deep.equal([
      ['Model', 'Top-1 (crossed)', 'Top-5 (crossed)'],
      ['1 CNN', '50.0%', '0.0%', files[0]],
      ['1 CNN', '50.0%', '0.0%', files[1]],
      ['2 CNNs', '50.0%', '0.0%'],
    ]);
    const json = await alexnet(['eval', '--model', at('run/of/two'), ...data, '--json']);
    expect(jsonLines(json.stdout)[0]?.table).to.deep.equal([
      { model: '1 CNN', files: [at('run/of/two')], top1Error: 0.5, top5Error: 0 },
    ]);
  });

  it('eval refuses models of other classes', async () => {
    using network = new AlexNet({ classes: 2 });
    await saveModelFile(
      at('other.safetensors'),
      {
        model: network.config,
        classes: ['green', 'red'],
        preprocessing: { resize: 256, crop: 227, mean: [0, 0, 0], scale: [1, 1, 1] },
      },
      network,
    );
    const models = ['--model', at('run/of/two'), '--model', at('other.safetensors')];
    expectError(
      await alexnet(['eval', ...models, '--data', at('val')]),
      1,
      /^error: Expected classes \[blue, red\], as \S*run\/of\/two has, for \S*other\.safetensors but received \[green, red\]\n/,
    );
  });

  it('eval draws what was confused', async () => {
    const args = ['eval', '--model', at('run/of/two'), '--data', at('val'), '--confusion'];
    const drawn = await alexnet([...args, at('confusion.PNG'), '--errors', at('few.csv')]);
    expect(drawn.status).to.equal(0);
    expect(drawn.stdout).to.match(/\nSaved .*confusion\.PNG\nSaved .*few\.csv, of \d+ pictures\n$/);
    expect((await sharp(at('confusion.PNG')).metadata()).format).to.equal('png');
    expectError(
      await alexnet([...args, at('nowhere/confusion.png')]),
      1,
      /for --confusion but received .*nowhere/,
    );
  });

  it('predict draws the pictures that can be decoded', async () => {
    const files = [at('val/red/0.png'), at('nowhere.jpg'), at('val/blue/1.png')];
    const args = ['predict', '--model', at('run/of/two'), '--picture', at('figure.png')];
    const { status, stdout, stderr } = await alexnet([...args, ...files]);
    expect([status, stdout.endsWith(`\nSaved ${at('figure.png')}\n`)]).to.deep.equal([1, true]);
    expect(stderr).to.match(/^error: .*nowhere\.jpg could not be decoded: no such file\n$/);
    const { width, height } = await sharp(at('figure.png')).metadata();
    expect([width, height]).to.deep.equal([2 * 238 + 14, 224 + 24 + 2 * 20 + 14 + 14]);
  });

  it('predict names at most as many classes as there are', async () => {
    const files = [at('val/red/0.png'), at('val/blue/1.png')];
    const { status, stdout, stderr } = await alexnet([
      'predict',
      '--model',
      at('run/of/two/best.safetensors'),
      ...files,
      '--json',
    ]);
    expect([status, stderr]).to.deep.equal([0, '']);
    const results = jsonLines(stdout);
    expect(results.map(({ file }) => file)).to.deep.equal(files);
    for (const { predictions } of results) {
      const list = predictions as { class: string; index: number; probability: number }[];
      expect(list.map((row) => row.class)).to.have.members(['blue', 'red']);
      expect(list.map((row) => (row.index === 0 ? 'blue' : 'red'))).to.deep.equal(
        list.map((row) => row.class),
      );
      expect(list.reduce((sum, row) => sum + row.probability, 0)).to.be.closeTo(1, 1e-6);
      expect(list[0]?.probability).to.be.at.least(list[1]?.probability ?? 1);
    }
    const one = await alexnet(['predict', '--model', at('run/of/two'), '--top', '1', files[0] ?? '']);
    expect(one.stdout).to.match(new RegExp(`^${files[0]}\n +[\\d.]+ % {2}(red|blue)\n$`));
  });

  it('train --resume refuses what may not change, by name', async () => {
    expectError(await alexnet(['train', '--resume', at('run/of/two'), '--seed', '1']), 1, /--seed/);
    expectError(
      await alexnet(['train', '--resume', at('run/of/two'), '--data', at('val')]),
      1,
      /Expected 10 for pictures of the training data but received 4: it may not change/,
    );
    expectError(await alexnet(['train', '--resume', at('run/of/two/..')]), 1, /last\.safetensors/);
  });

  it('train --resume of a complete run says that nothing is left', async () => {
    const { status, stdout } = await alexnet(['train', '--resume', at('run/of/two')]);
    expect(stdout)
      .to.match(/after epoch 2 of 2/)
      .and.to.match(/Nothing is left to do/);
    expect(status).to.equal(0);
  });

  it('train --resume needs no other option, and goes on in its folder for more epochs', async () => {
    const { status, stdout, stderr } = await alexnet([
      'train',
      '--resume',
      at('run/of/two'),
      '--epochs',
      '3',
    ]);
    expect([status, stderr]).to.deep.equal([0, '']);
    expect(stdout).to.match(
      /Going on from .*last\.safetensors, after epoch 2 of 3\n {2}epochs: 3 instead of 2\n/,
    );
    expect(stdout)
      .to.match(/AlexNet.* parameters\n/)
      .and.to.match(/^epoch 3\/3 {2}training loss/m);
    expect(stdout).to.match(/^Saved .*run\/of\/two\/last\.safetensors/m);
    expect(stdout)
      .to.match(/^Saved .*run\/of\/two\/report\.html/m)
      .and.not.to.match(/^epoch [12]\/3/m);
    const curves = await CurvesFile.create(at('copy.csv'), at('run/of/two/curves.csv'), 6);
    const epochs = curves.rows.filter(({ event }) => event === 'epoch');
    expect(epochs.map(({ epoch, step }) => [epoch, step])).to.deep.equal([
      [1, 2],
      [2, 4],
      [3, 6],
    ]);
    const names = await readdir(at('run/of/two'));
    expect(names.filter((name) => name.startsWith('events.out.'))).to.have.lengthOf(2);
  });

  it('train ends with the step and the likely cause when the loss is not finite', async () => {
    const data = ['--data', at('train'), '--val', at('val'), '--out', at('lost')];
    const { status, stderr } = await alexnet(['train', ...data, '--batch', '2', '--lr', '1e30', '--json']);
    expect(stderr).to.match(
      /^error: Expected finite (loss for|weights after) step \d+ .* learning rate .*\n$/,
    );
    expect(status).to.equal(1);
  });
});
