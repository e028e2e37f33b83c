import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { DataError, reasonOf } from '../errors.js';
import { TORCH_PRESETS, type TorchPreset } from '../models/torch_names.js';
import { examples } from './options.js';
import { count, writeLine } from './output.js';

interface ImportOptions {
  from: TorchPreset;
  out: string;
  labels?: string;
}

export function addImport(program: Command): void {
  program
    .command('import')
    .summary('take weights of PyTorch')
    .description(
      'Makes a model of a PyTorch state dict, or of a checkpoint that has one as its "model", bit for bit: .safetensors, ' +
        'or what torch.save wrote (.pth), of which nothing is run.',
    )
    .argument('<file>', 'weights, float32')
    .addOption(
      new Option('--from <network>', "torchvision's alexnet, or that of github.com/dansuh17/alexnet-pytorch")
        .choices(TORCH_PRESETS)
        .makeOptionMandatory(),
    )
    .requiredOption('--out <dir>', 'folder of the model')
    .option(
      '--labels <file>',
      'names of the classes, one a line, in the order of the outputs (default: 0, 1, …)',
    )
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples(
        [
          'alexnet import --from torchvision alexnet.pth --labels imagenet.txt --out runs/imagenet',
          "torchvision's weights",
        ],
        ['alexnet predict --model runs/imagenet cat.jpg', 'use them'],
      ),
    )
    .action(async (file: string, { from, out, labels }: ImportOptions) => {
      const { importTorch } = await import('../train/torch_files.js');
      const { writableFolder } = await import('./folder.js');
      const names = labels === undefined ? {} : { labels: await readLabels(labels) };
      const path = join(await writableFolder(out), 'last.safetensors');
      const { info, epoch, totalSteps, seed } = await importTorch(file, path, { from, ...names });
      const progress = [
        ...(epoch === undefined ? [] : [`epoch ${epoch}`]),
        ...(totalSteps === undefined ? [] : [`step ${totalSteps}`]),
        ...(seed === undefined ? [] : [`seed ${seed}`]),
      ];
      if (progress.length > 0) writeLine(`Its training had come to: ${progress.join(', ')}`);
      writeLine(`Saved ${path}: AlexNet, preset ${from}, ${count(info.classes.length)} classes`);
    });
}

/** @throws {DataError} where the file cannot be read, or a line is empty */
async function readLabels(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new DataError(`Expected names of classes for --labels but received ${reasonOf(cause)}`, { cause });
  });
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const empty = lines.findIndex((line) => line.trim() === '');
  if (empty >= 0)
    throw new DataError(`Expected name of a class for line ${empty + 1} of ${file} but received none`);
  return lines;
}
