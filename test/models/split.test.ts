import { expect } from 'chai';
import { expectClose, expectEqual } from '../support/compare.js';
import { type Step, type Training, train } from '../support/train.js';

const [BATCH, STEPS] = [2, 10];
const TOLERANCE = 1e-5;

async function traced(devices: readonly string[]): Promise<Training & { steps: Step[] }> {
  const steps: Step[] = [];
  const onStep = (step: Step) => {
    if (steps.length < 2) steps.push(step);
  };
  return { ...(await train(devices, BATCH, STEPS, onStep)), steps };
}

describe('AlexNet, its columns on two devices', function () {
  this.timeout(300_000);
  let one: Training & { steps: Step[] };
  let two: Training & { steps: Step[] };
  before(async () => {
    one = await traced(['cpu']);
    two = await traced(['cpu', 'cpu:1']);
  });

  it('computes the logits of the network on one device', () => {
    for (const [i, { logits }] of one.steps.entries())
      expectClose(`step ${i + 1}`, two.steps[i]?.logits ?? [], logits, TOLERANCE);
  });

  it('computes every gradient', () => {
    expect(one.steps).to.have.lengthOf(2);
    for (const [i, { gradients }] of one.steps.entries()) {
      expect([...(two.steps[i]?.gradients.keys() ?? [])]).to.deep.equal([...gradients.keys()]);
      expect(gradients.size).to.equal(16);
      for (const [name, wanted] of gradients)
        expectClose(`step ${i + 1}, ${name}`, two.steps[i]?.gradients.get(name) ?? [], wanted, TOLERANCE);
    }
  });

  it(`has the weights after ${STEPS} steps`, () => {
    expectClose('losses', two.losses, one.losses, TOLERANCE);
    expect(new Set(one.losses).size).to.equal(STEPS);
    expect([...two.weights.keys()]).to.deep.equal([...one.weights.keys()]);
    for (const [name, wanted] of one.weights)
      expectClose(name, two.weights.get(name) ?? [], wanted, TOLERANCE);
  });

  it('does so bit for bit again', async () => {
    const again = await train(['cpu', 'cpu:1'], BATCH, STEPS);
    expectEqual('losses', again.losses, two.losses);
    for (const [name, wanted] of two.weights) expectEqual(name, again.weights.get(name) ?? [], wanted);
  });
});
