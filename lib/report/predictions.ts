import sharp, { type OverlayOptions } from 'sharp';
import { ArgumentError, expected } from '../errors.js';
import { drawSvg, rect, svgOf, text } from './svg.js';

/** A picture and what was made of it. */
export interface PicturePredictions {
  file: string;
  /** The true class, where it is known. */
  label?: string | undefined;
  /** Written under the picture instead where it is not. */
  name: string;
  /** The likeliest first. */
  predictions: readonly { class: string; probability: number }[];
}

const [SIDE, GAP, PER_ROW] = [224, 14, 4];
const [CAPTION, BAR, SIZE] = [24, 20, 13];
/** Of what SVG can draw: 90 rows of pictures with five bars each. */
const MOST_PIXELS = 32_767;
const [RED, PINK, BLUE, GREY] = ['#c00000', '#f4a6b4', '#a9c4ea', '#707070'];

/**
 * Pictures with their most probable classes, as a PNG: figure 4 of the paper, left. Under each is its true class, whose bar
 * is pink where it is among those.
 * @throws {ArgumentError} for more than fit into 32,767 pixels of height: 360 with five bars each
 * @throws where a file cannot be decoded
 */
export async function predictionsPicture(pictures: readonly PicturePredictions[]): Promise<Buffer> {
  const columns = Math.min(PER_ROW, pictures.length);
  const bars = Math.max(...pictures.map(({ predictions }) => predictions.length));
  const cellHeight = SIDE + CAPTION + bars * BAR + GAP;
  const [width, height] = [
    columns * (SIDE + GAP) + GAP,
    Math.ceil(pictures.length / columns) * cellHeight + GAP,
  ];
  if (height > MOST_PIXELS) {
    const what = `${pictures.length} pictures of ${bars} bars`;
    throw new ArgumentError(expected(`at most ${MOST_PIXELS} pixels of height`, what, height));
  }
  const overlays: OverlayOptions[] = [];
  const elements: string[] = [];
  for (const [i, picture] of pictures.entries()) {
    const left = GAP + (i % columns) * (SIDE + GAP);
    const top = GAP + Math.floor(i / columns) * cellHeight;
    const input = await sharp(picture.file, { autoOrient: true })
      .resize(SIDE, SIDE, { fit: 'cover' })
      .flatten({ background: '#ffffff' })
      .png()
      .toBuffer();
    overlays.push({ input, top, left });
    elements.push(...captionAndBars(picture, left, top + SIDE));
  }
  return drawSvg(svgOf(width, height, elements), width, height, overlays);
}

/** Without the WordNet id that ImageNet's classes begin with: there is no room for both. */
function wordsOf(name: string): string {
  return name.replace(/^n\d{8} (?=\S)/, '');
}

function captionAndBars(
  { label, name, predictions }: PicturePredictions,
  left: number,
  top: number,
): string[] {
  const caption = { x: left + SIDE / 2, y: top + 17, size: 15, anchor: 'middle', room: SIDE } as const;
  const written = label === undefined ? name : wordsOf(label);
  const elements = [text(written, { ...caption, fill: label === undefined ? GREY : '#000000' })];
  predictions.forEach(({ class: guess, probability }, i) => {
    const y = top + CAPTION + i * BAR;
    const right = guess === label;
    const width = Math.max(1, Math.round(probability * SIDE));
    elements.push(rect(left, y, width, BAR - 3, right ? PINK : BLUE));
    const part = `${(100 * probability).toFixed(probability < 0.0995 ? 1 : 0)} %`;
    const at = { y: y + 13, size: SIZE };
    elements.push(
      text(wordsOf(guess), { x: left + 4, ...at, room: SIDE - 54, fill: right ? RED : '#000000' }),
    );
    elements.push(text(part, { x: left + SIDE - 3, ...at, size: 11, anchor: 'end', fill: '#404040' }));
  });
  return elements;
}
