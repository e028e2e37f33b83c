import { expect } from 'chai';
import { backward } from '../../lib/autograd.js';
import { Device } from '../../lib/device.js';
import { AlexNet } from '../../lib/models/alexnet.js';
import { softmaxCrossEntropy } from '../../lib/ops/index.js';
import { SGD } from '../../lib/optim/index.js';
import { tidy } from '../../lib/scope.js';
import { rand, tensor } from '../../lib/tensor.js';
import { expectClose } from '../support/compare.js';
import { SEEDS, useSimulator } from './simulator.js';

const [CLASSES, BATCH, STEPS, SEED] = [10, 2, 10, 7];
const TOLERANCE = 1e-4;

interface Trace {
  losses: number[];
  /** By name, after the last step. Biases and velocities are left out: those of an early layer are as far off as one
   * window's maximum, which the last bit of two equal numbers may move. */
  weights: Map<string, Float32Array>;
}

/** Trains AlexNet; its dropout draws the same numbers everywhere. */
async function train(device: Device): Promise<Trace> {
  using model = new AlexNet({ classes: CLASSES, init: 'he', seed: SEED, device });
  using optimizer = new SGD(model.namedParameters(), { lr: 1e-3, momentum: 0.9, weightDecay: 5e-4 });
  const losses: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    losses.push(
      await tidy(() => {
        const shape = [BATCH, model.inputSize, model.inputSize, 3];
        const images = rand(shape, { seed: SEED, stream: 100 + step, low: -1, high: 1, device });
        const labels = tensor(
          Int32Array.from({ length: BATCH }, (_, i) => (step + i) % CLASSES),
          [BATCH],
          {
            device,
          },
        );
        const loss = softmaxCrossEntropy(model.forward(images), labels);
        backward(loss);
        optimizer.step();
        optimizer.zeroGrad();
        return loss.item();
      }),
    );
  }
  const weights = new Map<string, Float32Array>();
  for (const [name, t] of model.namedParameters())
    if (name.endsWith('weight')) weights.set(name, await t.data<Float32Array>());
  return { losses, weights };
}

describe('simulator: ten training steps of AlexNet', function () {
  this.timeout(600_000);
  const simulator = useSimulator();
  let wanted: Trace;
  before(async () => {
    wanted = await train(Device.get('cpu'));
    expect(new Set(wanted.losses).size).to.equal(STEPS);
  });

  const expectSame = ({ losses, weights }: Trace): void => {
    expectClose('losses', losses, wanted.losses, TOLERANCE);
    expect([...weights.keys()]).to.deep.equal([...wanted.weights.keys()]);
    for (const [name, values] of weights)
      expectClose(name, values, wanted.weights.get(name) ?? [], TOLERANCE);
  };
  afterEach(() => {
    for (const device of simulator.devices) device.emptyCache();
  });

  for (const seed of SEEDS) {
    it(`seed ${seed}: as the CPU backend`, async () => {
      simulator.seed(seed);
      expectSame(await train(simulator.device(seed % simulator.devices.length)));
    });
  }

  it('on two devices at once: both as the CPU backend', async () => {
    const traces = await Promise.all([0, 1].map((index) => train(simulator.device(index))));
    for (const trace of traces) expectSame(trace);
  });
});
