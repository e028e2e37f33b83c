import { type Command, Option } from 'commander';
import { RESIZE_KERNELS, type ResizeKernel } from '../data/resize.js';
import { examples, quality } from './options.js';

export interface PrepareOptions {
  data: string;
  out: string;
  quality: number;
  raw?: boolean;
  kernel: ResizeKernel;
  synsets?: string;
  labels?: string;
  strict?: boolean;
  json?: boolean;
}

export function addPrepare(program: Command): void {
  program
    .command('prepare')
    .summary('decode a folder of pictures once')
    .description(
      'Stores the pictures of a folder as training takes them, 256 × 256 pixels, in folders of their classes. Stopped, the same ' +
        'command goes on.',
    )
    .requiredOption(
      '--data <dir>',
      'pictures, a folder for each class; or those of ImageNet in one folder, with labels',
    )
    .requiredOption('--out <dir>', 'where they are stored')
    .addOption(new Option('--quality <q>', 'of the JPEGs, 1 to 100').argParser(quality).default(90))
    .addOption(new Option('--raw', 'no JPEGs, but the bytes: 197 KB a picture').conflicts('quality'))
    .addOption(
      new Option('--kernel <name>', 'what resizes; the preset torchvision takes linear')
        .choices(RESIZE_KERNELS)
        .default('lanczos3'),
    )
    .option(
      '--synsets <file>',
      "names of ImageNet's classes: LOC_synset_mapping.txt, synset_words.txt or meta.mat (default: that in --data or the " +
        'folder above it)',
    )
    .option(
      '--labels <file>',
      'of pictures in one folder: LOC_val_solution.csv or ILSVRC2012_validation_ground_truth.txt (default: likewise)',
    )
    .option('--strict', 'a file that is no picture, or cannot be read, is an error (default: it is left out)')
    .option('--json', 'one JSON object: {out, pictures, added, bytes, skipped}')
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples(
        ['alexnet prepare --data photos/train --out prepared/train', 'then train with --data prepared/train'],
        [
          'alexnet prepare --data val --labels devkit/data/ILSVRC2012_validation_ground_truth.txt --out prepared/val',
          "ImageNet's validation pictures, with meta.mat beside the labels",
        ],
      ),
    )
    .action(async (options: PrepareOptions) => {
      const { runPrepare } = await import('./preparing.js');
      await runPrepare(options);
    });
}
