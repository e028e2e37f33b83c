import { expect } from 'chai';
import { ErrorRates } from '../../lib/cli/error_rates.js';
import { parameterShapes } from '../../lib/models/parameters.js';
import { formatInfo, type ModelInfo } from '../../lib/train/model_info.js';
import { headerOf, temporaryFolder, writeSparse } from '../io/files.js';

const CLASSES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

/** Probabilities of which `order` is the ranking. */
function ranked(...order: readonly number[]): Float64Array {
  const probabilities = new Float64Array(CLASSES.length);
  order.forEach((index, rank) => {
    probabilities[index] = 0.4 / 2 ** rank;
  });
  return probabilities;
}

describe('error rates', () => {
  const folder = temporaryFolder();

  async function writeModel(name: string, notes: Record<string, unknown>): Promise<string> {
    const info: ModelInfo = {
      model: { classes: CLASSES.length, preset: 'paper', init: 'he', dropout: 0.5 },
      classes: CLASSES,
      preprocessing: { resize: 256, crop: 227, mean: [1, 2, 3], scale: [1, 1, 1] },
      notes,
    };
    const { header, dataBytes } = headerOf(formatInfo(info), [...parameterShapes(info.model)]);
    await writeSparse(folder.path(name), header, dataBytes);
    return folder.path(name);
  }

  /** Of four pictures of class 0: the first model ranks it first, fifth, sixth, fifth; the second always last. */
  function measured(files: readonly string[]): ErrorRates {
    const rates = new ErrorRates(files);
    const last = ranked(1, 2, 3, 4, 5, 6, 0);
    const fifth = ranked(1, 2, 3, 4, 0, 5, 6);
    const first = ranked(0, 1, 2, 3, 4, 5, 6);
    const together = [first, first, fifth, last];
    [first, fifth, ranked(1, 2, 3, 4, 5, 0, 6), fifth].forEach((own, index) => {
      const probabilities = together[index] ?? last;
      rates.add({ index, label: 0, probabilities, members: files.length === 1 ? [own] : [own, last] });
    });
    return rates;
  }

  it('are of each model and of all together, among one and among five guesses', () => {
    expect(measured(['x', 'y']).rows()).to.deep.equal([
      { model: '1 CNN', files: ['x'], top1Error: 0.75, top5Error: 0.25 },
      { model: '1 CNN', files: ['y'], top1Error: 1, top5Error: 1 },
      { model: '2 CNNs', files: ['x', 'y'], top1Error: 0.5, top5Error: 0.25 },
    ]);
    expect(measured(['x']).rows()).to.deep.equal([
      { model: '1 CNN', files: ['x'], top1Error: 0.75, top5Error: 0.25 },
    ]);
  });

  it('have an asterisk, and say why, where a model began as another one', async () => {
    const [plain, tuned] = [
      await writeModel('plain.safetensors', { from: null }),
      await writeModel('tuned.safetensors', { from: '/runs/imagenet' }),
    ];
    const cellsOf = async (files: readonly string[]) =>
      (await measured(files).describe('photos/val/')).map((line) => line.split(/ {2,}/));
    expect(await cellsOf([plain, tuned])).to.deep.equal([
      ['Model', 'Top-1 (val)', 'Top-5 (val)'],
      ['1 CNN', '75.0%', '25.0%', plain],
      ['1 CNN*', '100.0%', '100.0%', tuned],
      ['2 CNNs*', '50.0%', '25.0%'],
      ['* started from a model that was trained before (--from)'],
    ]);
    expect(await cellsOf([plain])).to.deep.equal([
      ['Model', 'Top-1 (val)', 'Top-5 (val)'],
      ['1 CNN', '75.0%', '25.0%', plain],
    ]);
  });
});
