// node --expose-gc memory.mjs steps | models
import { Device } from '../../../dist/device.js';
import { Training } from './work.mjs';

/** @type {() => void} */
const gc = /** @type {any} */ (globalThis).gc;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Resident bytes without what JavaScript could give back. */
async function residentBytes() {
  for (let i = 0; i < 5; i++) {
    gc();
    await turn();
  }
  return process.memoryUsage.rss();
}

async function steps() {
  const training = new Training();
  let half = 0;
  for (let step = 0; step < 2000; step++) {
    await training.step(step);
    if (step === 999) half = await residentBytes();
  }
  const grown = (await residentBytes()) - half;
  training.dispose();
  // 4 bytes a step would be lost in this; the smallest block of a tensor is 64, that of its handle is more.
  console.log(grown < 2 ** 21 ? 'memory flat' : `${grown} bytes more`);
}

/** Makes, uses and drops a model; a function of its own, so that no register keeps one. */
async function makeAndDrop() {
  const training = new Training();
  await training.step(0);
  if (training.device.memory().liveBytes === 0) throw new Error('Expected live bytes of a model');
}

async function models() {
  const device = Device.get('cpu');
  let half = 0;
  for (let i = 0; i < 50; i++) {
    await makeAndDrop();
    if (i === 24) half = await residentBytes();
  }
  const grown = (await residentBytes()) - half;
  console.log(grown < 2 ** 21 ? 'memory flat' : `${grown} bytes more`);
  // Finalizers run when the event loop turns.
  for (let i = 0; i < 1000 && device.memory().liveBuffers > 0; i++) {
    gc();
    await turn();
  }
  const { liveBuffers, liveBytes } = device.memory();
  console.log(liveBuffers, liveBytes);
}

await (process.argv[2] === 'steps' ? steps() : models());
