import fc from 'fast-check';

/** How often each property is tried. */
export const RUNS = Number(process.env.NODE_CUDNN_TEST_RUNS ?? 2000);

export type Mutation = (bytes: Buffer<ArrayBuffer>) => Buffer<ArrayBuffer>;
const text = fc.constantFrom(
  ' ',
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\\',
  '\0',
  '\xff',
  '"shape":[]',
  '"a":{}',
  '0',
  '-',
  '9',
);
const number = fc.constantFrom(
  '0',
  '1',
  '2',
  '8',
  '16',
  '-1',
  '1.5',
  '1e2',
  '00',
  '9007199254740992',
  '1e999',
  '""',
  '[]',
  'null',
);
/** Of a safetensors file: its bytes at places below `most`, those at the beginning more often; its header's text, names, numbers. */
export function mutations(most: number): fc.Arbitrary<Mutation> {
  const place = fc.oneof(fc.nat({ max: 8 }), fc.nat({ max: Math.ceil(most / 5) }), fc.nat({ max: most }));
  return fc.oneof(
    place.map(
      (length): Mutation =>
        (bytes) =>
          bytes.subarray(0, length),
    ),
    fc.uint8Array({ maxLength: 16 }).map(
      (more): Mutation =>
        (bytes) =>
          Buffer.concat([bytes, more]),
    ),
    fc.tuple(place, fc.nat({ max: 255 })).map(
      ([at, value]): Mutation =>
        (bytes) => {
          const copy = Buffer.from(bytes);
          if (at < copy.length) copy[at] = value;
          return copy;
        },
    ),
    fc
      .tuple(place, fc.nat({ max: 20 }))
      .map(([at, count]) => inHeader((json) => json.slice(0, at) + json.slice(at + count))),
    fc.tuple(place, text).map(([at, more]) => inHeader((json) => json.slice(0, at) + more + json.slice(at))),
    fc
      .tuple(place, fc.nat({ max: 80 }))
      .map(([at, count]) => inHeader((json) => json.slice(0, at + count) + json.slice(at))),
    fc.tuple(fc.nat({ max: 12 }), number).map(([nth, value]) => {
      return inHeader((json) => {
        let count = 0;
        return json.replace(/\d+/g, (digits) => (count++ === nth ? value : digits));
      });
    }),
    fc
      .constantFrom('F32', 'F64', 'U8', 'F4', 'toString')
      .map((dtype) => inHeader((json) => json.replace(/(?<="dtype":")\w+/, dtype))),
  );
}

/** A mutation of the header's text, whose length stays true. */
function inHeader(mutate: (json: string) => string): Mutation {
  return (bytes) => {
    if (bytes.length < 8) return bytes;
    const end = 8 + Number(bytes.readBigUInt64LE());
    const json = Buffer.from(mutate(bytes.toString('latin1', 8, end)), 'latin1');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    return Buffer.concat([length, json, bytes.subarray(end)]);
  };
}
