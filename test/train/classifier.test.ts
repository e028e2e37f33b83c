import { expect } from 'chai';
import sharp from 'sharp';
import { decodeImage } from '../../lib/data/decode.js';
import type { ResizeKernel } from '../../lib/data/resize.js';
import { AlexNet, ArgumentError, Classifier, DataError, type ImageSource } from '../../lib/index.js';
import { Random } from '../../lib/random.js';
import { Greys } from './greys.js';

const preprocessing = { resize: 232, crop: 227, mean: [127, 127, 127], scale: [0.02, 0.02, 0.02] } as const;
const picture = (level: number): Promise<Buffer> =>
  sharp({ create: { width: 40, height: 30, channels: 3, background: { r: level, g: level, b: level } } })
    .png()
    .toBuffer();

describe('Classifier', () => {
  let classifier: Classifier;
  before(() => {
    classifier = new Classifier(new AlexNet({ classes: 2, init: 'he' }), ['dark', 'light'], preprocessing);
  });
  after(() => classifier.dispose());

  for (const [what, images, message] of [
    ['nothing', undefined, /path or Uint8Array for images\[0\] but received undefined/],
    ['a URL', new URL('file:///a.png'), /images\[0\] but received an object of class URL/],
    ['an ArrayBuffer', new ArrayBuffer(8), /images\[0\] but received an object of class ArrayBuffer/],
    ['a number among paths', ['a.png', 3], /images\[1\] but received 3/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const failure = await classifier.predict(images as unknown as ImageSource).catch((error) => error);
      expect(failure).to.be.instanceOf(ArgumentError);
      expect(failure.message).to.match(message);
    });
  }

  it('refuses more classes than there are', async () => {
    const failure = await classifier.predict([], { topK: 3 }).catch((error) => error);
    expect(failure).to.be.instanceOf(ArgumentError);
    expect(failure.message).to.match(/from 1 to 2 for topK but received 3/);
  });

  it('refuses to measure itself on other classes', async () => {
    const others = Object.assign(new Greys(4), { classes: ['cats', 'dogs'] });
    const failure = await classifier.evaluate(others).catch((error) => error);
    expect(failure).to.be.instanceOf(ArgumentError);
    expect(failure.message).to.match(/classes \[dark, light\] for dataset but received \[cats, dogs\]/);
  });

  it("decodes by the kernel of the model's preprocessing", async () => {
    const noise = new Random(5, 0);
    const pixels = Uint8Array.from({ length: 300 * 290 * 3 }, () => noise.integer(256));
    const source = await sharp(pixels, { raw: { width: 300, height: 290, channels: 3 } })
      .png()
      .toBuffer();
    const decoded = async (kernel: ResizeKernel) => {
      const { pixels: small, width, height } = await decodeImage(source, { size: 232, kernel });
      return sharp(small, { raw: { width, height, channels: 3 } })
        .png()
        .toBuffer();
    };
    const model = new AlexNet({ classes: 2, init: 'he' });
    using linear = new Classifier(model, ['dark', 'light'], { ...preprocessing, kernel: 'linear' });
    const found = await linear.predict(source);
    expect(found).to.deep.equal(await linear.predict(await decoded('linear')));
    expect(found).to.not.deep.equal(await linear.predict(await decoded('lanczos3')));
  });

  it('gives concurrent calls their own results, whatever happens to the others', async () => {
    const [dark, light] = await Promise.all([picture(10), picture(240)]);
    const alone = await classifier.predict(light);
    const results = await Promise.allSettled([
      classifier.predict([dark, light]),
      classifier.predict([dark, Buffer.from('no picture')]),
      classifier.predict(light),
      classifier.predict('/nowhere/at/all.jpg'),
      classifier.predict('/tmp'),
    ]);
    expect(results.map(({ status }) => status)).to.deep.equal([
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'rejected',
    ]);
    const reasons = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    for (const reason of reasons) expect(reason).to.be.instanceOf(DataError);
    expect(String(reasons[1])).to.match(/all\.jpg could not be decoded: no such file/);
    expect(String(reasons[2])).to.match(/\/tmp could not be decoded: a folder/);
    const [, , third] = results;
    if (third?.status === 'fulfilled') expect(third.value).to.deep.equal(alone);
  });
});
