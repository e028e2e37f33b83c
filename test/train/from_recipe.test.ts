import { expect } from 'chai';
import {
  Linear,
  optimizerOf,
  RECIPES,
  type RecipeName,
  scheduleOf,
  type Tensor,
  tensor,
} from '../../lib/index.js';

describe('recipes', () => {
  /** How far one step moves a weight of 1 and a bias of 1 whose gradients are 1. */
  async function step(name: RecipeName): Promise<[weight: number, bias: number]> {
    using model = new Linear(1, 1);
    using optimizer = optimizerOf(RECIPES[name], model);
    const one = (): Tensor => tensor([1], [1]);
    const parameters = [...model.parameters()];
    for (const parameter of parameters) {
      parameter.write(Float32Array.of(1));
      parameter.grad = tensor([1], [...parameter.shape]);
    }
    await optimizer.step();
    const [weight = one(), bias = one()] = parameters;
    const moved = [await weight.data(), await bias.data()].map(([value = 0]) => 1 - value);
    optimizer.zeroGrad();
    return [moved[0] ?? 0, moved[1] ?? 0];
  }

  it('paper: weights and biases alike', async () => {
    for (const moved of await step('paper')) expect(moved).to.be.closeTo(0.01 * (1 + 5e-4), 1e-7);
  });

  it('krizhevsky2012: biases at twice the rate, and they do not decay', async () => {
    const [weight, bias] = await step('krizhevsky2012');
    expect(weight).to.be.closeTo(0.01 * (1 + 5e-4), 1e-7);
    expect(bias).to.be.closeTo(0.02, 1e-7);
  });

  it("dansuh17: Adam's steps, of the rate's size", async () => {
    for (const moved of await step('dansuh17')) expect(moved).to.be.closeTo(1e-4, 1e-7);
  });

  it('have the schedules of their sources', () => {
    const factors = (name: RecipeName, ...epochs: number[]): number[] =>
      epochs.map((epoch) =>
        Number(
          scheduleOf(RECIPES[name], 10)
            .factor(10 * epoch, epoch)
            .toPrecision(6),
        ),
      );
    expect(factors('krizhevsky2012', 24, 25, 50, 51, 78, 79)).to.deep.equal([1, 0.1, 0.1, 0.01, 0.01, 0.001]);
    expect(factors('dansuh17', 0, 29, 30, 60, 89)).to.deep.equal([1, 1, 0.1, 0.01, 0.01]);
    const plateau = scheduleOf(RECIPES.paper, 10);
    const rates = Array.from({ length: 30 }, (_, epoch) => {
      const factor = plateau.factor(10 * epoch, epoch);
      plateau.onEpochEnd(0.5);
      return Number(factor.toPrecision(6));
    });
    expect(rates.filter((rate, i) => rate !== rates[i - 1])).to.deep.equal([1, 0.1, 0.01, 0.001]);
  });

  it('warm up for no more than a tenth of all steps, where the schedule is linear', () => {
    const schedule = { kind: 'linear', warmupSteps: 20, finalFraction: 0 } as const;
    expect(scheduleOf({ schedule, epochs: 2 }, 50).factor(9, 0)).to.equal(1);
    expect(scheduleOf({ schedule, epochs: 2 }, 500).factor(9, 0)).to.equal(0.5);
    expect(scheduleOf({ schedule: { kind: 'constant' }, epochs: 2 }, 500).factor(999, 1)).to.equal(1);
  });
});
