// node bench/peers/alexnet_onnxruntime.mjs TRIAL: inference of AlexNet (paper preset: 227 pixels, groups, LRN inside each
// column) by onnxruntime-node on a CPU. TRIAL is JSON: {batch, steps, seconds, threads}. Prints one JSON object.
// onnxruntime-node is not a dependency of this package: it is looked for where NODE_CUDNN_BENCH_ONNXRUNTIME says, or here.
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { initializer, model, node } from './onnx.mjs';

const {
  batch,
  steps,
  seconds = Number.POSITIVE_INFINITY,
  threads = availableParallelism(),
} = JSON.parse(process.argv[2] ?? '');
const folder = process.env.NODE_CUDNN_BENCH_ONNXRUNTIME ?? process.cwd();
const load = createRequire(join(folder, 'package.json'));
const ort = load('onnxruntime-node');

/** @type {Buffer[]} */
const nodes = [];
/** @type {Buffer[]} */
const initializers = [];
let current = 'x';
/** @type {typeof node extends (op: any, inputs: any, output: any, attributes?: infer A) => any ? A : never} */
const none = {};

/** @param {string} op @param {readonly string[]} more @param {typeof none} attributes */
function then(op, more = [], attributes = none) {
  const output = `${op}${nodes.length}`;
  nodes.push(node(op, [current, ...more], output, attributes));
  current = output;
}

/** @param {readonly number[]} shape */
function weights(...shape) {
  const name = `w${initializers.length}`;
  const size = shape.reduce((product, each) => product * each, 1);
  // Numbers of no meaning, but none that is denormal: those are slow.
  initializers.push(
    initializer(
      name,
      shape,
      Float32Array.from({ length: size }, (_, i) => ((i * 7919) % 1999) / 1e5 - 0.01),
    ),
  );
  return name;
}

/** @param {readonly number[]} shape */
function reshape(...shape) {
  const name = `shape${initializers.length}`;
  initializers.push(initializer(name, [shape.length], BigInt64Array.from(shape.map(BigInt))));
  then('Reshape', [name]);
}

/** @param {number} inputs @param {number} outputs @param {number} kernel @param {number} stride @param {number} pad @param {number} group */
function conv(inputs, outputs, kernel, stride, pad, group) {
  then('Conv', [weights(outputs, inputs / group, kernel, kernel), weights(outputs)], {
    kernel_shape: { ints: [kernel, kernel] },
    strides: { ints: [stride, stride] },
    pads: { ints: [pad, pad, pad, pad] },
    group: { int: group },
  });
  then('Relu');
}

/** Within each of the two columns. @param {number} channels @param {number} size */
function columnLrn(channels, size) {
  reshape(2 * batch, channels / 2, size, size);
  then('LRN', [], { size: { int: 5 }, alpha: { float: 5e-4 }, beta: { float: 0.75 }, bias: { float: 2 } });
  reshape(batch, channels, size, size);
}

function pool() {
  then('MaxPool', [], { kernel_shape: { ints: [3, 3] }, strides: { ints: [2, 2] } });
}

/** @param {number} inputs @param {number} outputs */
function linear(inputs, outputs) {
  then('Gemm', [weights(outputs, inputs), weights(outputs)], { transB: { int: 1 } });
}

conv(3, 96, 11, 4, 0, 1);
columnLrn(96, 55);
pool();
conv(96, 256, 5, 1, 2, 2);
columnLrn(256, 27);
pool();
conv(256, 384, 3, 1, 1, 1);
conv(384, 384, 3, 1, 1, 2);
conv(384, 256, 3, 1, 1, 2);
pool();
then('Flatten');
linear(9216, 4096);
then('Relu');
linear(4096, 4096);
then('Relu');
linear(4096, 1000);
nodes.push(node('Identity', [current], 'y'));

const input = [batch, 3, 227, 227];
const session = await ort.InferenceSession.create(
  model({ nodes, initializers, input, output: [batch, 1000] }),
  {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
  },
);
const size = input.reduce((product, each) => product * each, 1);
const x = new ort.Tensor(
  'float32',
  Float32Array.from({ length: size }, () => 2 * Math.random() - 1),
  input,
);
for (let i = 0; i < 2; i++) await session.run({ x });
/** @type {number[]} */
const times = [];
const end = performance.now() + 1000 * seconds;
while (times.length < steps && (times.length < 3 || performance.now() < end)) {
  const start = performance.now();
  await session.run({ x });
  times.push(performance.now() - start);
}
times.sort((a, b) => a - b);
const median = times[Math.floor(times.length / 2)] ?? Number.NaN;
const result = {
  batch,
  imagesPerSecond: (batch / median) * 1000,
  stepMs: { median, p99: times[Math.min(times.length - 1, Math.floor(times.length * 0.99))] },
  peakResidentBytes: process.resourceUsage().maxRSS * 1024,
  version: load('onnxruntime-node/package.json').version,
  threads,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
