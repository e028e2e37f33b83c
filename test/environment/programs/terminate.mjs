// Ends 200 workers in the middle of their calls, four at a time, and prints how many ended and whether their memory
// was given back.
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { tensor } from '../../../dist/tensor.js';
import { residentBytes } from './resident.mjs';
import { enqueue, Training } from './work.mjs';

/** Ended first, for what is kept once; then in each of three spans. */
const [FIRST, EACH] = [80, 40];
const COUNT = FIRST + 3 * EACH;
/** The middle one of the spans may leave so much, and all together the tensors of one worker. Sanitizers keep what was freed. */
const [MOST_BYTES, MOST_OF_ALL_BYTES] = /lib[at]san/.test(process.env.LD_PRELOAD ?? '')
  ? [2 ** 27, 2 ** 28]
  : [2 ** 21, 2 ** 25];

/**
 * Is terminated when it announced its step of that number.
 * @param {number} messages
 */
function endOne(messages) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { argv: [messages] });
    let received = 0;
    worker.on('error', reject);
    worker.on('message', () => {
      if (received++ === messages) worker.terminate().then(resolve, reject);
    });
  });
}

async function main() {
  let started = 0;
  /** @param {number} until */
  const endUntil = async (until) => {
    const lane = async () => {
      while (started < until) await endOne(started++ % 5);
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
    return residentBytes();
  };
  const grown = [];
  let before = await endUntil(FIRST);
  for (let until = FIRST + EACH; until <= COUNT; until += EACH) {
    const after = await endUntil(until);
    grown.push(after - before);
    before = after;
  }
  const middle = grown.toSorted((a, b) => a - b)[1] ?? Number.NaN;
  const isFlat = middle < MOST_BYTES && grown.reduce((a, b) => a + b) < MOST_OF_ALL_BYTES;
  console.log(`${started} ended, ${isFlat ? 'memory flat' : `${grown.join()} bytes more`}`);
  console.log((await tensor([1, 2]).data()).join());
}

async function work() {
  const training = new Training();
  const kept = [];
  for (let step = 0; ; step++) {
    parentPort?.postMessage(step);
    await training.step(step);
    if (step % 2 === 1)
      for (let i = 0; i < 3; i++) kept.push(tensor(new Float32Array(2 ** 20).fill(i)), enqueue(20));
    if (kept.length > 16) for (const old of kept.splice(0)) old.dispose();
  }
}

await (isMainThread ? main() : work());
