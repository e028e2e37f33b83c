import { expect } from 'chai';
import { noGrad } from '../../lib/autograd.js';
import { AlexNet } from '../../lib/models/alexnet.js';
import { tidy } from '../../lib/scope.js';
import { rand, type Shape, type Tensor } from '../../lib/tensor.js';
import { InputPipeline } from '../../lib/train/preprocessing.js';
import { expectClose } from '../support/compare.js';
import { readGolden } from '../support/golden.js';

/** All as in golden/make_krizhevsky2012.py. */
const [CLASSES, SEED, IMAGE_STREAM, MEAN_STREAM] = [5, 20120930, 100, 101];
const [SIZE, CROP, PICTURES] = [230, 224, 2];
const PLACES = Int32Array.of(1, 2, 1, 6, 0, 0);

describe('the network of 2012', () => {
  it('takes crops of 224 pixels, in an input of 227, of which it makes what PyTorch makes', async () => {
    using model = new AlexNet({ classes: CLASSES, preset: 'krizhevsky2012', init: 'he', seed: SEED });
    model.eval();
    expect([model.inputSize, model.cropSize]).to.deep.equal([227, 224]);
    const drawn = (stream: number, shape: Shape, high: number) =>
      tidy(() => rand(shape, { seed: SEED, stream, high }).data<Float32Array>());
    const levels = await drawn(IMAGE_STREAM, [PICTURES, SIZE * SIZE * 3], 1);
    const mean = await drawn(MEAN_STREAM, [SIZE * SIZE * 3], 255);
    const pixels = [0, 1].map((i) =>
      Uint8Array.from(levels.subarray(i * mean.length, (i + 1) * mean.length), (u) => Math.floor(256 * u)),
    );
    const scale = [1 / 60, 1 / 60, 1 / 60] as const;
    const input = new InputPipeline({ resize: SIZE, crop: CROP, mean, scale }, model);
    const prepare = (): Tensor[] =>
      input.prepare(input.upload({ pixels, height: SIZE, width: SIZE }), PLACES);
    const logits = await noGrad(() => tidy(() => model.forward(prepare()).data()));
    input.dispose();
    const golden = await readGolden('krizhevsky2012');
    expectClose('logits', logits, golden.get('logits')?.data ?? [], 1e-5);
  });

  it('normalises and pools the first convolution before its ReLU', () => {
    using model = new AlexNet({ classes: 10, preset: 'krizhevsky2012' });
    expect(model.summary().split('\n').slice(0, 12)).to.deep.equal([
      'AlexNet, preset krizhevsky2012, init krizhevsky2012',
      'layer    what                   output         parameters',
      'input                           227 × 227 × 3',
      'conv1    11 × 11, stride 4      55 × 55 × 96       34,944',
      'norm1    LRN over 5, groups 2   55 × 55 × 96',
      'pool1    max 3, stride 2        27 × 27 × 96',
      'relu1    ReLU                   27 × 27 × 96',
      'conv2    5 × 5, groups 2, ReLU  27 × 27 × 256     307,456',
      'norm2    LRN over 5, groups 2   27 × 27 × 256',
      'pool2    max 3, stride 2        13 × 13 × 256',
      'conv3    3 × 3, ReLU            13 × 13 × 384     885,120',
      'conv4    3 × 3, groups 2, ReLU  13 × 13 × 384     663,936',
    ]);
  });
});
