import { join } from 'node:path';
import { expect } from 'chai';
import { parseSettings } from '../../lib/cli/saved_settings.js';
import { schedule } from '../../lib/cli/schedule.js';
import { newSettings, resolveRecipe, resumedSettings } from '../../lib/cli/settings.js';
import type { TrainOptions } from '../../lib/cli/train.js';
import { ArgumentError } from '../../lib/errors.js';
import { ModelFile } from '../../lib/train/model_file.js';
import { RECIPES } from '../../lib/train/recipes.js';
import { alexnet, expectError, useFolder } from './alexnet.js';
import { BLUE, RED, writePictures } from './pictures.js';

const IMAGENET = { classes: 1000, pictures: 1_281_167 };

describe('command line: recipes', () => {
  for (const name of ['paper', 'krizhevsky2012', 'dansuh17'] as const) {
    it(`${name} is taken as it is, for ImageNet`, () => {
      expect(resolveRecipe({ recipe: name }, IMAGENET).recipe).to.deep.equal(RECIPES[name]);
    });
  }

  it('says in what it differs from its source', () => {
    const deviationsOf = (given: TrainOptions, data: typeof IMAGENET | null = IMAGENET): string =>
      resolveRecipe(given, data).deviations.join('; ');
    const few = { classes: 10, pictures: 50_000 };
    expect(deviationsOf({ recipe: 'paper' })).to.equal('');
    expect(deviationsOf({ recipe: 'paper' }, few)).to.equal(
      'for 10 classes, not 1000: init he instead of paper, inputScale 0.01667 instead of 1',
    );
    expect(deviationsOf({ recipe: 'paper', init: 'paper' }, few)).to.not.include('init');
    expect(deviationsOf({ recipe: 'paper', init: 'paper', inputScale: 1 }, few)).to.equal('');
    expect(
      deviationsOf({ recipe: 'paper', lr: 0.02, flips: false, schedule: { kind: 'every', epochs: 9 } }),
    ).to.equal(
      'as wanted: lr 0.02 instead of 0.01, schedule every 9 instead of plateau 5 3, flips false instead of true',
    );
    expect(deviationsOf({ recipe: 'dansuh17', mean: 'colour' })).to.equal(
      'the shorter side of pictures becomes 256 pixels before their centre is cut out; ' +
        'as wanted: mean colour instead of imagenet, inputScale 0.01667 instead of none',
    );
    expect(deviationsOf({ recipe: 'krizhevsky2012' })).to.match(/^cnorm2.* left out.*for 32 together/);
    expect(deviationsOf({ preset: 'krizhevsky2012' })).to.match(/^cnorm2[^;]*$/);
    expect(deviationsOf({ recipe: 'dansuh17' }, few)).to.match(/^the shorter side of pictures [^;]*$/);
    expect(deviationsOf({ recipe: 'krizhevsky2012' }, null)).to.match(
      /as wanted: mean colour instead of image, colourNoise none instead of krizhevsky2012$/,
    );
  });

  it('trains the paper for fewer classes with what leaves the plateau', () => {
    const { recipe } = resolveRecipe({ recipe: 'paper' }, { classes: 999, pictures: 100 });
    expect(recipe).to.deep.equal({ ...RECIPES.paper, init: 'he', inputScale: 1 / 60 });
  });

  it('takes every option in place of its own', () => {
    const given = {
      preset: 'dansuh17',
      init: 'pytorch',
      dropout: 0.25,
      epochs: 7,
      batch: 9,
      optimizer: 'sgd',
      lr: 0.3,
      momentum: 0.4,
      weightDecay: 0.1,
      biasRate: 3,
      schedule: { kind: 'every', epochs: 2 },
      crops: 'centre',
      flips: false,
      mean: 'colour',
      inputScale: 0.5,
    } as const;
    for (const recipe of ['paper', 'krizhevsky2012', 'dansuh17'] as const) {
      const biasDecay = !RECIPES[recipe].biasDecay;
      const resolved = resolveRecipe({ ...given, biasDecay, recipe, colourNoise: 'none' }, IMAGENET).recipe;
      expect(resolved).to.deep.equal({ ...given, biasDecay, colourNoise: null });
    }
  });

  it('takes patience for the schedule plateau, of the recipe or given', () => {
    const scheduleOf = (given: TrainOptions) => resolveRecipe(given, IMAGENET).recipe.schedule;
    const waits = { kind: 'plateau', patience: 2, times: 3 };
    expect(scheduleOf({ recipe: 'paper', patience: 2 })).to.deep.equal(waits);
    expect(scheduleOf({ schedule: schedule('plateau'), patience: 2 })).to.deep.equal(waits);
    expect(resolveRecipe({ recipe: 'paper', patience: 2 }, IMAGENET).deviations).to.deep.equal([
      'as wanted: schedule plateau 2 3 instead of plateau 5 3',
    ]);
    for (const [given, kind] of [
      [{ patience: 2 }, 'linear'],
      [{ patience: 2, recipe: 'dansuh17' }, 'every'],
      [{ patience: 2, recipe: 'paper', schedule: schedule('constant') }, 'constant'],
    ] as const)
      expect(() => scheduleOf(given)).to.throw(
        ArgumentError,
        `--patience needs --schedule plateau: the schedule ${kind} does not wait`,
      );
  });

  it('takes the usual rate and decay of an optimizer that is not its own', () => {
    const adam = resolveRecipe({ recipe: 'paper', optimizer: 'adam' }, IMAGENET).recipe;
    expect(adam).to.include({ optimizer: 'adam', lr: 1e-4, weightDecay: 0 });
    const own = resolveRecipe({ recipe: 'paper', optimizer: 'adam', lr: 1 }, IMAGENET).recipe;
    expect(own).to.include({ lr: 1, weightDecay: 0 });
  });

  it('reads schedules', () => {
    expect(schedule('25,51,79')).to.deep.equal({ kind: 'milestones', epochs: [25, 51, 79] });
    expect(schedule('every:30')).to.deep.equal({ kind: 'every', epochs: 30 });
    expect(schedule('constant')).to.deep.equal({ kind: 'constant' });
    expect(schedule('plateau')).to.deep.equal(RECIPES.paper.schedule);
    for (const wrong of ['', 'cosine', 'every:0', 'every', '25,', '-1'])
      expect(() => schedule(wrong), wrong).to.throw(/Expected constant, linear, plateau, every:N/);
  });

  it('is kept by a checkpoint, and may not change on resuming', () => {
    const pictures = { trainPictures: 40, valPictures: 10, classes: 3 };
    for (const recipe of ['paper', 'krizhevsky2012', 'dansuh17'] as const) {
      const saved = newSettings({ recipe }, { data: '/a', val: '/b' }, pictures);
      expect(parseSettings(JSON.parse(JSON.stringify(saved)), 'x')).to.deep.equal(saved);
      expect(resumedSettings({ recipe }, saved).changes).to.deep.equal([]);
      const other = { kind: 'every', epochs: 7 } as const;
      for (const [given, message] of [
        [{ recipe: recipe === 'paper' ? 'dansuh17' : 'paper' }, /for --recipe but .* on --resume/],
        [{ schedule: other }, /for --schedule but .* on --resume/],
        [{ inputScale: 3 }, /for --input-scale but .* on --resume/],
        [{ weightDecay: 0.25 }, /for --weight-decay but .* on --resume/],
        [{ flips: recipe === 'dansuh17' }, /for --flips but .* on --resume/],
        [{ dropout: 0.1 }, /0\.5 for --dropout but received 0\.1.* on --resume/],
        [{ biasRate: 4 }, /for --bias-rate but received 4.* on --resume/],
        [{ biasDecay: recipe === 'krizhevsky2012' }, /for --bias-decay but .* on --resume/],
      ] as const)
        expect(() => resumedSettings(given, saved)).to.throw(ArgumentError, message);
    }
  });

  it('keeps what was given for biases and patience', () => {
    const given = { recipe: 'paper', dropout: 0.25, biasRate: 2, biasDecay: false, patience: 1 } as const;
    const saved = newSettings(given, null, { trainPictures: 40, valPictures: 10, classes: 10 });
    expect(saved).to.deep.include({
      ...{ dropout: 0.25, biasRate: 2, biasDecay: false },
      schedule: { kind: 'plateau', patience: 1, times: 3 },
    });
    expect(parseSettings(JSON.parse(JSON.stringify(saved)), 'x')).to.deep.equal(saved);
    expect(resumedSettings(given, saved)).to.deep.equal({ settings: saved, changes: [] });
    expect(() => resumedSettings({ patience: 2 }, saved)).to.throw(ArgumentError, /for --schedule but/);
  });

  it('has no place for another preprocessing than that of the model that it starts from', () => {
    const start = { preset: 'paper', dropout: 0.5, init: 'pytorch', classes: 7 } as const;
    expect(() => resolveRecipe({ from: 'a', mean: 'image' }, IMAGENET, start)).to.throw(
      ArgumentError,
      /--mean does not go with --from/,
    );
    for (const given of [{ from: 'a' }, { from: 'a', recipe: 'paper' }] as const) {
      expect(resolveRecipe(given, IMAGENET, start).recipe.inputScale).to.equal(null);
      const settings = newSettings(
        given,
        { data: '/a', val: '/b' },
        { trainPictures: 9, valPictures: 9, classes: 3 },
        start,
      );
      expect(settings).to.include({ init: 'he', mean: null, inputScale: null });
    }
  });

  describe('on pictures', function () {
    this.timeout(300_000);
    const folder = useFolder();
    const at = (...path: string[]) => join(folder(), ...path);
    const args = () => {
      const data = ['--data', at('data'), '--val', at('data')];
      return ['train', '--recipe', 'krizhevsky2012', ...data, '--batch', '4', '--lr', '1e-6'];
    };

    before(async () => {
      await writePictures(at('data'), { blue: BLUE, red: RED }, 2);
    });

    async function tensorsOf(path: string): Promise<Map<string, Float32Array>> {
      await using file = await ModelFile.open(path);
      const tensors = new Map<string, Float32Array>();
      for (const name of ['conv1.weight', 'conv2.bias', 'fc8.weight', 'preprocessing/mean'])
        for await (const piece of file.readPieces(name, 1 << 22)) tensors.set(name, piece.slice());
      return tensors;
    }

    it('prints it, keeps the mean image, and goes on from it bit for bit', async () => {
      const { status, stdout } = await alexnet([...args(), '--epochs', '1', '--out', at('run')]);
      expect(stdout).to.include('  recipe krizhevsky2012\n');
      expect(stdout).to.include(
        '  rate ÷10 at epochs 25, 51, 79, momentum 0.9, weight decay 0.0005, of biases none, biases at 2 times the rate\n',
      );
      expect(stdout).to.include(
        '  less the mean image, times 1, random crops, half of them mirrored, colours added as krizhevsky2012 has it\n',
      );
      expect(stdout).to.include('  other than its source: cnorm2');
      expect(status).to.equal(0);
      const resumed = await alexnet(['train', '--resume', at('run'), '--epochs', '2']);
      expect(resumed.stdout).to.include('  recipe krizhevsky2012\n');
      const straight = await alexnet([...args(), '--epochs', '2', '--out', at('straight')]);
      expect([resumed.status, straight.status]).to.deep.equal([0, 0]);
      expect(await tensorsOf(at('run'))).to.deep.equal(await tensorsOf(at('straight')));
      await using file = await ModelFile.open(at('run/best.safetensors'));
      const { mean, crop } = file.info.preprocessing;
      expect([mean.length, crop]).to.deep.equal([256 * 256 * 3, 224]);
      // Of red (200, 205; 30, 35) and blue.
      expect(mean[0]).to.be.closeTo((200 + 205 + 30 + 35) / 4, 1e-3);
    });

    it('has a model that eval, predict, features and neighbours take', async () => {
      const model = ['--model', at('run')];
      const data = ['--data', at('data')];
      const picture = at('data/red/0.png');
      for (const command of [
        ['eval', ...model, ...data, '--ten-crop'],
        ['predict', ...model, picture],
        ['features', ...model, ...data, '--out', at('f.npy')],
        ['neighbours', ...model, ...data, picture],
      ]) {
        const { status, stderr } = await alexnet(command);
        expect([status, stderr], command[0] ?? '').to.deep.equal([0, '']);
      }
      expectError(
        await alexnet(['export', ...model, '--out', at('x.safetensors')]),
        1,
        /one of torchvision, dansuh17 for the preset .* but received "krizhevsky2012"/,
      );
    });
  });
});
