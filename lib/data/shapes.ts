import { expectInteger, expectOneOf } from '../check.js';
import { Random, STREAMS, substream } from '../random.js';
import type { Dataset, Sample } from './dataset.js';

export interface ShapesOptions {
  /** Default 0. */
  seed?: number;
  length: number;
  /** The parts share no picture. Default train. */
  part?: 'train' | 'validation';
  /** Height and width in pixels. Default 256. */
  size?: number;
}

/** What is drawn of a picture before its class counts. Lengths are in pixels. */
interface Layout {
  /** Centre of a single figure. */
  x: number;
  y: number;
  radius: number;
  /** Of a pattern: the length after which it repeats, and where it begins. */
  period: number;
  phaseX: number;
  phaseY: number;
  /** Which way diagonals run: 1 or -1. */
  slope: number;
}

/** Distance to the outline in pixels, negative inside. */
type Outline = (x: number, y: number) => number;

type Figure = (layout: Layout) => Outline;

const FIGURES: Readonly<Record<string, Figure>> = {
  circle:
    ({ x: cx, y: cy, radius }) =>
    (x, y) =>
      length(x - cx, y - cy) - radius,
  square:
    ({ x: cx, y: cy, radius }) =>
    (x, y) =>
      Math.max(Math.abs(x - cx), Math.abs(y - cy)) - 0.9 * radius,
  triangle:
    ({ x: cx, y: cy, radius }) =>
    (x, y) =>
      Math.max(y - cy, SIN_60 * Math.abs(x - cx) - 0.5 * (y - cy)) - 0.6 * radius,
  ring:
    ({ x: cx, y: cy, radius }) =>
    (x, y) =>
      Math.abs(length(x - cx, y - cy) - 0.8 * radius) - 0.2 * radius,
  cross:
    ({ x: cx, y: cy, radius }) =>
    (x, y) => {
      const dx = Math.abs(x - cx);
      const dy = Math.abs(y - cy);
      return Math.max(Math.max(dx, dy) - radius, Math.min(dx, dy) - 0.3 * radius);
    },
  'vertical stripes':
    ({ phaseX, period }) =>
    (x) =>
      stripe(x + phaseX, period),
  'horizontal stripes':
    ({ phaseY, period }) =>
    (_, y) =>
      stripe(y + phaseY, period),
  'diagonal stripes':
    ({ phaseX, period, slope }) =>
    (x, y) =>
      stripe((x + slope * y) * Math.SQRT1_2 + phaseX, period),
  checkerboard:
    ({ phaseX, phaseY, period }) =>
    (x, y) => {
      const across = stripe(x + phaseX, period);
      const down = stripe(y + phaseY, period);
      return Math.max(Math.min(across, -down), Math.min(-across, down));
    },
  dots:
    ({ phaseX, phaseY, period }) =>
    (x, y) =>
      length(fromMiddle(x + phaseX, period), fromMiddle(y + phaseY, period)) - 0.32 * period,
};

const CLASSES = Object.keys(FIGURES);
const SIN_60 = Math.sqrt(3) / 2;
/** Blocks of random numbers set aside for each picture. */
const BLOCKS_PER_PICTURE = 64;
/** Between the brightness of figure and ground, of 255. */
const LEAST_CONTRAST = 64;

/** Ten classes of shapes and textures, drawn from a seed: colours, sizes, places and noise do not depend on the class. */
export class Shapes implements Dataset {
  readonly classes: readonly string[] = CLASSES;
  readonly length: number;
  readonly fingerprint: string;
  readonly #seed: number;
  readonly #stream: number;
  readonly #size: number;

  constructor(options: ShapesOptions) {
    const part = expectOneOf('part', options.part ?? 'train', ['train', 'validation']);
    this.length = expectInteger('length', options.length, 1);
    this.#seed = expectInteger('seed', options.seed ?? 0, 0);
    this.#size = expectInteger('size', options.size ?? 256, 8);
    this.#stream = substream(STREAMS.shapes, part === 'train' ? 0 : 1);
    this.fingerprint = `drawn shapes, ${part}, seed ${this.#seed}, ${this.#size} pixels`;
  }

  /** Picture `index`, of class `index % 10`. It does not depend on how many there are. */
  get(index: number): Sample {
    expectInteger('index', index, 0, this.length - 1);
    const size = this.#size;
    const label = index % CLASSES.length;
    const random = new Random(this.#seed, this.#stream, index * BLOCKS_PER_PICTURE);
    const figure = FIGURES[CLASSES[label] as string] as Figure;
    const outline = figure(drawLayout(random, size));
    return { pixels: paint(outline, random, size), height: size, width: size, label };
  }
}

function drawLayout(random: Random, size: number): Layout {
  const between = (low: number, high: number) => low + (high - low) * random.uniform();
  const radius = size * between(0.17, 0.36);
  const margin = radius + 0.06 * size;
  const period = size * between(0.09, 0.22);
  return {
    radius,
    x: between(margin, size - margin),
    y: between(margin, size - margin),
    period,
    phaseX: between(0, period),
    phaseY: between(0, period),
    slope: random.integer(2) * 2 - 1,
  };
}

/** The figure in one colour on another, with softened edges and noise. */
function paint(outline: Outline, random: Random, size: number): Uint8Array {
  const [figure, ground] = drawColours(random);
  const [red, green, blue] = ground;
  const [dRed, dGreen, dBlue] = [figure[0] - red, figure[1] - green, figure[2] - blue];
  const noise = (4 + 44 * random.uniform()) / 256;
  const pixels = new Uint8ClampedArray(size * size * 3);
  let bits = random.uint32() | 1;
  let at = 0;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const cover = Math.min(1, Math.max(0, 0.5 - outline(x, y)));
      // Marsaglia's xorshift: three of the four bytes of each word are the noise of three channels.
      bits ^= bits << 13;
      bits ^= bits >>> 17;
      bits ^= bits << 5;
      pixels[at++] = red + dRed * cover + noise * ((bits & 255) - 127.5);
      pixels[at++] = green + dGreen * cover + noise * (((bits >>> 8) & 255) - 127.5);
      pixels[at++] = blue + dBlue * cover + noise * (((bits >>> 16) & 255) - 127.5);
    }
  }
  return new Uint8Array(pixels.buffer);
}

type Colour = readonly [number, number, number];

/** Two colours that can be told apart, either one the brighter. */
function drawColours(random: Random): [figure: Colour, ground: Colour] {
  const draw = (): Colour => [random.integer(256), random.integer(256), random.integer(256)];
  for (;;) {
    const [figure, ground] = [draw(), draw()];
    if (Math.abs(brightness(figure) - brightness(ground)) >= LEAST_CONTRAST) return [figure, ground];
  }
}

/** Of 0…255 (Rec. 601). */
function brightness([red, green, blue]: Colour): number {
  return 0.299 * red + 0.587 * green + 0.114 * blue;
}

function length(x: number, y: number): number {
  return Math.sqrt(x * x + y * y);
}

/** Where `at` lies in its period, from the middle of it. */
function fromMiddle(at: number, period: number): number {
  return at - Math.floor(at / period) * period - period / 2;
}

/** Distance to the edge of a stripe half a period wide, negative inside. */
function stripe(at: number, period: number): number {
  return Math.abs(fromMiddle(at, period)) - period / 4;
}
