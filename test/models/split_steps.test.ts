import { expect } from 'chai';
import { type ModelInfo, Tensor } from '../../lib/index.js';
import { wholes } from '../../lib/models/parameters.js';
import { ModelFile, saveModelFile } from '../../lib/train/model_file.js';
import { temporaryFolder } from '../io/files.js';
import { expectClose, expectEqual } from '../support/compare.js';
import { Net, readWholes } from '../support/train.js';

const [BATCH, STEPS] = [2, 5];
const TOLERANCE = 1e-5;
const PAPER = { init: 'paper', lr: 0.01 } as const;
const PARAMETERS = 16;

/** Gives a network the numbers of another. */
async function copy(from: Net, to: Net): Promise<void> {
  const targets = wholes(to.tensors());
  for (const [name, values] of await readWholes(from.tensors()))
    await Tensor.writePieces(targets.get(name)?.parts ?? [], inOnePiece(values));
}
async function* inOnePiece(values: Float32Array): AsyncIterable<Float32Array> {
  yield values;
}

async function expectEqualNets(net: Net, wanted: Net): Promise<void> {
  const found = await readWholes(net.tensors());
  expect(found.size).to.equal(2 * PARAMETERS);
  for (const [name, values] of await readWholes(wanted.tensors()))
    expectEqual(name, found.get(name) ?? [], values);
}

describe('AlexNet, its columns on two devices, beside the one on one', function () {
  this.timeout(300_000);
  const folder = temporaryFolder();
  let one: Net;
  let two: Net;
  before(() => {
    one = new Net('cpu', PAPER);
    two = new Net(['cpu', 'cpu:1'], PAPER);
  });
  after(() => {
    one[Symbol.dispose]();
    two[Symbol.dispose]();
  });

  it("takes each step at the paper's rate from equal numbers to equal weights, biases and velocities", async () => {
    for (let step = 0; step < STEPS; step++) {
      await copy(one, two);
      const losses = [await one.step(step, BATCH), await two.step(step, BATCH)];
      expectClose(`loss ${step + 1}`, losses.slice(1), losses.slice(0, 1), TOLERANCE);
      const found = await readWholes(two.tensors());
      expect(found.size).to.equal(2 * PARAMETERS);
      for (const [name, wanted] of await readWholes(one.tensors()))
        expectClose(`step ${step + 1}, ${name}`, found.get(name) ?? [], wanted, TOLERANCE);
    }
  });

  for (const direction of ['two to one', 'one to two']) {
    it(`carries weights and velocities from ${direction} by a file, bit for bit`, async () => {
      const [from, to] = direction === 'two to one' ? [two, one] : [one, two];
      await from.step(STEPS, BATCH);
      const info: ModelInfo = {
        model: from.model.config,
        classes: Array.from({ length: 10 }, (_, i) => String(i)),
        preprocessing: {
          resize: 256,
          kernel: 'lanczos3',
          crop: 227,
          mean: [1, 2, 3],
          scale: [0.02, 0.02, 0.02],
        },
      };
      const path = folder.path(direction);
      await saveModelFile(path, info, from.model, from.optimizer);
      await using file = await ModelFile.open(path);
      await file.loadWeights(to.model);
      await file.loadOptimizer(to.optimizer);
      await expectEqualNets(to, from);
    });
  }
});
