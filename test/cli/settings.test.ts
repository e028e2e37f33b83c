import { resolve } from 'node:path';
import { expect } from 'chai';
import { layers } from '../../lib/cli/options.js';
import { PHOTOS, photosBatch, SHAPES } from '../../lib/cli/recipes.js';
import { parseSettings } from '../../lib/cli/saved_settings.js';
import { foldersOf, newSettings, resumedSettings, type Settings } from '../../lib/cli/settings.js';
import { ArgumentError, FileFormatError } from '../../lib/errors.js';

const FOLDERS = { data: resolve('a/train'), val: resolve('a/val') };

function settings(): Settings {
  return newSettings({}, FOLDERS, { trainPictures: 4000, valPictures: 100, classes: 10 });
}

describe('command line: settings of a run', () => {
  it('takes data and validation together, as absolute paths', () => {
    expect(foldersOf({})).to.equal(null);
    expect(foldersOf({ data: 'a/train', val: 'a/val' })).to.deep.equal(FOLDERS);
    expect(() => foldersOf({ data: 'a' })).to.throw(ArgumentError, /--data needs --val/);
    expect(() => foldersOf({ val: 'a' })).to.throw(ArgumentError, /--val needs --data/);
  });

  it('fills in the recipe of drawn shapes', () => {
    const drawn = newSettings({ epochs: 2 }, null, { trainPictures: 10, valPictures: 5, classes: 10 });
    expect(drawn).to.include({
      data: null,
      val: null,
      epochs: 2,
      batch: SHAPES.batch,
      dropout: 0,
      lr: SHAPES.lr.adam,
    });
  });

  it('fills in the recipe of photos, with the rate of the optimizer', () => {
    expect(settings()).to.include({
      ...FOLDERS,
      epochs: PHOTOS.epochs,
      batch: 128,
      preset: 'paper',
      init: 'he',
      seed: 0,
    });
    const given = { optimizer: 'sgd', batch: 7, seed: 3, threads: 2, device: 'cpu:1' } as const;
    const own = newSettings(given, FOLDERS, { trainPictures: 4000, valPictures: 100, classes: 10 });
    expect(own).to.include({ ...given, lr: PHOTOS.lr.sgd });
  });

  it('takes preset and dropout of the model that it starts from, and its layers to freeze', () => {
    const pictures = { trainPictures: 40, valPictures: 10, classes: 10 };
    const start = { preset: 'torchvision', dropout: 0.5 } as const;
    const freeze = ['conv1', 'conv2'];
    const tuning = newSettings({ from: 'a/run', freeze }, FOLDERS, pictures, start);
    expect(tuning).to.deep.include({ from: resolve('a/run'), freeze, ...start, init: 'he' });
    expect(parseSettings(JSON.parse(JSON.stringify(tuning)), 'x')).to.deep.equal(tuning);
    expect(resumedSettings({ from: 'a/run', freeze }, tuning).changes).to.deep.equal([]);
    expect(() => resumedSettings({ from: 'b' }, tuning)).to.throw(
      ArgumentError,
      /run for --from but .* on --resume/,
    );
    expect(() => resumedSettings({ freeze: ['conv1'] }, tuning)).to.throw(
      ArgumentError,
      /conv1,conv2 for --freeze but received "conv1" .*: it may not change/,
    );
    expect(newSettings({ from: 'a', dropout: 0 }, FOLDERS, pictures, start).dropout).to.equal(0);
    expect(() => newSettings({ freeze }, FOLDERS, pictures)).to.throw(ArgumentError, /--freeze needs --from/);
    expect(() => newSettings({ from: 'a', preset: 'paper' }, FOLDERS, pictures, start)).to.throw(
      ArgumentError,
      /torchvision, as the model of --from has, for --preset but received "paper"/,
    );
  });

  it('keeps where the statistics came from', () => {
    const pictures = { trainPictures: 40, valPictures: 10, classes: 10 };
    const saved = newSettings({ stats: 'a/stats', mean: 'image' }, FOLDERS, pictures);
    expect(saved.stats).to.equal(resolve('a/stats'));
    expect(parseSettings(JSON.parse(JSON.stringify(saved)), 'x')).to.deep.equal(saved);
    expect(resumedSettings({ stats: 'a/stats' }, saved).settings).to.deep.equal(saved);
    expect(() => resumedSettings({ stats: 'b' }, saved)).to.throw(
      ArgumentError,
      /a\/stats for --stats but received "b".*on --resume/,
    );
  });

  it('reads ranges of layers', () => {
    expect(layers('conv1..conv3,fc6')).to.deep.equal(['conv1', 'conv2', 'conv3', 'fc6']);
    expect(layers('fc7,conv2..conv2,conv2')).to.deep.equal(['conv2', 'fc7']);
    for (const wrong of ['', 'conv6', 'conv1..', '..conv1', 'conv1..conv2..conv3', 'conv1...conv2', 'fc8'])
      expect(() => layers(wrong), wrong).to.throw(/Expected layers of conv1, conv2, .* fc6, fc7/);
  });

  it('makes the batch smaller for small sets', () => {
    expect([1, 245, 600, 1024, 2047, 2048, 1e6].map(photosBatch)).to.deep.equal([
      16, 16, 32, 64, 64, 128, 128,
    ]);
  });

  it('reads back what a checkpoint keeps', () => {
    const parsed = parseSettings(JSON.parse(JSON.stringify(settings())), 'x');
    expect(parsed).to.deep.equal(settings());
  });

  it('refuses the checkpoint of another program, and broken settings', () => {
    expect(() => parseSettings(undefined, 'x')).to.throw(FileFormatError, /"alexnet train" for x/);
    for (const broken of [
      { lr: '1' },
      { preset: 'vgg' },
      { freeze: ['pool1'] },
      { freeze: null },
      { from: 1 },
      { stats: 1 },
      { batch: 0 },
      { data: 3 },
      { epochs: null },
      { strict: 1 },
    ]) {
      expect(() => parseSettings({ ...settings(), ...broken }, 'x'), JSON.stringify(broken)).to.throw(
        FileFormatError,
        new RegExp(`for ${Object.keys(broken)[0]}\\S* but .* in the settings of x`),
      );
    }
  });
});

describe('command line: settings of a run that goes on', () => {
  it('needs no option', () => {
    expect(resumedSettings({}, settings())).to.deep.equal({ settings: settings(), changes: [] });
  });

  it('takes what does not change the numbers, and says what changed', () => {
    const { settings: resumed, changes } = resumedSettings(
      { epochs: 30, threads: 1, data: 'b', batch: 128 },
      settings(),
    );
    expect(resumed).to.deep.equal({ ...settings(), epochs: 30, threads: 1, data: resolve('b') });
    expect(changes).to.deep.equal([
      `data: ${resolve('b')} instead of ${FOLDERS.data}`,
      'epochs: 30 instead of 10',
    ]);
  });

  it('repeats --strict, and takes it newly', () => {
    const pictures = { trainPictures: 4000, valPictures: 100, classes: 10 };
    const saved = newSettings({ strict: true }, FOLDERS, pictures);
    expect(saved.strict).to.equal(true);
    expect(parseSettings(JSON.parse(JSON.stringify(saved)), 'x').strict).to.equal(true);
    expect(resumedSettings({}, saved)).to.deep.equal({ settings: saved, changes: [] });
    expect(settings().strict).to.equal(false);
    const { settings: stricter, changes } = resumedSettings({ strict: true }, settings());
    expect(stricter.strict).to.equal(true);
    expect(changes).to.deep.equal(['strict: true instead of false']);
  });

  for (const [name, value] of Object.entries({
    preset: 'dansuh17',
    init: 'paper',
    batch: 64,
    optimizer: 'sgd',
    lr: 1,
    seed: 7,
    epochs: 9,
  })) {
    it(`refuses another --${name}`, () => {
      expect(() => resumedSettings({ [name]: value }, settings())).to.throw(ArgumentError, `--${name}`);
    });
  }

  it('keeps how a GPU computes convolutions, and on a CPU what that has of it', () => {
    const saved = newSettings({ device: 'cuda', tf32: false, autotune: true }, FOLDERS, {
      trainPictures: 4000,
      valPictures: 100,
      classes: 10,
    });
    const convolutions = { tf32: false, deterministic: false, autotune: true };
    expect(saved.convolutions).to.deep.equal(convolutions);
    expect(resumedSettings({ deterministic: true }, saved).settings.convolutions).to.deep.equal({
      ...convolutions,
      deterministic: true,
    });
    expect(resumedSettings({ device: 'cuda:1' }, saved).settings.convolutions).to.deep.equal(convolutions);
    expect(resumedSettings({ device: 'cpu' }, saved).settings.convolutions).to.deep.equal({
      tf32: true,
      deterministic: false,
      autotune: true,
    });
  });

  it('refuses --data for a run on drawn shapes', () => {
    const drawn = { ...settings(), data: null, val: null };
    expect(() => resumedSettings({ data: 'b', val: 'c' }, drawn)).to.throw(ArgumentError, /--data and --val/);
  });
});
