import { expect } from 'chai';
import { backward } from '../lib/autograd.js';
import { AlexNet } from '../lib/models/alexnet.js';
import { softmaxCrossEntropy } from '../lib/ops/index.js';
import { SGD } from '../lib/optim/index.js';
import { tidy } from '../lib/scope.js';
import { rand, type Tensor, tensor } from '../lib/tensor.js';
import { readGolden } from './support/golden.js';

/** All as in golden/make_trace.py. */
const [CLASSES, BATCH, SEED, IMAGE_STREAM] = [10, 4, 20120930, 100];
const LR = 1e-4;
const DROP_AFTER = 6;
const TOLERANCE = 1e-3;

async function norm(t: Tensor): Promise<number> {
  let square = 0;
  for (const value of await t.data()) square += value * value;
  return Math.sqrt(square);
}

describe('ten steps of AlexNet as PyTorch makes them', () => {
  it('loss at each step, norms of parameters and velocities after the last', async () => {
    const golden = await readGolden('trace');
    const losses = Array.from(golden.get('losses')?.data ?? [], Number);
    expect(losses.length).to.equal(10);
    expect(losses.at(-1), 'a batch that it learns').to.be.below((losses[0] ?? 0) - 0.9);

    using model = new AlexNet({ classes: CLASSES, preset: 'dansuh17', init: 'he', dropout: 0, seed: SEED });
    using optimizer = new SGD(model.namedParameters(), { lr: LR, momentum: 0.9, weightDecay: 5e-4 });
    using images = rand([BATCH, 227, 227, 3], { seed: SEED, stream: IMAGE_STREAM, low: -1, high: 1 });
    using labels = tensor(Int32Array.from({ length: BATCH }, (_, i) => i % CLASSES));

    for (const [step, wanted] of losses.entries()) {
      if (step === DROP_AFTER) optimizer.setLrFactor(0.1);
      const loss = await tidy(() => {
        const value = softmaxCrossEntropy(model.forward(images), labels);
        backward(value);
        optimizer.step();
        optimizer.zeroGrad();
        return value.item();
      });
      expect(loss, `loss of step ${step + 1}`).to.be.closeTo(wanted, TOLERANCE);
    }

    const tensors = new Map([...model.namedParameters(), ...optimizer.stateTensors()]);
    expect([...golden.keys()].filter((name) => name !== 'losses')).to.have.members([...tensors.keys()]);
    for (const [name, t] of tensors) {
      const wanted = Number(golden.get(name)?.data[0]);
      expect(Math.abs((await norm(t)) / wanted - 1), `relative error of the norm of ${name}`).to.be.at.most(
        TOLERANCE,
      );
    }
  });
});
