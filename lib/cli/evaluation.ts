import { ArgumentError, expected } from '../errors.js';
import { writeAtomically } from '../io/atomic.js';
import { writeCsv } from '../io/csv.js';
import { Confusion, confusionPicture } from '../report/confusion.js';
import { type Classifier, evaluateTogether } from '../train/classifier.js';
import type { Evaluation, Judgement } from '../train/evaluate.js';
import { decodingOf } from '../train/preprocessing.js';
import { bestOf } from '../train/scores.js';
import { openData } from './data.js';
import { ErrorRates } from './error_rates.js';
import type { EvalOptions } from './eval.js';
import { expectWritable } from './folder.js';
import { openModel } from './model.js';
import { count, describeSkipped, percent, writeJson, writeLine, writeNote } from './output.js';

type Ensemble = [Classifier, ...Classifier[]];

/** `alexnet eval`. What `--json` writes are the same bytes for the same models, pictures and threads. */
export async function runEvaluation(options: EvalOptions): Promise<void> {
  const [path, ...others] = options.model;
  await expectWritable({ '--confusion': options.confusion, '--errors': options.errors });
  const ensemble: Ensemble = [await openModel(path, options)];
  try {
    const [{ classes }] = ensemble;
    for (const other of others) {
      const classifier = await openModel(other, options);
      ensemble.push(classifier);
      if (JSON.stringify(classifier.classes) === JSON.stringify(classes)) continue;
      const what = `classes [${classes.join(', ')}], as ${path} has,`;
      throw new ArgumentError(expected(what, other, classifier.classes));
    }
    await evaluateFolder(ensemble, options);
  } finally {
    for (const classifier of ensemble) classifier.dispose();
  }
}

async function evaluateFolder(
  ensemble: Ensemble,
  { model, data, strict = false, tenCrop = false, confusion, errors, table, json = false }: EvalOptions,
): Promise<void> {
  const [{ classes, preprocessing }] = ensemble;
  const folder = await openData(data, strict, { classes, ...decodingOf(preprocessing) }, 'validation');
  const guessed = new Confusion(classes);
  const rates = new ErrorRates(model);
  const wrong: string[][] = [];
  const onPicture = (judgement: Judgement): void => {
    const { index, label, probabilities } = judgement;
    rates.add(judgement);
    const [best = 0] = bestOf(1, probabilities);
    guessed.add(label, best);
    if (best === label) return;
    const names = [folder.files?.[index], classes[label], classes[best]].map((name) => name ?? '');
    wrong.push([...names, (probabilities[best] ?? 0).toFixed(4)]);
  };
  const evaluation = await evaluateTogether(ensemble, folder, {
    strict,
    tenCrop,
    ...(confusion !== undefined || errors !== undefined || table ? { onPicture } : {}),
    onSkip: ({ reason }) => writeNote(`Left out: ${reason}`),
  });
  // Before the tables: what was found is not lost where one cannot be written.
  if (json) writeJson({ ...evaluation, ...(table ? { table: rates.rows() } : {}) });
  else for (const line of describe(evaluation)) writeLine(line);
  if (table && !json) for (const line of ['', ...(await rates.describe(data))]) writeLine(line);
  if (confusion?.toLowerCase().endsWith('.png')) {
    const picture = await confusionPicture(guessed);
    await writeAtomically(confusion, (file) => file.writeFile(picture));
  } else if (confusion !== undefined) {
    const rows = classes.map((name, label) => [name, ...guessed.row(label)]);
    await writeCsv(confusion, [['class', ...classes], ...rows]);
  }
  if (confusion !== undefined && !json) writeLine(`Saved ${confusion}`);
  if (errors === undefined) return;
  await writeCsv(errors, [['file', 'class', 'guess', 'probability'], ...wrong]);
  if (!json) writeLine(`Saved ${errors}, of ${count(wrong.length)} pictures`);
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
