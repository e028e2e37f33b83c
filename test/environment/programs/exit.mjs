// Ends in the way that the argument names.
import { Worker } from 'node:worker_threads';

const [how, ...rest] = process.argv.slice(2);
const { enqueue } = await import('./work.mjs');

switch (how) {
  case 'end':
    enqueue();
    break;
  case 'read': {
    const x = enqueue();
    x.data().then(([first]) => console.log(`read ${first}`));
    break;
  }
  case 'exit':
    enqueue();
    process.exit(3);
    break;
  case 'exit with a read':
    enqueue()
      .data()
      .then(() => console.log('not reached'));
    process.exit(3);
    break;
  case 'throw':
    enqueue();
    throw new Error('on purpose');
  case 'reject': {
    const { tensor } = await import('../../../dist/tensor.js');
    const { softmaxCrossEntropy } = await import('../../../dist/ops/index.js');
    enqueue();
    softmaxCrossEntropy(tensor([[1, 2]]), tensor(Int32Array.of(7))).data();
    break;
  }
  case 'exit handler':
    process.on('exit', () => {
      enqueue();
    });
    break;
  case 'signal':
    enqueue();
    process.kill(process.pid, 'SIGTERM');
    break;
  case 'worker': {
    // The same, in a worker.
    const worker = new Worker(new URL(import.meta.url), { argv: rest });
    worker.on('error', (error) => console.log(`error: ${error.message}`));
    worker.on('exit', async (code) => {
      console.log(`exit: ${code}`);
      console.log(`main: ${(await enqueue(10).data())[0]}`);
    });
    break;
  }
  default:
    throw new Error(`Expected a way to end but received ${how}`);
}
