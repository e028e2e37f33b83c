import type { Command } from 'commander';
import { addDeviceOptions, type DeviceOptions } from './device.js';
import { MODEL } from './model.js';
import { examples, fileEndingIn, positiveInteger } from './options.js';

export interface FeaturesOptions extends DeviceOptions {
  model: string;
  data: string;
  out: string;
  strict?: boolean;
}

export interface NeighboursOptions extends DeviceOptions {
  model: string;
  data: string;
  count: number;
  picture?: string;
  strict?: boolean;
  json?: boolean;
}

export function addFeatures(program: Command): void {
  const command = program
    .command('features')
    .summary('what the last hidden layer makes of pictures')
    .description(
      'Writes the 4096 features of each picture (fc7) as a table for numpy, a row for each picture.',
    )
    .requiredOption(...MODEL);
  addDeviceOptions(command)
    .requiredOption('--data <dir>', 'pictures, a folder for each class')
    .requiredOption('--out <file>', '.npy; the pictures of its rows go to <file>.csv', fileEndingIn('.npy'))
    .option('--strict', 'a file that is no picture, or cannot be read, is an error (default: it is left out)')
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples([
        'alexnet features --model runs/photos --data photos/val --out val.npy',
        'numpy.load reads it',
      ]),
    )
    .action(async (options: FeaturesOptions) => {
      const { runFeatures } = await import('./looking.js');
      await runFeatures(options);
    });
}

export function addNeighbours(program: Command): void {
  const command = program
    .command('neighbours')
    .summary('the pictures that are most like a picture')
    .description(
      "Finds the pictures of a folder whose features are nearest to a picture's, by Euclidean distance: the paper's figure 4.",
    )
    .argument('<images...>', 'files of pictures')
    .requiredOption(...MODEL);
  addDeviceOptions(command)
    .requiredOption('--data <dir>', 'pictures to find them among, a folder for each class')
    .option('--count <n>', 'so many for each', positiveInteger, 6)
    .option(
      '--picture <file>',
      '.png: each picture in the first column, and what is nearest beside it',
      fileEndingIn('.png'),
    )
    .option(
      '--strict',
      'end at the first file that is no picture, or cannot be read (default: it is left out)',
    )
    .option(
      '--json',
      'one JSON object a picture: {file, neighbours: [{file, class, distance}]} or {file, error}',
    )
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples(['alexnet neighbours --model runs/photos --data photos/train cat.jpg', 'the six nearest']),
    )
    .action(async (images: string[], options: NeighboursOptions) => {
      const { runNeighbours } = await import('./looking.js');
      await runNeighbours(images, options);
    });
}
