// node --expose-gc --max-semi-space-size=1 --no-opt --no-sparkplug memory.mjs steps | leak | models, node memory.mjs garbage
// V8's compilers, and its young generation, which doubles, take more than what is looked for.
import { Device } from '../../../dist/device.js';
import { empty } from '../../../dist/tensor.js';
import { residentBytes } from './resident.mjs';
import { Training } from './work.mjs';

/** @type {() => void} */
const gc = /** @type {any} */ (globalThis).gc;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Resident bytes without what JavaScript could give back. */
async function residentAfterGc() {
  for (let i = 0; i < 5; i++) {
    gc();
    await turn();
  }
  return residentBytes();
}

/**
 * Tells how much more is resident in each eighth of `count` rounds after the first, where that is half a KiB a round in
 * the median. A leak shows in all of them; what the heaps of JavaScript and C take for themselves now and then does not.
 * @param {number} count
 * @param {(i: number) => Promise<unknown>} round
 */
async function watch(count, round) {
  // Threads of several processes that wait for each other take minutes.
  Device.get('cpu').setThreads(1);
  const eighth = Math.floor(count / 8);
  /** @type {number[]} */
  const marks = [];
  for (let i = 1; i <= count; i++) {
    await round(i);
    if (i % eighth === 0) marks.push(await residentAfterGc());
  }
  const grown = marks.slice(1).map((mark, i) => mark - (marks[i] ?? 0));
  const median = grown.toSorted((a, b) => a - b)[3] ?? Number.NaN;
  console.log(median < 512 * eighth ? 'memory flat' : `${grown} bytes more`);
}

async function steps() {
  const training = new Training();
  await watch(2000, (step) => training.step(step));
  training.dispose();
}

/** As `steps`, of which each keeps 2 KiB. Of 1 KiB a step the median may be hidden in what C's heap has free. */
async function leak() {
  const training = new Training();
  /** @type {Buffer[]} */
  const kept = [];
  await watch(2000, async (step) => {
    await training.step(step);
    kept.push(Buffer.allocUnsafeSlow(2048));
  });
  training.dispose();
}

/** Makes, uses and drops a model; a function of its own, so that no register keeps one. */
async function makeAndDrop() {
  const training = new Training();
  await training.step(0);
  if (training.device.memory().liveBytes === 0) throw new Error('Expected live bytes of a model');
}

async function models() {
  const device = Device.get('cpu');
  await watch(2000, makeAndDrop);
  // Finalizers run when the event loop turns.
  for (let i = 0; i < 1000 && device.memory().liveBuffers > 0; i++) {
    gc();
    await turn();
  }
  const { liveBuffers, liveBytes } = device.memory();
  console.log(liveBuffers, liveBytes);
}

/** 400 tensors of 16 MiB, each dropped at once: without word of their size V8 sees 400 small objects. */
async function garbage() {
  const device = Device.get('cpu');
  let mostBytes = 0;
  for (let i = 0; i < 400; i++) {
    empty([4, 1024, 1024]);
    await turn();
    mostBytes = Math.max(mostBytes, device.memory().liveBytes);
  }
  console.log(mostBytes < 3e9 ? 'collected in time' : `${mostBytes} bytes live`);
}

const programs = { steps, leak, models, garbage };
await programs[/** @type {keyof typeof programs} */ (process.argv[2])]();
