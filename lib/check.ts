import { ArgumentError, expected } from './errors.js';

export function expectInteger(
  name: string,
  value: unknown,
  low: number,
  high = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= low && value <= high) return value;
  const range = high === Number.MAX_SAFE_INTEGER ? `of at least ${low}` : `from ${low} to ${high}`;
  throw new ArgumentError(
    expected(
      low === 1 && high === Number.MAX_SAFE_INTEGER ? 'positive integer' : `integer ${range}`,
      name,
      value,
    ),
  );
}

export function expectPositiveInteger(name: string, value: unknown): number {
  return expectInteger(name, value, 1);
}

export function expectFinite(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new ArgumentError(expected('finite number', name, value));
}

/** A number in [low, high], or in [low, high) where `open`. */
export function expectInRange(name: string, value: unknown, low: number, high: number, open = false): number {
  const number = expectFinite(name, value);
  if (number >= low && (open ? number < high : number <= high)) return number;
  throw new ArgumentError(expected(`number in [${low}, ${high}${open ? ')' : ']'}`, name, value));
}

export function expectOneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  throw new ArgumentError(expected(`one of ${allowed.join(', ')}`, name, value));
}

/** A number for both axes, or one for each: [height, width]. */
export type Pair = number | readonly [number, number];

export function expectPair(name: string, value: Pair, low: number): readonly [number, number] {
  if (typeof value === 'number') {
    const both = expectInteger(name, value, low);
    return [both, both];
  }
  if (Array.isArray(value) && value.length === 2) {
    return [expectInteger(`${name}[0]`, value[0], low), expectInteger(`${name}[1]`, value[1], low)];
  }
  throw new ArgumentError(expected('number or [height, width]', name, value));
}

export function expectString(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new ArgumentError(expected('string', name, value));
}

export function expectBoolean(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new ArgumentError(expected('true or false', name, value));
}

/** A copy of an object with string keys, such as JSON's. */
export function expectObject(name: string, value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new ArgumentError(expected('object', name, value));
}

/** The members of an object that has exactly these. */
export function expectMembers<K extends string>(
  name: string,
  value: unknown,
  keys: readonly K[],
): Record<K, unknown> {
  const object = expectObject(name, value);
  const stranger = Object.keys(object).find((key) => !keys.some((known) => known === key));
  if (stranger !== undefined) {
    throw new ArgumentError(expected(`only ${keys.join(', ')}`, name, stranger));
  }
  return Object.fromEntries(keys.map((key) => [key, object[key]])) as Record<K, unknown>;
}

export function expectTriple(name: string, value: unknown): [number, number, number] {
  if (!Array.isArray(value) || value.length !== 3)
    throw new ArgumentError(expected('three numbers', name, value));
  return [
    expectFinite(`${name}[0]`, value[0]),
    expectFinite(`${name}[1]`, value[1]),
    expectFinite(`${name}[2]`, value[2]),
  ];
}
