import { InvalidArgumentError } from 'commander';
import { FREEZABLE, LIMITS } from './recipes.js';

/** Parses the value of an option. Its error makes commander name the option and end with wrong usage. */
export type Parse<T> = (text: string) => T;

export const positiveInteger: Parse<number> = (text) => integer(text, 1, 'positive integer');

export const positiveIntegers: Parse<number[]> = (text) => text.split(',').map(positiveInteger);

export const integerFrom0: Parse<number> = (text) => integer(text, 0, 'integer of at least 0');

export const epochs: Parse<number> = (text) => positiveIntegerTo(LIMITS.epochs, text);

export const batch: Parse<number> = (text) => positiveIntegerTo(LIMITS.batch, text);

export const threads: Parse<number> = (text) =>
  integer(text, 1, `integer from 1 to ${LIMITS.threads}`, LIMITS.threads);

export const quality: Parse<number> = (text) => integer(text, 1, 'integer from 1 to 100', 100);

export const positiveNumber: Parse<number> = (text) => {
  const value = Number(text);
  if (/^[\d.]+(e[-+]?\d+)?$/i.test(text) && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected positive number.');
};

export const fraction: Parse<number> = (text) => {
  const value = Number(text);
  if (/^[\d.]+(e[-+]?\d+)?$/i.test(text) && value >= 0 && value < 1) return value;
  throw new InvalidArgumentError('Expected number from 0 to less than 1.');
};

/** A file whose name tells what is written. */
export function fileEndingIn(...endings: readonly string[]): Parse<string> {
  return (text) => {
    if (endings.some((ending) => text.toLowerCase().endsWith(ending))) return text;
    throw new InvalidArgumentError(`Expected file that ends in ${endings.join(' or ')}.`);
  };
}

/** Names with commas between. */
export const names: Parse<string[]> = (text) => {
  const list = text.split(',').map((name) => name.trim());
  if (list.length < 2 || list.includes('') || new Set(list).size < list.length)
    throw new InvalidArgumentError('Expected two or more names, with commas between.');
  return list;
};

/** Names of layers with commas between, and ranges such as `conv1..conv5`. In the network's order. */
export const layers: Parse<string[]> = (text) => {
  const names = new Set<string>();
  for (const part of text.split(',')) {
    const [from, to] = part.split('..').map((name) => FREEZABLE.indexOf(name));
    const [first, last] = [from ?? -1, to ?? from ?? -1];
    if (first < 0 || last < first || part.split('..').length > 2)
      throw new InvalidArgumentError(`Expected layers of ${FREEZABLE.join(', ')}, or a range of them.`);
    for (const name of FREEZABLE.slice(first, last + 1)) names.add(name);
  }
  return FREEZABLE.filter((name) => names.has(name));
};

function positiveIntegerTo(high: number, text: string): number {
  return integer(text, 1, `positive integer of at most ${high}`, high);
}

function integer(text: string, low: number, what: string, high = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= low && value <= high) return value;
  throw new InvalidArgumentError(`Expected ${what}.`);
}

/** The end of a command's help. */
export function examples(...lines: readonly (readonly [command: string, what: string])[]): string {
  return `\nExamples:\n${lines.map(([command, what]) => `  # ${what}\n  ${command}`).join('\n')}\n`;
}
