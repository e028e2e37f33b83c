import { type Command, Option } from 'commander';
import { COLOUR_NOISES, type ColourNoise } from '../data/colour.js';
import { STATISTICS } from '../data/listing.js';
import { INITS, type Init, type PresetName } from '../models/presets.js';
import {
  type Augmentation,
  CROPS,
  MEANS,
  type MeanKind,
  OPTIMIZERS,
  type OptimizerName,
  RECIPE_NAMES,
  RECIPES,
  type RecipeName,
  type ScheduleSettings,
} from '../train/recipes.js';
import { addDeviceOptions, type DeviceOptions } from './device.js';
import { batch, epochs, examples, fraction, integerFrom0, layers, names, positiveNumber } from './options.js';
import { PHOTOS, PRESET_NAMES, SHAPES } from './recipes.js';
import { schedule } from './schedule.js';

/** The options that were given. */
export interface TrainOptions extends DeviceOptions, Partial<Augmentation> {
  data?: string;
  val?: string;
  classes?: string[];
  recipe?: RecipeName;
  preset?: PresetName;
  init?: Init;
  dropout?: number;
  epochs?: number;
  batch?: number;
  lr?: number;
  optimizer?: OptimizerName;
  momentum?: number;
  weightDecay?: number;
  biasRate?: number;
  biasDecay?: boolean;
  schedule?: ScheduleSettings;
  /** Of the schedule. */
  patience?: number;
  mean?: MeanKind;
  inputScale?: number;
  seed?: number;
  colourNoise?: ColourNoise['kind'] | 'none';
  /** File. */
  stats?: string;
  out?: string;
  from?: string;
  freeze?: string[];
  resume?: string;
  strict?: boolean;
  json?: boolean;
  /** Names with commas between. */
  devices?: string;
  /** File. */
  trace?: string;
}

export function addTrain(program: Command): void {
  const command = program
    .command('train')
    .summary('train AlexNet on folders of pictures, or on drawn shapes')
    .description(
      'Trains AlexNet. With --data and --val on folders of pictures, DIR/class/**; without, on ten classes of ' +
        'shapes that are drawn as they are needed. Each epoch ends with validation and a checkpoint.',
    )
    .option('--data <dir>', 'training pictures, a folder for each class (default: drawn shapes)')
    .option(
      '--val <dir>',
      "validation pictures, of the same classes; required with --data, but for CIFAR-10's folder",
    )
    .option('--classes <names>', 'of the class folders of --data and --val only these: ants,bees', names)
    .addOption(
      new Option(
        '--recipe <name>',
        "all of the following as the paper, its code or PyTorch's reading of it has it; what is given beside it is taken " +
          'in its place (default: a quick recipe)',
      ).choices(RECIPE_NAMES),
    )
    .addOption(
      choice(
        '--preset <name>',
        "layers: the paper's, or PyTorch's reading of them",
        PRESET_NAMES,
        SHAPES.preset,
      ),
    )
    .addOption(choice('--init <name>', 'initial weights', INITS, SHAPES.init))
    .option(
      '--dropout <p>',
      'probability of dropout after both hidden fully connected layers (default: 0)',
      fraction,
    )
    .option(
      '--from <path>',
      'start from a trained model, file or folder: its preset, preprocessing and weights; the last layer anew ' +
        'where the classes are others',
    )
    .option('--freeze <layers>', 'of --from, kept as they are: conv1,conv2 or conv1..conv5', layers)
    .option(
      '--epochs <n>',
      `times through the training pictures (default: ${SHAPES.epochs} of shapes, ${PHOTOS.epochs} of --data)`,
      epochs,
    )
    .option(
      '--batch <n>',
      `pictures a step (default: ${SHAPES.batch} of shapes, ${PHOTOS.batch} of --data, ` +
        `down to ${PHOTOS.leastBatch} where an epoch would have fewer than ${PHOTOS.stepsPerEpoch} steps)`,
      batch,
    )
    .option(
      '--lr <rate>',
      `learning rate at its height (default: ${SHAPES.lr.adam} of shapes, ${PHOTOS.lr.adam} of --data; ` +
        `with sgd ${SHAPES.lr.sgd}, ${PHOTOS.lr.sgd})`,
      positiveNumber,
    )
    .addOption(choice('--optimizer <name>', 'the rule of the update', OPTIMIZERS, SHAPES.optimizer))
    .option('--momentum <n>', 'of sgd (default: 0.9)', fraction)
    .option('--weight-decay <n>', 'default: 0.0005 with sgd, 0 with adam', fraction)
    .option('--bias-rate <n>', 'rate of biases, so many times that of weights (default: 1)', positiveNumber)
    .option('--bias-decay', 'biases decay as weights do (default)')
    .option('--no-bias-decay', 'biases do not decay')
    .option(
      '--schedule <name>',
      'of the rate: constant; linear (up, then down); plateau (÷10 where the validation error stops improving); every:N ' +
        '(÷10 every N epochs); or N,N,N (÷10 at these epochs, ascending) (default: linear)',
      schedule,
    )
    .option(
      '--patience <n>',
      `of the schedule plateau: epochs without improvement that it waits for (default: ${RECIPES.paper.schedule.patience})`,
      integerFrom0,
    )
    .addOption(
      choice('--mean <kind>', "what is subtracted: the training set's, or ImageNet's", MEANS, SHAPES.mean),
    )
    .option(
      '--input-scale <n>',
      'what pixels of 0…255 less the mean are multiplied with (default: 1/60)',
      positiveNumber,
    )
    .addOption(choice('--crops <where>', 'of training pictures', CROPS, SHAPES.crops))
    .option('--flips', 'mirror half of the training pictures (default)')
    .option('--no-flips', 'mirror none')
    .option('--seed <n>', 'of weights, order, crops, dropout (default: 0)', integerFrom0);
  addDeviceOptions(command)
    .addOption(
      new Option(
        '--colour-noise <kind>',
        "with --data: add colours as the paper's section 4.1 says, or as its code did (default: none)",
      ).choices([...COLOUR_NOISES, 'none']),
    )
    .option(
      '--stats <file>',
      `for --mean image and --colour-noise: what "alexnet stats" stored elsewhere (default: ${STATISTICS} in --data)`,
    )
    .option('--devices <a,b>', "the network's two columns on a device each: cpu:0,cpu:1 or cuda:0,cuda:1")
    .option('--trace <file>', 'what each device did in the first steps, for ui.perfetto.dev')
    .option('--out <dir>', `folder of the checkpoints (default: ${SHAPES.out}, or ${PHOTOS.out} with --data)`)
    .option('--resume <dir>', 'go on from its last checkpoint, with its options; --epochs may be raised')
    .option(
      '--strict',
      'a file that is no picture, or cannot be read, ends the run (default: it is left out; --resume as before)',
    )
    .option('--no-strict', 'it is left out, also where --resume goes on from a --strict run')
    .option('--json', 'one JSON object a line on stdout: step, skip, epoch, end')
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples(
        ['alexnet train', 'ten classes of drawn shapes, in a few minutes'],
        ['alexnet train --data photos/train --val photos/val --out runs/photos', 'your own pictures'],
        [
          'alexnet train --recipe paper --data imagenet/train --val imagenet/val',
          'as the paper did, for its weeks',
        ],
        [
          'alexnet train --from runs/imagenet --freeze conv1..conv5 --data photos/train --val photos/val --out runs/photos',
          'fine-tune a trained model',
        ],
        ['alexnet train --resume runs/photos --epochs 20', 'go on, for longer'],
        ['alexnet train --devices cuda:0,cuda:1', 'the two columns on two GPUs, as in the paper'],
        ['alexnet train --json > log.jsonl', 'the figures of every step'],
      ),
    )
    .action(async (options: TrainOptions) => {
      const { runTraining } = await import('./training.js');
      await runTraining(options);
    });
}

/** An option of a few names. commander is not told the default: `--resume` has to know what was given. */
function choice(flags: string, description: string, names: readonly string[], byDefault: string): Option {
  return new Option(flags, `${description} (default: ${byDefault})`).choices(names);
}
