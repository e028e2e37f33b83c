import { resolve } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { drawnShapes } from '../../lib/cli/data.js';
import { LIMITS } from '../../lib/cli/recipes.js';
import { parseSettings } from '../../lib/cli/saved_settings.js';
import { newSettings, type Settings } from '../../lib/cli/settings.js';
import { Loader } from '../../lib/data/loader.js';
import { FileFormatError, NodeCudnnError } from '../../lib/errors.js';
import { scheduleOf } from '../../lib/train/from_recipe.js';
import { RUNS } from '../io/mutations.js';
import { colourNoise } from '../support/colour_noise.js';
import { mutatedJson } from '../support/mutated_json.js';

const FOLDERS = { data: resolve('a/train'), val: resolve('a/val') };
const PICTURES = { trainPictures: 4000, valPictures: 100, classes: 10 };
const VALID: readonly Settings[] = [
  newSettings({}, null, PICTURES),
  newSettings({ threads: 2, classes: ['a', 'b'] }, FOLDERS, PICTURES, undefined, colourNoise('paper')),
  newSettings({ recipe: 'paper' }, FOLDERS, PICTURES),
  newSettings({ recipe: 'krizhevsky2012' }, null, PICTURES),
  newSettings(
    { from: 'a/run', freeze: ['conv1'], schedule: { kind: 'every', epochs: 3 } },
    FOLDERS,
    PICTURES,
    {
      preset: 'torchvision',
      dropout: 0.5,
    },
  ),
];

function expectBounded(settings: Settings): void {
  const { data, val, epochs, batch, threads, trainPictures, valPictures } = settings;
  for (const [size, most] of [
    [epochs, LIMITS.epochs],
    [batch, LIMITS.batch],
    [threads ?? 1, LIMITS.threads],
    ...(data === null || val === null
      ? ([
          [trainPictures, LIMITS.drawnPictures],
          [valPictures, LIMITS.drawnPictures],
        ] as const)
      : []),
  ] as const) {
    expect(Number.isInteger(size)).to.equal(true);
    expect(size).to.be.within(1, most);
  }
  // JSON again says the same: nothing in it is NaN, or of a class.
  expect(parseSettings(JSON.parse(JSON.stringify(settings)), 'x')).to.deep.equal(settings);
}

describe('settings of a checkpoint, mutated', () => {
  it('come back whole where nothing was mutated', () => {
    for (const valid of VALID)
      expect(parseSettings(JSON.parse(JSON.stringify(valid)), 'x')).to.deep.equal(valid);
  });

  it(`are refused with a FileFormatError, or are bounded, ${RUNS} runs`, () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(...VALID.map(mutatedJson)), (notes) => {
        let settings: Settings;
        try {
          settings = parseSettings(notes, 'x');
        } catch (error) {
          expect(error).to.be.instanceOf(FileFormatError);
          expect(String(error)).to.match(/Expected .* but received .* in the settings of x$/s);
          return;
        }
        accepted++;
        expectBounded(settings);
      }),
      { numRuns: RUNS },
    );
    expect(accepted, 'of another value of the same kind').to.be.above(0);
  });

  it(`make a loader and a schedule where they are accepted, or one of our errors, ${RUNS} runs`, () => {
    fc.assert(
      fc.property(mutatedJson(newSettings({}, null, PICTURES)), (notes) => {
        try {
          const settings = parseSettings(notes, 'x');
          const { train } = drawnShapes(settings);
          const loader = new Loader(train, { batchSize: settings.batch, crop: 227, training: true });
          expect(scheduleOf(settings, loader.batches).factor(0, 0)).to.be.within(0, 1);
        } catch (error) {
          expect(error).to.be.instanceOf(NodeCudnnError);
        }
      }),
      { numRuns: RUNS },
    );
  });

  it('say by name what would be too much', () => {
    for (const [name, values] of Object.entries({
      trainPictures: [2 ** 20 + 1, 1e8, 1e10],
      valPictures: [1e8, 1e10],
      epochs: [2 ** 21 + 1],
      batch: [2 ** 16 + 1],
      threads: [1025],
    })) {
      for (const value of values)
        expect(() => parseSettings({ ...newSettings({}, null, PICTURES), [name]: value }, 'x')).to.throw(
          FileFormatError,
          new RegExp(`^Expected integer from 1 to \\d+ for ${name} but received ${value} .* settings of x$`),
        );
    }
  });
});
