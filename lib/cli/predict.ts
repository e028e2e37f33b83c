import type { Command } from 'commander';
import { reasonOf } from '../errors.js';
import type { Prediction } from '../train/classifier.js';
import { addDeviceOptions, type DeviceOptions } from './device.js';
import { MODEL, openModel } from './model.js';
import { examples, positiveInteger } from './options.js';
import { percent, writeJson, writeLine, writeNote } from './output.js';

/** What `alexnet predict --json` writes for each picture, in a line. */
export type FilePredictions =
  | {
      /** As it was given. */
      file: string;
      /** The likeliest first. */
      predictions: Prediction[];
    }
  | {
      file: string;
      /** Why it cannot be decoded. */
      error: string;
    };

interface PredictOptions extends DeviceOptions {
  model: string;
  top: number;
  strict?: boolean;
  json?: boolean;
}

/** So many pictures are classified before their lines are written. */
const BATCH = 32;

export function addPredict(program: Command): void {
  const command = program
    .command('predict')
    .summary('name what pictures show')
    .description('Classifies pictures: the likeliest classes of each, with their probabilities.')
    .argument('<images...>', 'files of pictures');
  addDeviceOptions(command.requiredOption(...MODEL))
    .option('--top <k>', 'so many classes, or all of fewer', positiveInteger, 5)
    .option(
      '--strict',
      'end at the first file that cannot be decoded (default: after the others, with status 1)',
    )
    .option(
      '--json',
      'one JSON object a picture: {file, predictions: [{class, index, probability}]} or {file, error}',
    )
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples(['alexnet predict --model runs/photos --top 2 cat.jpg dog.jpg', 'two classes each']),
    )
    .action(async (images: string[], options: PredictOptions) => {
      for await (const result of predict(images, options)) {
        if ('error' in result) {
          process.exitCode = 1;
          writeNote(`error: ${result.error}`);
        }
        if (options.json) writeJson(result);
        else if ('predictions' in result)
          for (const line of describe(result.file, result.predictions)) writeLine(line);
      }
    });
}

async function* predict(
  images: readonly string[],
  { top, strict = false, ...options }: PredictOptions,
): AsyncGenerator<FilePredictions> {
  using classifier = await openModel(options.model, options);
  const topK = Math.min(top, classifier.classes.length);
  for (let start = 0; start < images.length; start += BATCH) {
    const files = images.slice(start, start + BATCH);
    const results = await classifier.predictSettled(files, { topK });
    for (const [i, result] of results.entries()) {
      const [file = ''] = [files[i]];
      if (result.status === 'fulfilled') yield { file, predictions: result.value };
      else if (strict) throw result.reason;
      else yield { file, error: reasonOf(result.reason) };
    }
  }
}

function describe(file: string, predictions: readonly Prediction[]): string[] {
  return [file, ...predictions.map((row) => `  ${percent(row.probability).padStart(7)}  ${row.class}`)];
}
