import type { Command } from 'commander';
import { STATISTICS } from '../data/listing.js';
import { examples } from './options.js';

export interface StatsOptions {
  data: string;
  out?: string;
  strict?: boolean;
  json?: boolean;
}

export function addStats(program: Command): void {
  program
    .command('stats')
    .summary('mean image and principal colours of a folder of pictures')
    .description(
      'Looks at every picture of a training set: the mean image, the mean colour, the covariance of red, green and blue ' +
        'and its axes, along which `train --colour-noise` adds.',
    )
    .requiredOption('--data <dir>', 'training pictures, a folder for each class')
    .option('--out <file>', `where they are stored (default: ${STATISTICS} in that folder)`)
    .option('--strict', 'a file that is no picture, or cannot be read, is an error (default: it is left out)')
    .option('--json', 'one JSON object: {file, pictures, meanColour, covariance, eigenvalues, eigenvectors}')
    .option('--verbose', 'stack trace of errors')
    .addHelpText('after', examples(['alexnet stats --data photos/train', 'once, before training']))
    .action(async (options: StatsOptions) => {
      const { runStats } = await import('./statistics.js');
      await runStats(options);
    });
}
