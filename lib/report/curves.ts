import { rect, svgOf, text } from './svg.js';

export interface Curve {
  name: string;
  colour: string;
  /** In ascending order of x. What is not finite is left out. */
  points: readonly (readonly [x: number, y: number])[];
}

const [WIDTH, HEIGHT] = [640, 300];
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 30, 46, 40];
const GRID = '#e4e4e4';
/** Of more, neighbouring points are averaged. */
const MOST_POINTS = 600;
const TICKS = 5;

/** Curves over steps as an SVG; both axes begin at 0. */
export function curvesSvg(title: string, unit: string, curves: readonly Curve[]): string {
  const shown = curves.map((curve) => ({ ...curve, points: thinned(curve.points) }));
  const points = shown.flatMap((curve) => curve.points);
  const xTicks = ticks(Math.max(1, ...points.map(([x]) => x)));
  const yTicks = ticks(Math.max(1e-12, ...points.map(([, y]) => y)));
  const scale = (value: number, range: readonly number[]) => value / (range.at(-1) ?? 1);
  const px = (x: number) => round(LEFT + scale(x, xTicks) * (WIDTH - LEFT - RIGHT));
  const py = (y: number) => round(HEIGHT - BOTTOM - scale(y, yTicks) * (HEIGHT - TOP - BOTTOM));
  const elements = [text(title, { x: LEFT, y: 18, size: 14 })];
  for (const y of yTicks) {
    elements.push(rect(LEFT, py(y), WIDTH - LEFT - RIGHT, 1, y === 0 ? '#808080' : GRID));
    elements.push(text(`${label(y)}${unit}`, { x: LEFT - 6, y: py(y) + 4, size: 11, anchor: 'end' }));
  }
  for (const x of xTicks)
    elements.push(text(label(x), { x: px(x), y: HEIGHT - BOTTOM + 16, size: 11, anchor: 'middle' }));
  elements.push(text('steps', { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, size: 11, anchor: 'middle' }));
  let legend = LEFT;
  for (const { name, colour, points } of shown) {
    elements.push(rect(legend, 30, 14, 4, colour), text(name, { x: legend + 19, y: 36, size: 11 }));
    legend += 42 + 6.2 * name.length;
    const at = points.map(([x, y]) => [px(x), py(y)] as const);
    const line = at.map((point) => point.join(',')).join(' ');
    elements.push(`<polyline points="${line}" fill="none" stroke="${colour}" stroke-width="1.6"/>`);
    // A line of one point is none.
    if (at.length <= 40)
      for (const [x, y] of at) elements.push(`<circle cx="${x}" cy="${y}" r="2.5" fill="${colour}"/>`);
  }
  return svgOf(WIDTH, HEIGHT, elements);
}

/** 0 to at least `most`, in steps of 1, 2 or 5 times a power of ten. */
function ticks(most: number): number[] {
  const ten = 10 ** Math.floor(Math.log10(most / TICKS));
  const step = [1, 2, 5, 10].map((factor) => factor * ten).find((size) => size * TICKS >= most) ?? most;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, i) => i * step);
}

function label(value: number): string {
  if (value >= 10_000) return value.toLocaleString('en-US');
  return String(Number(value.toPrecision(6)));
}

function thinned(points: Curve['points']): Curve['points'] {
  const finite = points.filter((point) => point.every(Number.isFinite));
  const size = Math.ceil(finite.length / MOST_POINTS);
  if (size <= 1) return finite;
  return Array.from({ length: Math.ceil(finite.length / size) }, (_, i) => {
    const part = finite.slice(i * size, (i + 1) * size);
    const mean = (axis: 0 | 1) => part.reduce((sum, point) => sum + point[axis], 0) / part.length;
    return [mean(0), mean(1)] as const;
  });
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
