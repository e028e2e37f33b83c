import { expect } from 'chai';

type Numbers = ArrayLike<number | bigint>;

export interface Difference {
  /** max|a − b| / max|b|; 0 where all are equal, NaN where one is not a number. */
  readonly relative: number;
  readonly worst: number;
}

export function difference(actual: Numbers, wanted: Numbers): Difference {
  let most = 0;
  let error = 0;
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) {
    const b = Number(wanted[i]);
    most = Math.max(most, Math.abs(b));
    const distance = Math.abs(Number(actual[i]) - b);
    if (distance <= error) continue;
    error = distance;
    worst = i;
    if (Number.isNaN(distance)) break;
  }
  return { relative: error === 0 ? 0 : error / most, worst };
}

/** Fails with the worst element where max|a − b| > tolerance · max|b|. */
export function expectClose(name: string, actual: Numbers, wanted: Numbers, tolerance: number): void {
  expect(actual.length, `${name}: number of elements`).to.equal(wanted.length);
  const { relative, worst } = difference(actual, wanted);
  if (relative <= tolerance) return;
  expect.fail(
    `${name}: max|a − b| / max|b| is ${relative.toExponential(2)}, allowed is ${tolerance}: ` +
      `element ${worst} is ${actual[worst]}, expected ${wanted[worst]}`,
  );
}

/** Fails where one bit is another. */
export function expectEqual(name: string, actual: Numbers, wanted: Numbers): void {
  expect(actual.length, `${name}: number of elements`).to.equal(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    if (!Object.is(actual[i], wanted[i]))
      expect.fail(`${name}: element ${i} is ${actual[i]}, expected ${wanted[i]}`);
  }
}
