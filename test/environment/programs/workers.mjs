// workers.mjs [DEVICE]: several environments train the same network at a time, the main thread's among them; all find the
// same losses.
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { Training } from './work.mjs';

async function losses() {
  const training = new Training(process.argv[2]);
  const found = [];
  for (let step = 0; step < 50; step++) found.push(await training.step(step));
  training.dispose();
  await training.device.synchronize();
  const { liveBytes } = training.device.memory();
  return JSON.stringify({ found, liveBytes });
}

if (isMainThread) {
  const answers = [1, 2, 3].map(
    () =>
      new Promise((resolve, reject) => {
        const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
        worker.on('message', resolve);
        worker.on('error', reject);
      }),
  );
  const all = await Promise.all([losses(), ...answers]);
  console.log(new Set(all).size, JSON.parse(all[0]).found.length, JSON.parse(all[0]).liveBytes);
} else {
  parentPort?.postMessage(await losses());
}
