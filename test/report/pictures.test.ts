import { writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import sharp from 'sharp';
import { Confusion, confusionPicture } from '../../lib/report/confusion.js';
import { predictionsPicture } from '../../lib/report/predictions.js';
import { drawSvg, escapeXml, svgOf, text } from '../../lib/report/svg.js';
import { temporaryFolder } from '../io/files.js';
import { runCommand } from '../support/child.js';

type Colour = [number, number, number];

async function pixelsOf(png: Buffer) {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number) => [
    ...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3),
  ];
  /** How many pixels of a part have the colour. */
  function count(
    [r, g, b]: Colour,
    left = 0,
    top = 0,
    width = info.width - left,
    height = info.height - top,
  ): number {
    let found = 0;
    for (let y = top; y < top + height; y++)
      for (let x = left; x < left + width; x++) {
        const i = (y * info.width + x) * 3;
        if (data[i] === r && data[i + 1] === g && data[i + 2] === b) found++;
      }
    return found;
  }
  return { at, count, width: info.width, height: info.height };
}

const WHITE: Colour = [255, 255, 255];
const DARKEST: Colour = [8, 48, 107];
const HOSTILE = `<b>"&'\u0001\ud800 猫`;

describe('text in pictures', () => {
  const folder = temporaryFolder();

  it('is escaped, whatever it holds', async () => {
    expect(escapeXml(HOSTILE)).to.equal('&lt;b&gt;&quot;&amp;&#39;\ufffd\ufffd 猫');
    await drawSvg(svgOf(200, 20, [text(HOSTILE, { x: 0, y: 15 })]), 200, 20);
  });

  it('is cut where there is no room', () => {
    expect(text('a'.repeat(50), { x: 0, y: 0, size: 10, room: 60 })).to.match(/>a{5,10}…</);
    expect(text('short', { x: 0, y: 0, size: 10, room: 60 })).to.include('>short<');
  });

  it('is written on a machine without fonts', async () => {
    // Without a font each character is the same box.
    const config = `<?xml version="1.0"?><fontconfig><dir>${folder.path('none')}</dir></fontconfig>`;
    await writeFile(folder.path('fonts.conf'), config);
    const program = `
      import { drawSvg, svgOf, text } from './lib/report/svg.js';
      const draw = (content) => drawSvg(svgOf(60, 20, [text(content, { x: 0, y: 15 })]), 60, 20);
      const [one, other] = [await draw('nnnn'), await draw('uuuu')];
      console.log(one.equals(other), one.equals(await draw('')));`;
    const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
    const environment = `FONTCONFIG_FILE=${folder.path('fonts.conf')}`;
    const { stdout, stderr } = await runCommand('env', [environment, process.execPath, ...args], 60_000);
    expect([stdout, stderr]).to.deep.equal(['false false\n', '']);
  });
});

describe('a picture of a confusion matrix', () => {
  it('is darker where more was guessed, with names at its sides, of two classes', async () => {
    const confusion = new Confusion(['ants', HOSTILE]);
    for (let i = 0; i < 9; i++) confusion.add(0, 0);
    for (let i = 0; i < 9; i++) confusion.add(1, i < 8 ? 0 : 1);
    const { count, width, height } = await pixelsOf(await confusionPicture(confusion));
    expect([width, height].every((side) => side > 150 && side < 500)).to.equal(true);
    // One cell of 64 × 64 has all of its row, but for its number; one has nothing.
    expect(count(DARKEST)).to.be.within(0.9 * 64 * 64, 64 * 64);
  });

  it('counts the most frequent mistakes', () => {
    const confusion = new Confusion(['a', 'b', 'c']);
    const pairs = [
      [0, 1],
      [0, 1],
      [0, 0],
      [0, 0],
      [2, 1],
      [1, 2],
      [1, 1],
    ] as const;
    for (const [label, guess] of pairs) confusion.add(label, guess);
    expect(confusion.mistakes(2)).to.deep.equal([
      { label: 'a', guess: 'b', count: 2, part: 0.5 },
      { label: 'c', guess: 'b', count: 1, part: 1 },
    ]);
  });

  it('has a pixel for each cell of 1000 classes', async () => {
    const confusion = new Confusion(Array.from({ length: 1000 }, (_, i) => `class ${i}`));
    for (let i = 0; i < 1000; i++) confusion.add(i, i);
    confusion.add(3, 900);
    const { at, count, width, height } = await pixelsOf(await confusionPicture(confusion));
    expect(count(DARKEST)).to.be.within(999, 1100);
    let top = 0;
    while (top < height && count(DARKEST, 0, top, width, 1) === 0) top++;
    let left = 0;
    while (count(DARKEST, left, top, 1, 1) === 0) left++;
    expect(at(left + 999, top + 999)).to.deep.equal(DARKEST);
    expect(at(left + 900, top + 3)).not.to.deep.equal(WHITE);
    expect(at(left + 900, top + 4)).to.deep.equal(WHITE);
  });
});

describe('what cannot be drawn', () => {
  it('is refused: a confusion matrix of too many classes', async () => {
    const confusion = new Confusion(Array.from({ length: 5000 }, () => 'x'));
    const failure = await confusionPicture(confusion).catch((error: unknown) => error);
    expect(String(failure)).to.match(
      /^ArgumentError: Expected at most 4096 classes for a picture of a confusion matrix but received 5000/,
    );
  });
});

describe('a picture of predictions', () => {
  const folder = temporaryFolder();
  const PINK: Colour = [0xf4, 0xa6, 0xb4];
  const BLUE: Colour = [0xa9, 0xc4, 0xea];

  it('has bars as long as the probabilities, that of the true class in pink, four pictures in a row', async () => {
    const file = folder.path('green.png');
    await sharp({ create: { width: 300, height: 200, channels: 3, background: '#00ff00' } }).toFile(file);
    const predictions = [
      { class: 'a', probability: 0.75 },
      { class: HOSTILE, probability: 0.25 },
    ];
    const pictures = [
      { file, name: 'green.png', label: 'a', predictions },
      { file, name: 'green.png', predictions: predictions.toReversed() },
      ...[1, 2, 3].map(() => ({ file, name: HOSTILE, label: 'of the folder', predictions })),
    ];
    const { at, count, width, height } = await pixelsOf(await predictionsPicture(pictures));
    const cellHeight = 224 + 24 + 2 * 20 + 14;
    expect([width, height]).to.deep.equal([4 * 238 + 14, 2 * cellHeight + 14]);
    for (const [x, y] of [
      [14, 14],
      [14 + 223, 14 + 223],
      [14 + 3 * 238, 14],
      [14, 14 + cellHeight],
    ] as const)
      expect(at(x, y)).to.deep.equal([0, 255, 0]);
    // The top row of pixels of each bar, above the letters.
    const bar = (colour: Colour, column: number, i: number) =>
      count(colour, 14 + column * 238, 14 + 224 + 24 + i * 20, 224, 1);
    expect([bar(PINK, 0, 0), bar(BLUE, 0, 0)]).to.deep.equal([168, 0]);
    expect([bar(PINK, 0, 1), bar(BLUE, 0, 1)]).to.deep.equal([0, 56]);
    expect([bar(BLUE, 1, 0), bar(BLUE, 1, 1), bar(PINK, 1, 1)]).to.deep.equal([56, 168, 0]);
    expect(count(PINK, 14 + 238)).to.equal(0);
  });

  it("leaves out the ids of ImageNet's classes", async () => {
    const file = folder.path('green.png');
    await sharp({ create: { width: 8, height: 8, channels: 3, background: '#00ff00' } }).toFile(file);
    const drawn = (label: string, other: string) =>
      predictionsPicture([
        {
          file,
          name: '',
          label,
          predictions: [label, other].map((name) => ({ class: name, probability: 0.5 })),
        },
      ]);
    const words = await drawn('crane', 'n02077923');
    expect(words.equals(await drawn('n02012849 crane', 'n02077923'))).to.equal(true);
  });

  it('is refused where it would be too high', async () => {
    const pictures = Array.from({ length: 601 }, () => ({ file: 'x', name: 'x', predictions: [] }));
    const failure = await predictionsPicture(pictures).catch((error: unknown) => error);
    expect(String(failure)).to.match(
      /^ArgumentError: Expected at most 32767 pixels of height for 601 pictures of 0 bars but received \d+/,
    );
  });
});
