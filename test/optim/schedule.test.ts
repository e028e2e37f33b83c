import { expect } from 'chai';
import { ArgumentError } from '../../lib/errors.js';
import {
  ConstantLR,
  MultiStepLR,
  ReduceLROnPlateau,
  type Schedule,
  StepLR,
  WarmupLinearDecay,
} from '../../lib/optim/schedule.js';

function overEpochs(schedule: Schedule, epochs: number): number[] {
  return Array.from({ length: epochs }, (_, epoch) => schedule.factor(epoch * 100, epoch));
}

function overSteps(schedule: Schedule, steps: number): number[] {
  return Array.from({ length: steps }, (_, step) => schedule.factor(step, 0));
}

/** The rate of each epoch of a run with these validation errors. */
function run(schedule: Schedule, errors: readonly number[], firstEpoch = 0): number[] {
  return errors.map((error, epoch) => {
    const rate = schedule.factor(0, firstEpoch + epoch);
    schedule.onEpochEnd(error);
    return rate;
  });
}

function expectClose(actual: readonly number[], wanted: readonly number[]): void {
  expect(actual).to.have.length(wanted.length);
  for (const [i, value] of wanted.entries()) expect(actual[i], `[${i}]`).to.be.closeTo(value, 1e-12);
}

describe('schedules', () => {
  it('ConstantLR keeps the rate', () => {
    expect(overEpochs(new ConstantLR(), 3)).to.deep.equal([1, 1, 1]);
  });

  it('StepLR divides by 10 each N epochs', () => {
    expectClose(overEpochs(new StepLR({ stepEpochs: 2 }), 6), [1, 1, 0.1, 0.1, 0.01, 0.01]);
  });

  it('MultiStepLR drops at the given epochs, in whatever order they are given', () => {
    expectClose(
      overEpochs(new MultiStepLR({ milestones: [4, 1], gamma: 0.5 }), 6),
      [1, 0.5, 0.5, 0.5, 0.25, 0.25],
    );
  });

  it('WarmupLinearDecay rises to 1, falls to the fraction and stays there', () => {
    const schedule = new WarmupLinearDecay({ warmupSteps: 4, totalSteps: 8, finalFraction: 0.2 });
    expectClose(overSteps(schedule, 10), [0.25, 0.5, 0.75, 1, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2]);
    expectClose(overSteps(new WarmupLinearDecay({ warmupSteps: 0, totalSteps: 2 }), 3), [0.5, 0, 0]);
  });

  it('ReduceLROnPlateau drops after more than `patience` epochs without improvement, three times', () => {
    const schedule = new ReduceLROnPlateau({ patience: 1 });
    const errors = [0.9, 0.8, 0.8, 0.7, 0.75, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6];
    const rates = [1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.001];
    expectClose(run(schedule, errors), rates);
  });

  it('ReduceLROnPlateau takes what is within the threshold for no improvement', () => {
    const schedule = new ReduceLROnPlateau({ patience: 0, threshold: 0.1, factor: 0.5 });
    expectClose(run(schedule, [1, 0.95, 0.95, 0.7, 0.69, 0.69]), [1, 1, 0.5, 0.25, 0.25, 0.125]);
  });

  it('ReduceLROnPlateau goes on from its state through JSON as if never stopped', () => {
    const errors = [0.9, 0.9, 0.5, 0.6, 0.6, 0.6, 0.4, 0.4, 0.4];
    const straight = run(new ReduceLROnPlateau({ patience: 1 }), errors);
    for (let stop = 0; stop <= errors.length; stop++) {
      const first = new ReduceLROnPlateau({ patience: 1 });
      const before = run(first, errors.slice(0, stop));
      const second = new ReduceLROnPlateau({ patience: 1 });
      second.load(JSON.parse(JSON.stringify(first.state())));
      expect([...before, ...run(second, errors.slice(stop), stop)], `stopped at ${stop}`).to.deep.equal(
        straight,
      );
    }
  });

  it('schedules without memory have an empty state', () => {
    const schedule = new StepLR({ stepEpochs: 1 });
    schedule.load(schedule.state());
    expect(schedule.state()).to.deep.equal({});
  });

  const wrong: [string, () => unknown, RegExp][] = [
    ['stepEpochs 0', () => new StepLR({ stepEpochs: 0 }), /positive integer for stepEpochs but received 0/],
    ['gamma 2', () => new StepLR({ stepEpochs: 1, gamma: 2 }), /for gamma but received 2/],
    ['milestone 1.5', () => new MultiStepLR({ milestones: [1, 1.5] }), /milestones\[1\] but received 1.5/],
    ['patience −1', () => new ReduceLROnPlateau({ patience: -1 }), /for patience but received -1/],
    [
      'NaN error',
      () => new ReduceLROnPlateau().onEpochEnd(Number.NaN),
      /for validationError but received NaN/,
    ],
    ['state of another kind', () => new ReduceLROnPlateau().load({}), /for badEpochs but received undefined/],
    [
      'warm-up past the end',
      () => new WarmupLinearDecay({ warmupSteps: 5, totalSteps: 5 }),
      /fewer steps than totalSteps, 5, for warmupSteps but received 5/,
    ],
  ];
  for (const [name, make, message] of wrong) {
    it(`refuses ${name}`, () => {
      expect(make).to.throw(ArgumentError, message);
    });
  }
});
