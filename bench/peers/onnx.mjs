/**
 * The little of ONNX's format (onnx.proto, a protocol buffer) that a network needs, written by hand: no package of ONNX
 * is needed to make a model for onnxruntime.
 */

const FLOAT = 1;
const INT64 = 7;
const OPSET = 13;

/** @param {number} value */
function varint(value) {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

/** A field of bytes, text or a message. @param {number} field @param {string | Uint8Array} content */
function bytes(field, content) {
  const data = Buffer.from(/** @type {Uint8Array} */ (content));
  return Buffer.concat([varint(field * 8 + 2), varint(data.length), data]);
}

/** @param {number} field @param {number} value */
function integer(field, value) {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

/** @param {number} field @param {number} value */
function float(field, value) {
  const data = Buffer.alloc(4);
  data.writeFloatLE(value);
  return Buffer.concat([varint(field * 8 + 5), data]);
}

/** @param {string} name @param {{int: number} | {float: number} | {ints: readonly number[]}} value */
function attribute(name, value) {
  const [FLOAT_TYPE, INT_TYPE, INTS_TYPE] = [1, 2, 7];
  if ('int' in value) return [bytes(1, name), integer(3, value.int), integer(20, INT_TYPE)];
  if ('float' in value) return [bytes(1, name), float(2, value.float), integer(20, FLOAT_TYPE)];
  return [bytes(1, name), ...value.ints.map((each) => integer(8, each)), integer(20, INTS_TYPE)];
}

/**
 * @param {string} op
 * @param {readonly string[]} inputs
 * @param {string} output
 * @param {Readonly<Record<string, {int: number} | {float: number} | {ints: readonly number[]}>>} [attributes]
 */
export function node(op, inputs, output, attributes = {}) {
  return Buffer.concat([
    ...inputs.map((input) => bytes(1, input)),
    bytes(2, output),
    bytes(4, op),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, Buffer.concat(attribute(name, value)))),
  ]);
}

/** @param {string} name @param {readonly number[]} shape @param {Float32Array | BigInt64Array} data */
export function initializer(name, shape, data) {
  return Buffer.concat([
    ...shape.map((size) => integer(1, size)),
    integer(2, data instanceof Float32Array ? FLOAT : INT64),
    bytes(8, name),
    bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);
}

/** @param {string} name @param {readonly number[]} shape */
function valueInfo(name, shape) {
  const dimensions = shape.map((size) => bytes(1, integer(1, size)));
  const tensor = Buffer.concat([integer(1, FLOAT), bytes(2, Buffer.concat(dimensions))]);
  return Buffer.concat([bytes(1, name), bytes(2, bytes(1, tensor))]);
}

/**
 * @param {{nodes: readonly Buffer[], initializers: readonly Buffer[], input: readonly number[], output: readonly number[]}}
 *   graph whose input is `x`, and whose output is `y`
 * @returns a model's file
 */
export function model({ nodes, initializers, input, output }) {
  const graph = Buffer.concat([
    ...nodes.map((each) => bytes(1, each)),
    bytes(2, 'alexnet'),
    ...initializers.map((each) => bytes(5, each)),
    bytes(11, valueInfo('x', input)),
    bytes(12, valueInfo('y', output)),
  ]);
  const IR_VERSION = 8;
  return Buffer.concat([integer(1, IR_VERSION), bytes(7, graph), bytes(8, integer(2, OPSET))]);
}
