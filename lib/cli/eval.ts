import type { Command } from 'commander';
import type { Evaluation } from '../train/evaluate.js';
import { addModelOptions, type ModelOptions, openModel } from './model.js';
import { examples } from './options.js';
import { count, describeSkipped, percent, writeJson, writeLine, writeNote } from './output.js';

interface EvalOptions extends ModelOptions {
  data: string;
  strict?: boolean;
  json?: boolean;
}

export function addEval(program: Command): void {
  const command = program
    .command('eval')
    .summary('measure a model on a folder of pictures')
    .description(
      'Measures a model: loss, top-1 and top-5 over all pictures, and for each class. Classes go by name.',
    );
  addModelOptions(command)
    .requiredOption('--data <dir>', 'pictures, a folder for each class')
    .option('--strict', 'a file that is no picture, or cannot be read, is an error (default: it is left out)')
    .option('--json', 'one JSON object: {loss, top1, top5, skipped, perClass}, fractions of 0…1')
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples(['alexnet eval --model runs/photos --data photos/val', 'the last checkpoint']),
    )
    .action(async (options: EvalOptions) => {
      const evaluation = await evaluateFolder(options);
      if (options.json) writeJson(evaluation);
      else for (const line of describe(evaluation)) writeLine(line);
    });
}

/** What `alexnet eval --json` writes, in one line: the same bytes for the same model, pictures and threads. */
async function evaluateFolder(options: EvalOptions): Promise<Evaluation> {
  const { openFolder } = await import('./data.js');
  const { decodingOf } = await import('../train/preprocessing.js');
  using classifier = await openModel(options);
  const strict = options.strict ?? false;
  const { classes, preprocessing } = classifier;
  const folder = await openFolder(options.data, strict, { classes, ...decodingOf(preprocessing) });
  return await classifier.evaluate(folder, {
    strict,
    onSkip: ({ reason }) => writeNote(`Left out: ${reason}`),
  });
}

function describe({ loss, top1, top5, skipped, perClass }: Evaluation): string[] {
  const pictures = perClass.reduce((sum, row) => sum + row.count, 0);
  const width = Math.max('class'.length, ...perClass.map((row) => row.class.length));
  return [
    `${count(pictures)} pictures: loss ${loss.toFixed(4)}, top-1 ${percent(top1)}, top-5 ${percent(top5)}`,
    ...describeSkipped(skipped),
    '',
    `${'class'.padEnd(width)}  pictures    top-1    top-5`,
    ...perClass.map((row) =>
      [
        row.class.padEnd(width),
        count(row.count).padStart(8),
        percent(row.top1).padStart(7),
        percent(row.top5).padStart(7),
      ].join('  '),
    ),
  ];
}
