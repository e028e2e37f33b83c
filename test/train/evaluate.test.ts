import { expect } from 'chai';
import sharp from 'sharp';
import {
  AlexNet,
  ArgumentError,
  Classifier,
  DataError,
  type Dataset,
  type EvaluateOptions,
  evaluateTogether,
  type Judgement,
  type Prediction,
  type Sample,
} from '../../lib/index.js';
import { Random } from '../../lib/random.js';
import { evaluate } from '../../lib/train/evaluate.js';
import type { InputPipeline } from '../../lib/train/preprocessing.js';
import { averageScores, bestOf, rankOf } from '../../lib/train/scores.js';

const SIZE = 232;
const CROP = 227;
const CLASSES = ['a', 'b', 'c'];

/** Three pictures of blobs and noise, each unlike its reflection. */
const PICTURES = Array.from({ length: 3 }, (_, picture) => {
  const random = new Random(7, picture);
  return Uint8Array.from({ length: SIZE * SIZE * 3 }, (_, i) => {
    const [y, x] = [Math.floor(i / 3 / SIZE), Math.floor(i / 3) % SIZE];
    return Math.min(255, (x * (picture + 1)) / 3 + y / 4 + random.integer(60));
  });
});

function datasetOf(pictures: readonly Uint8Array[], size: number): Dataset {
  return {
    length: pictures.length,
    classes: CLASSES,
    get: (index): Sample => ({
      pixels: pictures[index] ?? new Uint8Array(),
      height: size,
      width: size,
      label: index % 3,
    }),
  };
}

/** A crop, cut and mirrored by hand. */
function cut(pixels: Uint8Array, top: number, left: number, mirrored: boolean): Uint8Array {
  return Uint8Array.from({ length: CROP * CROP * 3 }, (_, i) => {
    const [y, x, c] = [Math.floor(i / 3 / CROP), Math.floor(i / 3) % CROP, i % 3];
    const column = left + (mirrored ? CROP - 1 - x : x);
    return pixels[((top + y) * SIZE + column) * 3 + c] ?? 0;
  });
}

function classifier(seed: number, resize = SIZE): Classifier {
  const model = new AlexNet({ classes: 3, init: 'he', seed });
  return new Classifier(model, CLASSES, {
    resize,
    crop: CROP,
    mean: [90, 90, 90],
    scale: [0.02, 0.02, 0.02],
  });
}

async function probabilitiesOf(
  classifiers: readonly [Classifier, ...Classifier[]],
  dataset: Dataset,
  options: EvaluateOptions = {},
): Promise<number[][]> {
  const found: number[][] = [];
  const onPicture = ({ index, probabilities }: Judgement): void => {
    found[index] = [...probabilities];
  };
  const { loss, top1 } = await evaluateTogether(classifiers, dataset, { ...options, onPicture });
  const own = found.map((row, i) => row[i % 3] ?? 0);
  expect(loss).to.be.closeTo(-own.reduce((sum, p) => sum + Math.log(p), 0) / own.length, 1e-9);
  const hits = found.filter((row, i) => row[i % 3] === Math.max(...row));
  expect(top1).to.equal(hits.length / found.length);
  return found;
}

/** By a picture of the size that is decoded, so that it is taken as it is. */
async function probabilitiesRanked(model: Classifier, pixels: Uint8Array): Promise<Prediction[]> {
  const png = await sharp(pixels, { raw: { width: SIZE, height: SIZE, channels: 3 } })
    .png()
    .toBuffer();
  return model.predict(png, { topK: model.classes.length });
}

function mean(rows: readonly (readonly number[])[]): number[] {
  return CLASSES.map((_, c) => rows.reduce((sum, row) => sum + (row[c] ?? 0), 0) / rows.length);
}

function expectNear(found: readonly (readonly number[])[], wanted: readonly (readonly number[])[]): void {
  expect(found).to.have.lengthOf(wanted.length);
  found.forEach((row, i) => {
    row.forEach((p, c) => {
      expect(p, `picture ${i}, class ${c}`).to.be.closeTo(wanted[i]?.[c] ?? Number.NaN, 1e-5);
    });
  });
}

describe('evaluate', () => {
  let one: Classifier;
  let two: Classifier;
  before(() => {
    [one, two] = [classifier(1), classifier(2)];
  });
  after(() => {
    one.dispose();
    two.dispose();
  });

  it('takes the centre', async () => {
    const centres = PICTURES.map((pixels) => cut(pixels, 2, 2, false));
    expectNear(
      await probabilitiesOf([one], datasetOf(PICTURES, SIZE)),
      await probabilitiesOf([one], datasetOf(centres, CROP)),
    );
  });

  it('averages over ten crops: corners, centre, and their reflections', async () => {
    const places = [0, 5].flatMap((top) => [0, 5].map((left) => [top, left] as const));
    const wanted: number[][] = [];
    for (const pixels of PICTURES) {
      const crops = [...places, [2, 2] as const].flatMap(([top, left]) =>
        [false, true].map((mirrored) => cut(pixels, top, left, mirrored)),
      );
      expect(crops).to.have.lengthOf(10);
      wanted.push(mean(await probabilitiesOf([one], datasetOf(crops, CROP))));
    }
    const found = await probabilitiesOf([one], datasetOf(PICTURES, SIZE), { tenCrop: true });
    expectNear(found, wanted);
    const centre = await probabilitiesOf([one], datasetOf(PICTURES, SIZE));
    expect(Math.abs((found[0]?.[0] ?? 0) - (centre[0]?.[0] ?? 0))).to.be.above(1e-4);
  });

  it('takes the pictures to the device once for ten crops, and waits once', async () => {
    const order: string[] = [];
    const { model, input } = one.member;
    const upload = input.upload.bind(input);
    const prepare = input.prepare.bind(input);
    const counted = Object.create(input, {
      upload: {
        value: (...args: Parameters<typeof upload>) => {
          order.push(`upload of ${args[0].pixels.length}`);
          return upload(...args);
        },
      },
      prepare: {
        value: (...args: Parameters<typeof prepare>) => {
          // After all that is enqueued without waiting.
          if (order.at(-1)?.startsWith('upload')) queueMicrotask(() => order.push('wait'));
          order.push('crop');
          return prepare(...args);
        },
      },
      preprocessing: { value: input.preprocessing },
    }) as InputPipeline;
    await evaluate([{ model, input: counted }], datasetOf(PICTURES, SIZE), { tenCrop: true });
    expect(order).to.deep.equal(['upload of 3', ...Array<string>(10).fill('crop'), 'wait']);
  });

  it('counts a class among the first five guesses, of more than five', async () => {
    // One picture under each of seven labels: these are guessed first, second, …, seventh.
    const classes = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const { pixels = new Uint8Array() } = { pixels: PICTURES[0] };
    const dataset: Dataset = {
      length: 7,
      classes,
      get: (label) => ({ pixels, height: SIZE, width: SIZE, label }),
    };
    const model = new AlexNet({ classes: 7, init: 'he', seed: 1 });
    using seven = new Classifier(model, classes, one.preprocessing);
    const { top1, top5, perClass } = await seven.evaluate(dataset);
    expect([top1, top5]).to.deep.equal([1 / 7, 5 / 7]);
    const [{ index: first } = { index: -1 }, ...others] = await probabilitiesRanked(seven, pixels);
    expect(perClass.map((row) => row.top1)).to.deep.equal(classes.map((_, i) => Number(i === first)));
    const five = [first, ...others.slice(0, 4).map(({ index }) => index)];
    expect(perClass.map((row) => row.top5)).to.deep.equal(classes.map((_, i) => Number(five.includes(i))));
  });

  it('averages over models', async () => {
    const dataset = datasetOf(PICTURES, SIZE);
    const [first, second] = [await probabilitiesOf([one], dataset), await probabilitiesOf([two], dataset)];
    const wanted = first.map((row, i) => mean([row, second[i] ?? []]));
    expectNear(await probabilitiesOf([one, two], dataset), wanted);
    const members: number[][][] = [[], []];
    await evaluateTogether([one, two], dataset, {
      onPicture: (judgement) =>
        judgement.members.forEach((own, m) => {
          members[m]?.push([...own]);
        }),
    });
    expectNear(members[0] ?? [], first);
    expectNear(members[1] ?? [], second);
    expect(first).to.not.deep.equal(second);
  });

  it('leaves no tensor and no model in another mode', async () => {
    const { device } = one;
    one.model.train();
    const before = device.memory().liveBuffers;
    await evaluateTogether([one, two], datasetOf(PICTURES, SIZE), { tenCrop: true });
    expect(device.memory().liveBuffers).to.equal(before);
    expect([one.model.training, two.model.training]).to.deep.equal([true, false]);
    one.model.eval();
  });

  it('refuses pictures smaller than the crop', async () => {
    const small = datasetOf([new Uint8Array(200 * 200 * 3)], 200);
    const failure = await evaluateTogether([one], small, { tenCrop: true }).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(DataError);
    expect(String(failure)).to.match(/at least 227, the crop, for height and width of sample 0/);
  });

  it('refuses what is no classifier', async () => {
    for (const wrong of [[], [one.model], [undefined]])
      expect(
        await evaluateTogether(wrong as never, datasetOf(PICTURES, SIZE)).catch((error: unknown) => error),
      ).to.be.instanceOf(ArgumentError);
  });

  it('refuses models of other classes, or of other pictures', async () => {
    const dataset = datasetOf(PICTURES, SIZE);
    const failureOf = (other: Classifier) =>
      evaluateTogether([one, other], dataset).then(
        () => undefined,
        (error: unknown) => error,
      );
    using larger = classifier(1, 256);
    expect(String(await failureOf(larger))).to.match(
      /ArgumentError: Expected pictures of .*232.* for every model but .*256/,
    );
    using strange = new Classifier(new AlexNet({ classes: 2 }), ['a', 'b'], one.preprocessing);
    expect(await failureOf(strange)).to.be.instanceOf(ArgumentError);
    expect(String(await failureOf(strange))).to.match(
      /Expected classes \[.*\], as the first model has, for another model but received \[a, b\]$/,
    );
  });
});

describe('scores', () => {
  it('are averaged after the softmax', () => {
    const { losses, probabilities } = averageScores(
      [Float32Array.of(0, Math.log(3), 0, 0), Float32Array.of(Math.log(7), 0, 0, 0)],
      [1, 0],
      2,
    );
    expect(probabilities.map((row) => [...row].map((p) => Math.round(p * 1e6) / 1e6))).to.deep.equal([
      [0.5625, 0.4375],
      [0.5, 0.5],
    ]);
    expect(losses[0]).to.be.closeTo(-Math.log(0.4375), 1e-6);
    expect(losses[1]).to.be.closeTo(Math.log(2), 1e-6);
  });

  it('have a finite loss where the probability is too small for a number', () => {
    expect(averageScores([Float32Array.of(0, 2000)], [0], 2).losses).to.deep.equal([2000]);
  });

  it('that are not numbers give a loss that is none, and the last rank', () => {
    const { losses, probabilities } = averageScores([Float32Array.of(0, Number.NaN)], [0], 2);
    expect(losses).to.deep.equal([Number.NaN]);
    expect(rankOf(0, probabilities[0] ?? [])).to.equal(2);
  });

  it('are ranked, of equal ones the lower index first', () => {
    expect([0, 1, 2, 3].map((label) => rankOf(label, [0.2, 0.3, 0.3, 0.2]))).to.deep.equal([2, 0, 1, 3]);
    expect(bestOf(3, [0.2, 0.3, 0.3, 0.2])).to.deep.equal([1, 2, 0]);
  });
});
