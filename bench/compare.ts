import { range, rounded } from '../lib/bench/tables.js';

/** A figure of a report, where it stands there. */
interface Figure {
  readonly value: number;
  /** These two not where there is one value only. */
  readonly least?: number;
  readonly most?: number;
}

/** What changed from one report to another. */
export interface Change {
  readonly what: string;
  readonly old: Figure;
  readonly now: Figure;
  /** New by old, less 1. */
  readonly change: number;
  /** Whether the trials of both have no value in common: more than chance. Null where one of them has one value only. */
  readonly beyondSpread: boolean | null;
}

/** Figures without a spread that are compared too. */
const SINGLE = ['p99', 'peakResidentBytes', 'firstStepMs'];

/** Every figure with a spread that both reports have, and some without, and how it changed. */
export function compare(old: unknown, now: unknown): Change[] {
  const before = figuresOf(old);
  return [...figuresOf(now)].flatMap(([what, figure]) => {
    const was = before.get(what);
    if (was === undefined) return [];
    return {
      what,
      old: was,
      now: figure,
      change: figure.value / was.value - 1,
      beyondSpread: isBeyond(was, figure),
    };
  });
}

function isBeyond(old: Figure, now: Figure): boolean | null {
  if (old.least === undefined || old.most === undefined) return null;
  if (now.least === undefined || now.most === undefined) return null;
  if (old.least === old.most || now.least === now.most) return null;
  return now.least > old.most || now.most < old.least;
}

export function printChanges(changes: readonly Change[]): void {
  console.table(
    changes.map(({ what, old, now, change, beyondSpread }) => ({
      what,
      old: text(old),
      now: text(now),
      '%': rounded(100 * change),
      'beyond the spread':
        beyondSpread === null ? 'one value' : !beyondSpread ? '' : change > 0 ? 'more' : 'less',
    })),
  );
}

function text({ value, least, most }: Figure): string {
  const figure = String(rounded(value, 2));
  return least === undefined || most === undefined ? figure : `${figure} (${range({ least, most }, 2)})`;
}

/** Figures, by the path to them; members of lists by what names them. */
function figuresOf(report: unknown, path = ''): Map<string, Figure> {
  const found = new Map<string, Figure>();
  if (typeof report !== 'object' || report === null) return found;
  if (isSpread(report)) {
    const { median, least, most } = report;
    return found.set(path, { value: median, least, most });
  }
  for (const [key, value] of Object.entries(report)) {
    if (key === 'machine') continue;
    const name = Array.isArray(report) ? nameOf(value, key) : key;
    const at = path === '' ? name : `${path}, ${name}`;
    if (typeof value === 'number' && SINGLE.includes(key)) found.set(at, { value });
    for (const [inner, figure] of figuresOf(value, at)) found.set(inner, figure);
  }
  return found;
}

function nameOf(value: unknown, key: string): string {
  if (typeof value !== 'object' || value === null) return key;
  const facts = Object.entries(value).filter(([name]) =>
    ['layer', 'pass', 'source', 'batch', 'threads'].includes(name),
  );
  return facts.length === 0 ? key : facts.map(([name, fact]) => `${name} ${fact}`).join(' ');
}

function isSpread(value: object): value is { median: number; least: number; most: number } {
  return ['median', 'least', 'most'].every((name) => typeof (value as never)[name] === 'number');
}
