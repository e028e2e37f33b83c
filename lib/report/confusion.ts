import sharp from 'sharp';
import { ArgumentError, expected } from '../errors.js';
import { drawSvg, escapeXml, pngUri, svgOf, text, widthOf } from './svg.js';

/** How often pictures of each class were taken for each class. */
export class Confusion {
  /** By label · classes + guess, without zeros: most are, of many classes. */
  readonly #counts = new Map<number, number>();

  constructor(readonly classes: readonly string[]) {}

  add(label: number, guess: number): void {
    const at = label * this.classes.length + guess;
    this.#counts.set(at, (this.#counts.get(at) ?? 0) + 1);
  }

  /** What the pictures of a class were taken for: a number for each class. */
  row(label: number): number[] {
    const n = this.classes.length;
    return this.classes.map((_, guess) => this.#counts.get(label * n + guess) ?? 0);
  }

  /** The likeliest mistakes, the first the most frequent. `part`: of the class's pictures. */
  mistakes(most: number): { label: string; guess: string; count: number; part: number }[] {
    const n = this.classes.length;
    const cells = [...this.#counts].map(([at, count]) => ({
      label: Math.floor(at / n),
      guess: at % n,
      count,
    }));
    const sums = new Map<number, number>();
    for (const { label, count } of cells) sums.set(label, (sums.get(label) ?? 0) + count);
    const found = cells
      .filter(({ label, guess }) => guess !== label)
      .map((cell) => ({ ...cell, part: cell.count / (sums.get(cell.label) ?? 1) }));
    found.sort((a, b) => b.count - a.count || b.part - a.part || a.label - b.label || a.guess - b.guess);
    return found.slice(0, most).map(({ label, guess, ...figures }) => ({
      label: this.classes[label] ?? '',
      guess: this.classes[guess] ?? '',
      ...figures,
    }));
  }
}

export interface Drawing {
  svg: string;
  width: number;
  height: number;
}

/** A cell is a pixel at least. */
export const MOST_DRAWN = 4096;
/** Up to so many classes are named at the sides; of more, every so many are numbered. */
const MOST_NAMED = 100;
const [MOST_SIDE, MOST_CELL, LEAST_NAMED_CELL, LEAST_COUNT_CELL] = [600, 64, 12, 26];
const [MOST_LABEL, LABEL_SIZE, TITLE_SIZE, MARGIN] = [170, 11, 12, 10];
const [MISTAKES, LEAST_LINE] = [12, 340];

/**
 * The matrix: a row for each class, a column for each guess; the darker, the larger the part of the row's pictures. Beneath
 * it are the most frequent mistakes, where there are more than two classes.
 * @throws {ArgumentError} for more than {@link MOST_DRAWN} classes
 */
export async function confusionSvg(confusion: Confusion): Promise<Drawing> {
  const { classes } = confusion;
  const n = classes.length;
  if (n > MOST_DRAWN)
    throw new ArgumentError(expected(`at most ${MOST_DRAWN} classes`, 'a picture of a confusion matrix', n));
  const counts = classes.map((_, label) => confusion.row(label));
  const named = n <= MOST_NAMED;
  const cell = named
    ? Math.max(LEAST_NAMED_CELL, Math.min(MOST_CELL, Math.floor(MOST_SIDE / n)))
    : Math.max(1, Math.floor(1000 / n));
  const side = n * cell;
  const longest = Math.max(...classes.map((name) => widthOf(name, LABEL_SIZE)));
  const labels = Math.ceil(named ? Math.min(MOST_LABEL, longest) : 34) + 6;
  const [left, top] = [MARGIN + TITLE_SIZE + 6 + labels, MARGIN + TITLE_SIZE + 6 + labels];
  const elements = [
    text('guess', { x: left + side / 2, y: MARGIN + TITLE_SIZE, size: TITLE_SIZE, anchor: 'middle' }),
    text('class', {
      x: MARGIN + TITLE_SIZE,
      y: top + side / 2,
      size: TITLE_SIZE,
      anchor: 'middle',
      upwards: true,
    }),
    `<image x="${left}" y="${top}" width="${side}" height="${side}" href="${pngUri(await cells(counts, cell))}"/>`,
    `<rect x="${left - 0.5}" y="${top - 0.5}" width="${side + 1}" height="${side + 1}" fill="none" stroke="#808080"/>`,
  ];
  const step = named ? 1 : tickStep(n);
  for (let i = 0; i < n; i += step) {
    const at = (i + 0.5) * cell;
    const name = named ? (classes[i] ?? '') : String(i);
    const common = { size: LABEL_SIZE, room: labels - 6 };
    const middle = LABEL_SIZE * 0.36;
    elements.push(text(name, { x: left - 5, y: top + at + middle, anchor: 'end', ...common }));
    elements.push(text(name, { x: left + at + middle, y: top - 5, upwards: true, ...common }));
  }
  if (cell >= LEAST_COUNT_CELL) elements.push(...numbers(counts, cell, left, top));
  let height = top + side + MARGIN;
  let width = left + side + MARGIN;
  if (n > 2) {
    width = Math.max(width, left + LEAST_LINE + MARGIN);
    const lines = confusion
      .mistakes(MISTAKES)
      .map(
        ({ label, guess, count, part }) => `${count} × ${label} → ${guess} (${(100 * part).toFixed(0)} %)`,
      );
    if (lines.length > 0) lines.unshift('Most frequent mistakes');
    for (const line of lines) {
      height += 16;
      elements.push(text(line, { x: left, y: height, room: width - left - MARGIN }));
    }
    height += MARGIN;
  }
  const title = `<title>${escapeXml(`What pictures of ${n} classes were taken for`)}</title>`;
  return { svg: svgOf(width, height, [title, ...elements]), width, height };
}

/** The matrix as a PNG. */
export async function confusionPicture(confusion: Confusion): Promise<Buffer> {
  const { svg, width, height } = await confusionSvg(confusion);
  return drawSvg(svg, width, height);
}

const [LIGHT, DARK] = [
  [255, 255, 255],
  [8, 48, 107],
] as const;

/** Of 0…1. Single mistakes among many pictures are to be seen as well. */
function darkness(count: number, sum: number): number {
  return count === 0 ? 0 : 0.15 + 0.85 * Math.sqrt(count / sum);
}

/** The coloured cells alone. */
async function cells(counts: readonly (readonly number[])[], cell: number): Promise<Buffer> {
  const n = counts.length;
  const pixels = Buffer.alloc(n * n * 3);
  counts.forEach((row, i) => {
    const sum = sumOf(row);
    row.forEach((count, j) => {
      const dark = darkness(count, sum);
      for (let c = 0; c < 3; c++) {
        const [from, to] = [LIGHT[c] ?? 0, DARK[c] ?? 0];
        pixels[(i * n + j) * 3 + c] = Math.round(from + (to - from) * dark);
      }
    });
  });
  return sharp(pixels, { raw: { width: n, height: n, channels: 3 } })
    .resize(n * cell, n * cell, { kernel: 'nearest' })
    .png()
    .toBuffer();
}

function numbers(counts: readonly (readonly number[])[], cell: number, left: number, top: number): string[] {
  return counts.flatMap((row, i) => {
    const sum = sumOf(row);
    return row.map((count, j) => {
      const fill = darkness(count, sum) > 0.55 ? '#ffffff' : '#000000';
      const size = count < 10_000 ? 12 : 9;
      const [x, y] = [left + (j + 0.5) * cell, top + (i + 0.5) * cell + 0.36 * size];
      return text(String(count), { x, y, size, anchor: 'middle', fill });
    });
  });
}

/** 20, 50, 100, …: some ten ticks. */
function tickStep(n: number): number {
  for (let ten = 10; ; ten *= 10) for (const step of [ten, 2 * ten, 5 * ten]) if (n / step <= 10) return step;
}

function sumOf(row: readonly number[]): number {
  return row.reduce((sum, count) => sum + count, 0);
}
