/** Prints a hash of two epochs of a folder's batches: pixels, order, crops, reflections and colour noise. */
import { createHash } from 'node:crypto';
import { ImageFolder } from '../../lib/data/folder.js';
import { Loader } from '../../lib/data/loader.js';
import { colourNoise } from '../support/colour_noise.js';

const [, , root = '', concurrency = ''] = process.argv;

async function print(): Promise<void> {
  const loader = new Loader(await ImageFolder.open(root), {
    batchSize: 4,
    crop: 227,
    training: true,
    seed: 3,
    colourNoise: colourNoise('paper'),
    concurrency: Number(concurrency),
  });
  const hash = createHash('sha256');
  for (const epoch of [0, 1])
    for await (const { pixels, labels, crops, shifts, indices } of loader.epoch(epoch)) {
      for (const picture of pixels) hash.update(picture);
      for (const numbers of [labels, crops, shifts ?? []]) hash.update(numbers.join());
      hash.update(indices.join());
    }
  process.stdout.write(hash.digest('hex'));
}

print();
