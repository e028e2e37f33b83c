import { basename, dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { classId } from '../data/imagenet.js';
import { reasonOf } from '../errors.js';
import type { PicturePredictions } from '../report/predictions.js';
import type { Classifier, Prediction } from '../train/classifier.js';
import { addDeviceOptions, type DeviceOptions } from './device.js';
import { expectWritable } from './folder.js';
import { MODEL, openModel } from './model.js';
import { examples, fileEndingIn, positiveInteger } from './options.js';
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
  picture?: string;
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
      '--picture <file>',
      '.png: the pictures with bars of these classes; a true class is one that the folder of a picture is named as',
      fileEndingIn('.png'),
    )
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
      examples(
        ['alexnet predict --model runs/photos --top 2 cat.jpg dog.jpg', 'two classes each'],
        [
          'alexnet predict --model runs/photos --picture figure.png photos/val/cats/*.jpg',
          "the paper's figure 4",
        ],
      ),
    )
    .action(async (images: string[], options: PredictOptions) => {
      await expectWritable({ '--picture': options.picture });
      using classifier = await openModel(options.model, options);
      const shown: PicturePredictions[] = [];
      for await (const result of predict(classifier, images, options)) {
        if ('predictions' in result && options.picture !== undefined)
          shown.push({ ...result, ...captionOf(result.file, classifier.classes) });
        if ('error' in result) {
          process.exitCode = 1;
          writeNote(`error: ${result.error}`);
        }
        if (options.json) writeJson(result);
        else if ('predictions' in result)
          for (const line of describe(result.file, result.predictions)) writeLine(line);
      }
      if (options.picture !== undefined && shown.length > 0) {
        await drawPredictions(shown, options.picture);
        if (!options.json) writeLine(`Saved ${options.picture}`);
      }
    });
}

async function drawPredictions(pictures: readonly PicturePredictions[], out: string): Promise<void> {
  const { predictionsPicture } = await import('../report/predictions.js');
  const { writeAtomically } = await import('../io/atomic.js');
  const drawn = await predictionsPicture(pictures);
  await writeAtomically(out, (file) => file.writeFile(drawn));
}

/** The class that a picture's folder is named as: ImageNet's by their ids. */
export function captionOf(
  file: string,
  classes: readonly string[],
): Pick<PicturePredictions, 'label' | 'name'> {
  const folder = classId(basename(dirname(resolve(file))));
  return { label: classes.find((name) => classId(name) === folder), name: basename(file) };
}

async function* predict(
  classifier: Classifier,
  images: readonly string[],
  { top, strict = false }: PredictOptions,
): AsyncGenerator<FilePredictions> {
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
