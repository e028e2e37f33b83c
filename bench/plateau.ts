// plateau DIR [--classes A,B] [--batch N] [--steps N] [--seed N] [NAME…]: which part of the paper's recipe keeps a network of
// few classes at the loss of guessing. DIR has a folder of pictures for each class; a line of Markdown for each NAME.
import { parseArgs } from 'node:util';
import { backward } from '../lib/autograd.js';
import { ImageFolder } from '../lib/data/folder.js';
import { Loader } from '../lib/data/loader.js';
import { meanColour } from '../lib/data/mean.js';
import { AlexNet } from '../lib/models/alexnet.js';
import { softmaxCrossEntropy } from '../lib/ops/index.js';
import { tidy } from '../lib/scope.js';
import { tensor } from '../lib/tensor.js';
import { optimizerOf } from '../lib/train/from_recipe.js';
import { InputPipeline } from '../lib/train/preprocessing.js';
import { RECIPES, type Recipe } from '../lib/train/recipes.js';

/** With the biases of these layers begun at 0. */
type Variant = Partial<Recipe> & { zeroBiases?: RegExp };

/** What each changes of the recipe `paper`. */
const VARIANTS: Readonly<Record<string, Variant>> = {
  'as printed': {},
  'without dropout': { dropout: 0 },
  'rate 0.001': { lr: 0.001 },
  'biases of fc6 and fc7 0': { zeroBiases: /^fc[67]\./ },
  'all biases 0': { zeroBiases: /./ },
  'batch 32': { batch: 32 },
  'batch 128': { batch: 128 },
  'unit variance': { inputScale: 1 / 60 },
  'std 0.03, biases twice as fast': {
    preset: 'krizhevsky2012',
    init: 'krizhevsky2012',
    biasRate: 2,
    biasDecay: false,
  },
  He: { init: 'he' },
  'He, unit variance': { init: 'he', inputScale: 1 / 60 },
};
/** Steps whose mean loss is printed, the first being 1. */
const SPANS = [
  [1, 15],
  [46, 60],
  [76, 90],
  [136, 150],
] as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    classes: { type: 'string' },
    batch: { type: 'string', default: '64' },
    steps: { type: 'string', default: '90' },
    seed: { type: 'string', default: '0' },
  },
});
const [data, ...named] = positionals;
const [usualBatch, steps, seed] = [Number(values.batch), Number(values.steps), Number(values.seed)];
if (data === undefined) throw new Error('Expected a folder of pictures but received none');
const names = named.length > 0 ? named : Object.keys(VARIANTS);

const only = values.classes?.split(',');
const train = await ImageFolder.open(data, only === undefined ? {} : { only });
const { mean, side } = await meanColour(train);
const spans = SPANS.filter(([, last]) => last <= steps);
process.stdout.write(`| ${['', ...spans.map(([first, last]) => `${first}–${last}`)].join(' | ')} |\n`);
process.stdout.write(`|---|${'---|'.repeat(spans.length)}\n`);
for (const name of names) {
  const variant = VARIANTS[name];
  if (variant === undefined)
    throw new Error(`Expected one of ${Object.keys(VARIANTS).join('; ')} but received ${name}`);
  const losses = await lossesOf(variant);
  const means = spans.map(([first, last]) => meanOf(losses.slice(first - 1, last)));
  process.stdout.write(`| ${[name, ...means].join(' | ')} |\n`);
}

function meanOf(losses: readonly number[]): string {
  return (losses.reduce((sum, loss) => sum + loss, 0) / losses.length).toFixed(3);
}

/** Of each step, until one is not finite. */
async function lossesOf({ zeroBiases, ...changes }: Variant): Promise<number[]> {
  const recipe: Recipe = { ...RECIPES.paper, batch: usualBatch, ...changes };
  const { preset, init, dropout, batch: batchSize } = recipe;
  using model = new AlexNet({ classes: train.classes.length, preset, init, dropout, seed });
  for (const [name, bias] of model.namedParameters())
    if (name.endsWith('.bias') && zeroBiases?.test(name)) bias.write(new Float32Array(bias.size));
  using optimizer = optimizerOf(recipe, model);
  const scale = recipe.inputScale ?? 1;
  const crop = model.cropSize;
  const input = new InputPipeline({ resize: side, crop, mean, scale: [scale, scale, scale] }, model);
  const loader = new Loader(train, { batchSize, crop, training: true, seed });
  const losses: number[] = [];
  model.train();
  try {
    for (let epoch = 0; ; epoch++) {
      for await (const batch of loader.epoch(epoch)) {
        const loss = await tidy(() => {
          const labels = tensor(batch.labels, [batch.labels.length]);
          const logits = model.forward(input.prepare(input.upload(batch), batch.crops, batch.shifts));
          const loss = softmaxCrossEntropy(logits, labels);
          backward(loss);
          const updated = optimizer.step();
          optimizer.zeroGrad();
          return Promise.all([loss.item(), updated]);
        }).then(
          ([value]) => value,
          () => Number.NaN,
        );
        losses.push(loss);
        if (!Number.isFinite(loss) || losses.length === steps) return losses;
      }
    }
  } finally {
    input.dispose();
  }
}
