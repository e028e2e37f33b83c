import { expect } from 'chai';
import fc from 'fast-check';
import { FileFormatError } from '../../lib/errors.js';
import { Generator } from '../../lib/nn/index.js';
import { parseTrainingState, type TrainingState } from '../../lib/train/training_state.js';
import { RUNS } from '../io/mutations.js';
import { colourNoise } from '../support/colour_noise.js';
import { mutatedJson } from '../support/mutated_json.js';

const VALID: TrainingState = {
  epoch: 2,
  step: 13,
  sums: { loss: 3.5, hits: 7, pictures: 12 },
  train: { loss: 1.5, top1: 0.5 },
  val: { loss: 1.25, top1: 0.5, top5: 1 },
  best: 1.25,
  batchSize: 4,
  seed: 5,
  colourNoise: colourNoise('krizhevsky2012'),
  augmentation: { crops: 'random', flips: true },
  data: { train: { pictures: 20, fingerprint: 'a' }, validation: { pictures: 4, fingerprint: null } },
  facts: { threads: '2', isa: 'AVX2' },
  choices: { 'conv2d 0 1': 'engine 5' },
  optimizer: { step: 13 },
  schedule: { badEpochs: 1, reductions: 0, best: 0.25 },
  generator: { seed: 3, offset: 4096 },
};

function expectBounded(state: TrainingState): void {
  const { epoch, step, sums, batchSize, seed, data, generator } = state;
  const counts = [epoch, step, sums.hits, sums.pictures, batchSize, seed, data.train.pictures];
  expect(counts.every((count) => Number.isSafeInteger(count) && count >= 0)).to.equal(true);
  // Takes integers only.
  new Generator(0, 1).load(generator);
  expect(parseTrainingState(JSON.parse(JSON.stringify(state)), 'x')).to.deep.equal(state);
}

describe('state of a training, mutated', () => {
  it('comes back whole where nothing was mutated', () => {
    expect(parseTrainingState(JSON.parse(JSON.stringify(VALID)), 'x')).to.deep.equal(VALID);
  });

  it(`is refused with a FileFormatError, or is bounded, ${RUNS} runs`, () => {
    let accepted = 0;
    fc.assert(
      fc.property(mutatedJson(VALID), (value) => {
        let state: TrainingState;
        try {
          state = parseTrainingState(value, 'x');
        } catch (error) {
          expect(error).to.be.instanceOf(FileFormatError);
          expect(String(error)).to.match(/Expected checkpoint for x but received .*Expected /s);
          return;
        }
        accepted++;
        expectBounded(state);
      }),
      { numRuns: RUNS },
    );
    expect(accepted, 'of another value of the same kind').to.be.above(0);
  });

  it('is nothing else than an object', () => {
    for (const value of [undefined, null, 1, 'NaN', [], true])
      expect(() => parseTrainingState(value, 'x')).to.throw(FileFormatError, 'Expected checkpoint for x');
  });
});
