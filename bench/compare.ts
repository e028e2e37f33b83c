import { range, rounded } from '../lib/bench/tables.js';

/** A figure of a report, where it stands there. */
interface Figure {
  readonly value: number;
  readonly least: number;
  readonly most: number;
}

/** What changed from one report to another. */
export interface Change {
  readonly what: string;
  readonly old: Figure;
  readonly now: Figure;
  /** New by old, less 1. */
  readonly change: number;
  /** Whether the trials of both have no value in common: more than chance. */
  readonly beyondSpread: boolean;
}

/** Every figure with a spread that both reports have, and how it changed. */
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
      beyondSpread: figure.least > was.most || figure.most < was.least,
    };
  });
}

export function printChanges(changes: readonly Change[]): void {
  console.table(
    changes.map(({ what, old, now, change, beyondSpread }) => ({
      what,
      old: `${rounded(old.value, 2)} (${range(old)})`,
      now: `${rounded(now.value, 2)} (${range(now)})`,
      '%': rounded(100 * change),
      'beyond the spread': beyondSpread ? (change > 0 ? 'more' : 'less') : '',
    })),
  );
}

/** Spreads, by the path to them; members of lists by what names them. */
function figuresOf(report: unknown, path = ''): Map<string, Figure> {
  const found = new Map<string, Figure>();
  if (typeof report !== 'object' || report === null) return found;
  if (isSpread(report)) {
    found.set(path, { value: report.median, least: report.least, most: report.most });
    return found;
  }
  for (const [key, value] of Object.entries(report)) {
    if (key === 'machine') continue;
    const name = Array.isArray(report) ? nameOf(value, key) : key;
    for (const [inner, figure] of figuresOf(value, path === '' ? name : `${path}, ${name}`))
      found.set(inner, figure);
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
