import type { Command } from 'commander';
import type { Prediction } from '../train/classifier.js';
import { examples, positiveInteger } from './options.js';
import { percent, writeJson, writeLine } from './output.js';

/** What `alexnet predict --json` writes for each picture, in a line. */
export interface FilePredictions {
  /** As it was given. */
  file: string;
  /** The likeliest first. */
  predictions: Prediction[];
}

interface PredictOptions {
  model: string;
  top: number;
  json?: boolean;
}

/** So many pictures are classified before their lines are written. */
const BATCH = 32;

export function addPredict(program: Command): void {
  program
    .command('predict')
    .summary('name what pictures show')
    .description('Classifies pictures: the likeliest classes of each, with their probabilities.')
    .argument('<images...>', 'files of pictures')
    .requiredOption('--model <path>', 'model file, or folder of checkpoints: its last one')
    .option('--top <k>', 'so many classes, or all of fewer', positiveInteger, 5)
    .option('--json', 'one JSON object a picture: {file, predictions: [{class, index, probability}]}')
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples(['alexnet predict --model runs/photos --top 2 cat.jpg dog.jpg', 'two classes each']),
    )
    .action(async (images: string[], options: PredictOptions) => {
      for await (const result of predict(images, options)) {
        if (options.json) writeJson(result);
        else for (const line of describe(result)) writeLine(line);
      }
    });
}

async function* predict(
  images: readonly string[],
  { model, top }: PredictOptions,
): AsyncGenerator<FilePredictions> {
  const { loadModel } = await import('../train/classifier.js');
  using classifier = await loadModel(model);
  const topK = Math.min(top, classifier.classes.length);
  for (let start = 0; start < images.length; start += BATCH) {
    const files = images.slice(start, start + BATCH);
    const predictions = await classifier.predict(files, { topK });
    for (const [i, file] of files.entries()) yield { file, predictions: predictions[i] ?? [] };
  }
}

function describe({ file, predictions }: FilePredictions): string[] {
  return [file, ...predictions.map((row) => `  ${percent(row.probability).padStart(7)}  ${row.class}`)];
}
