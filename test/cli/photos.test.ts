import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { PHOTOS, PHOTOS_NEEDED } from '../support/photos.js';
import { alexnet, jsonLines, useFolder } from './alexnet.js';

interface Figures {
  event: string;
  train: { loss: number };
  val: Record<string, number>;
  skipped: number;
}

describe(`command line, on real photos${PHOTOS_NEEDED}`, () => {
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);

  before(function () {
    if (PHOTOS === undefined) this.skip();
  });

  it('learns, evaluates as the training did, and names classes for a JPEG', async () => {
    const [train, val] = [join(PHOTOS ?? '', 'train'), join(PHOTOS ?? '', 'val')];
    const trained = await alexnet([
      ...['train', '--data', train, '--val', val, '--out', at('run')],
      ...['--epochs', '3', '--batch', '32', '--json'],
    ]);
    expect([trained.status, trained.stderr]).to.deep.equal([0, '']);
    const events = jsonLines(trained.stdout) as unknown as Figures[];
    const losses = events.flatMap(({ event, train }) => (event === 'epoch' ? [train.loss] : []));
    expect(losses).to.have.lengthOf(3);
    expect(losses[2]).to.be.lessThan(0.6 * (losses[0] ?? 0));
    const end = events.at(-1);
    expect(end?.event).to.equal('end');

    const evaluated = await alexnet(['eval', '--model', at('run'), '--data', val, '--json']);
    expect([evaluated.status, evaluated.stderr]).to.deep.equal([0, '']);
    const { perClass, skipped, ...figures } = jsonLines(evaluated.stdout)[0] ?? {};
    expect(figures).to.deep.equal(end?.val);

    const classes = readdirSync(val).sort();
    const [photo = ''] = readdirSync(join(val, classes[0] ?? '')).filter((name) => /\.jpe?g$/i.test(name));
    const file = join(val, classes[0] ?? '', photo);
    const predicted = await alexnet(['predict', '--model', at('run'), file, '--json']);
    expect([predicted.status, predicted.stderr]).to.deep.equal([0, '']);
    const [{ predictions, ...rest } = {}] = jsonLines(predicted.stdout);
    expect(rest).to.deep.equal({ file });
    const list = predictions as { class: string; index: number; probability: number }[];
    expect(list).to.have.lengthOf(Math.min(5, classes.length));
    for (const { class: name, index } of list) expect(name).to.equal(classes[index]);
  }).timeout(300_000);
});
