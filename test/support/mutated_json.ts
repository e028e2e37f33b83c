import fc from 'fast-check';

type Node = Record<string, unknown>;

const value: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    ...[0, -0, -1, 0.5, 1.5, 1e8, 1e10, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, -1e300, Number.MAX_SAFE_INTEGER],
    ...[
      null,
      true,
      false,
      '',
      'NaN',
      'Infinity',
      '1',
      [],
      {},
      [null],
      [[]],
      { __proto__: null, kind: 'linear' },
    ],
  ),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.string({ maxLength: 4 }),
  fc.array(fc.integer(), { maxLength: 4 }),
);

/** What JSON can hold, with one to three of its parts, at any depth, replaced by something else or left out. */
export function mutatedJson<T extends object>(valid: T): fc.Arbitrary<Node> {
  const change = fc.record({ place: fc.nat(), replacement: fc.option(value, { nil: undefined }) });
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    const copy = JSON.parse(JSON.stringify(valid)) as Node;
    for (const { place, replacement } of changes) {
      const parts = [...partsOf(copy)];
      const [node, key] = parts[place % parts.length] ?? [copy, ''];
      if (replacement === undefined) delete node[key];
      else node[key] = replacement;
    }
    return JSON.parse(JSON.stringify(copy));
  });
}

function* partsOf(node: Node): Generator<[Node, string]> {
  for (const [key, child] of Object.entries(node)) {
    yield [node, key];
    if (typeof child === 'object' && child !== null) yield* partsOf(child as Node);
  }
}
