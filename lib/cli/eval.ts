import type { Command } from 'commander';
import { addDeviceOptions, type DeviceOptions } from './device.js';
import { MODEL } from './model.js';
import { examples, fileEndingIn } from './options.js';

export interface EvalOptions extends DeviceOptions {
  model: [string, ...string[]];
  data: string;
  tenCrop?: boolean;
  confusion?: string;
  errors?: string;
  table?: boolean;
  strict?: boolean;
  json?: boolean;
}

export function addEval(program: Command): void {
  const [flag, what] = MODEL;
  const command = program
    .command('eval')
    .summary('measure a model on a folder of pictures')
    .description(
      'Measures a model: loss, top-1 and top-5 over all pictures, and for each class. Classes go by name. Of several ' +
        'models the probabilities are averaged.',
    )
    .requiredOption(flag, `${what}; may be given several times`, several);
  addDeviceOptions(command)
    .requiredOption('--data <dir>', 'pictures, a folder for each class')
    .option('--ten-crop', 'average over corners, centre and their reflections (default: the centre)')
    .option(
      '--confusion <file>',
      'for each class (a row) how often each class (a column) was guessed: a picture (.png), or a table (.csv)',
      fileEndingIn('.png', '.csv'),
    )
    .option('--errors <file>', '.csv: the pictures whose class was not the first guess', fileEndingIn('.csv'))
    .option(
      '--table',
      "error rates of each model and of all together, as the paper's tables 1 and 2 have them",
    )
    .option('--strict', 'a file that is no picture, or cannot be read, is an error (default: it is left out)')
    .option(
      '--json',
      'one JSON object: {loss, top1, top5, skipped, perClass}, and with --table {table}; fractions of 0…1',
    )
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples(
        ['alexnet eval --model runs/photos --data photos/val', 'the last checkpoint'],
        ['alexnet eval --model runs/a --model runs/b --data photos/val --ten-crop', 'two models together'],
        [
          'alexnet eval --model runs/photos --data photos/val --confusion confusion.png',
          'what was taken for what',
        ],
      ),
    )
    .action(async (options: EvalOptions) => {
      const { runEvaluation } = await import('./evaluation.js');
      await runEvaluation(options);
    });
}

function several(path: string, before: readonly string[] = []): string[] {
  return [...before, path];
}
