import { dirname, join } from 'node:path';
import { isCifar10 } from '../data/cifar10.js';
import type { ColourNoise } from '../data/colour.js';
import type { Dataset } from '../data/dataset.js';
import type { ImageFolderOptions } from '../data/folder.js';
import { Loader } from '../data/loader.js';
import { ArgumentError } from '../errors.js';
import { exists } from '../io/folder.js';
import { AlexNet } from '../models/alexnet.js';
import { PRESETS } from '../models/presets.js';
import type { EndEvent } from '../train/events.js';
import { optimizerOf, scheduleOf } from '../train/from_recipe.js';
import { ModelFile } from '../train/model_file.js';
import { decodingOf, type Preprocessing, torchPreprocessing } from '../train/preprocessing.js';
import type { Recipe } from '../train/recipes.js';
import { type Resumed, Trainer } from '../train/trainer.js';
import { parseTrainingState } from '../train/training_state.js';
import { type Data, drawnShapes, openFolders } from './data.js';
import { openDevices } from './device.js';
import { writableFolder } from './folder.js';
import { count, describeSkipped, teller, writeLine } from './output.js';
import { describeValidation, makeProgress } from './progress.js';
import { PHOTOS, SHAPES } from './recipes.js';
import { Recorder, type RecorderOptions } from './recorder.js';
import { parseSettings } from './saved_settings.js';
import { describeSchedule } from './schedule.js';
import {
  type DataFolders,
  devicesOf,
  foldersOf,
  newSettings,
  resolveRecipe,
  resumedSettings,
  type Settings,
} from './settings.js';
import { type StatisticsOptions, statisticsOfFolder } from './statistics.js';
import { stoppable } from './stop.js';
import { Tracer } from './tracer.js';
import type { TrainOptions } from './train.js';

interface Run {
  settings: Settings;
  data: Data;
  /** Folder of the checkpoints. */
  out: string;
  json: boolean;
  /** Undefined: measured on the training data. */
  preprocessing: Preprocessing | undefined;
  /** File for a trace of the first steps. */
  trace: string | undefined;
  /** To start from. */
  start?: ModelFile;
  /** To go on from, and what is no longer as it was. */
  checkpoint?: ModelFile;
  changes?: readonly string[];
}

/** `alexnet train`. */
export async function runTraining(given: TrainOptions): Promise<void> {
  await (given.resume === undefined ? start(given) : resume(given, given.resume));
}

async function start(given: TrainOptions): Promise<void> {
  const { json = false, strict = false } = given;
  const folders = foldersOf(await withOwnValidation(given));
  openDevices(devicesOf(given) ?? 'cpu', given);
  await using from = given.from === undefined ? undefined : await ModelFile.open(given.from);
  const model = from?.info.model;
  if (folders === null && given.colourNoise !== undefined && given.colourNoise !== 'none')
    throw new ArgumentError('--colour-noise needs --data: the colours of the drawn shapes are drawn anyway');
  if (folders === null && given.mean === 'image')
    throw new ArgumentError('--mean image needs --data: the mean of the drawn shapes is of one colour');
  // How pictures are decoded does not depend on how many there are.
  const { recipe: anyData } = resolveRecipe(
    given,
    folders === null ? null : { classes: 1, pictures: 1 },
    model,
  );
  const fixed =
    from?.info.preprocessing ??
    (anyData.mean === 'imagenet' ? torchPreprocessing(anyData.preset) : undefined);
  const data =
    folders === null
      ? drawnShapes(SHAPES)
      : await openFolders(folders, strict, { ...decoding(fixed), only: given.classes });
  if (given.classes !== undefined && folders === null)
    throw new ArgumentError('--classes needs --data: the drawn shapes are ten');
  const { length } = data.train;
  const classes = data.train.classes.length;
  const { recipe } = resolveRecipe(given, folders === null ? null : { classes, pictures: length }, model);
  const { preprocessing, colourNoise } = await inputOf(recipe, fixed, folders, data, {
    strict,
    someClasses: given.classes !== undefined,
    stats: given.stats,
  });
  const pictures = { trainPictures: length, valPictures: data.validation.length, classes };
  const settings = newSettings(given, folders, pictures, model, colourNoise);
  const out = await writableFolder(given.out ?? (folders === null ? SHAPES : PHOTOS).out);
  await run({
    settings,
    data,
    preprocessing,
    out,
    json,
    trace: given.trace,
    ...(from === undefined ? {} : { start: from }),
  });
}

/** @param fixed what does not depend on the data */
async function inputOf(
  { preset, colourNoise: kind, mean, inputScale }: Recipe,
  fixed: Preprocessing | undefined,
  folders: DataFolders | null,
  { train }: Data,
  options: StatisticsOptions,
): Promise<{ preprocessing: Preprocessing | undefined; colourNoise: ColourNoise | null }> {
  const needed = kind !== null || (fixed === undefined && mean === 'image');
  if (options.stats !== undefined && (folders === null || !needed))
    throw new ArgumentError('--stats needs --data and --mean image or --colour-noise, which take statistics');
  const statistics =
    folders === null || !needed ? undefined : await statisticsOfFolder(folders.data, train, options);
  const colourNoise = kind === null || statistics === undefined ? null : { kind, axes: statistics.axes };
  const scale = inputScale === null ? undefined : ([inputScale, inputScale, inputScale] as const);
  if (fixed !== undefined)
    return { preprocessing: scale === undefined ? fixed : { ...fixed, scale }, colourNoise };
  const crop = PRESETS[preset].cropSize;
  const known = scale ?? SHAPES.scale;
  if (folders === null) {
    const { resize, meanColour } = SHAPES;
    return { preprocessing: { resize, crop, mean: meanColour, scale: known }, colourNoise };
  }
  if (mean === 'colour' || statistics === undefined) return { preprocessing: undefined, colourNoise };
  const { height: resize, meanImage } = statistics;
  return { preprocessing: { resize, crop, mean: meanImage, scale: known }, colourNoise };
}

async function resume(given: TrainOptions, folder: string): Promise<void> {
  const { json = false } = given;
  await using checkpoint = await ModelFile.open(folder);
  const { path, info } = checkpoint;
  const { preprocessing } = info;
  // A model without it is refused before its data are looked for.
  parseTrainingState(info.training, path);
  const { settings, changes } = resumedSettings(given, parseSettings(info.notes, path));
  openDevices(settings.device, settings.convolutions);
  const { data: train, val } = settings;
  const data =
    train === null || val === null
      ? drawnShapes(settings)
      : await openFolders({ data: train, val }, settings.strict, {
          ...decoding(preprocessing),
          only: settings.classes ?? undefined,
        });
  const out = await writableFolder(given.out ?? dirname(path));
  await run({ settings, data, preprocessing, out, json, trace: given.trace, checkpoint, changes });
}

async function run({ settings, data, out, json, ...given }: Run): Promise<void> {
  const { preprocessing, trace, start, checkpoint, changes = [] } = given;
  const { preset, init, dropout, seed, batch, epochs, threads } = settings;
  const devices = openDevices(settings.device, {
    ...(threads === null ? {} : { threads }),
    ...settings.convolutions,
  });
  using model = new AlexNet({ classes: data.train.classes.length, preset, init, seed, dropout, devices });
  if (start !== undefined) await start.loadWeights(model, { lastLayer: hasClasses(start, data.train) });
  for (const [name, parameter] of model.namedParameters())
    parameter.requiresGrad = !settings.freeze.some((layer) => name.startsWith(`${layer}.`));
  using optimizer = optimizerOf(settings, model);
  const loader = new Loader(data.train, { batchSize: batch, crop: model.cropSize, training: true });
  const progress = makeProgress(json, epochs);
  let savedBest = false;
  let recorder: Recorder | undefined;
  const tracer = trace === undefined ? undefined : new Tracer(model.devices, trace);
  using trainer = new Trainer({
    model,
    optimizer,
    schedule: scheduleOf(settings, loader.batches),
    train: data.train,
    validation: data.validation,
    ...(preprocessing === undefined ? {} : { preprocessing }),
    ...(settings.inputScale === null ? {} : { inputScale: settings.inputScale }),
    augmentation: { crops: settings.crops, flips: settings.flips },
    batchSize: batch,
    seed,
    colourNoise: settings.colourNoise ?? undefined,
    out,
    notes: { ...settings },
    strict: settings.strict,
    onEvent: (event) => {
      savedBest ||= event.event === 'epoch' && event.best;
      progress.onEvent(event);
      recorder?.onEvent(event);
      tracer?.onEvent(event);
    },
    onJudgement: (judgement) => recorder?.onJudgement(judgement),
  });
  try {
    let from: RecorderOptions['from'];
    if (checkpoint !== undefined) {
      const resumed = await trainer.resume(checkpoint);
      const step = resumed.epoch * trainer.stepsPerEpoch + resumed.stepOfEpoch;
      from = { checkpoint: checkpoint.path, step };
      for (const line of describeResumed(checkpoint.path, resumed, epochs, changes)) teller(json)(line);
    }
    const say = json || trainer.epoch >= epochs ? () => {} : writeLine;
    for (const line of describe(settings, data, model, loader.batches)) say(line);
    if (start !== undefined) for (const line of describeStart(start, data.train, settings)) say(line);
    if (trainer.epoch < epochs)
      recorder = await Recorder.open({ out, model, classes: data.train.classes, settings, from });
    if (checkpoint === undefined && (await exists(join(out, 'last.safetensors'))))
      teller(json)(`The checkpoints in ${out} will be replaced`);
    const { result: end, status } = await stoppable((signal) => trainer.fit(epochs, { signal }));
    progress.close();
    for (const line of describeEnd(end, savedBest)) say(line);
    if (tracer !== undefined) say(`Saved ${await tracer.save()}: a trace for ui.perfetto.dev`);
    const report = await recorder?.close();
    if (typeof report === 'string') say(`Saved ${report}: curves, filters, and what was taken for what`);
    if (!end.complete && status !== undefined) process.exitCode = status;
  } finally {
    progress.close();
    await recorder?.close();
  }
}

/** CIFAR-10's folder has both parts. */
async function withOwnValidation(given: TrainOptions): Promise<TrainOptions> {
  const { data, val } = given;
  return data !== undefined && val === undefined && (await isCifar10(data)) ? { ...given, val: data } : given;
}

function decoding(preprocessing: Preprocessing | undefined): ImageFolderOptions {
  return preprocessing === undefined ? {} : decodingOf(preprocessing);
}

/** Whether they are the model's classes, in its order. */
function hasClasses({ info }: ModelFile, { classes }: Dataset): boolean {
  return classes.length === info.classes.length && classes.every((name, i) => name === info.classes[i]);
}

function describe(settings: Settings, { train, validation }: Data, model: AlexNet, steps: number): string[] {
  const { data, preset, init, dropout, optimizer, lr, epochs, recipe } = settings;
  const batch = Math.min(settings.batch, train.length);
  const leftOver = train.length - steps * batch;
  const lines = [
    `AlexNet, preset ${preset}, ${train.classes.length} classes: ${count(model.parameterCount)} parameters`,
    `  initialisation ${init}, ${dropout > 0 ? `dropout ${dropout}` : 'no dropout'}, ${describeDevices(model)}`,
    `${count(train.length)} ${data === null ? 'drawn ' : ''}pictures to learn, ${count(validation.length)} to validate`,
    `  epochs ${epochs}, steps an epoch ${count(steps)}, batch ${batch}, ${optimizer}, rate ${lr}`,
    `  ${describeRule(settings)}`,
    `  ${describeInput(settings)}`,
  ];
  const crossings = model.crossings(batch);
  if (crossings.length > 0) {
    lines.push(
      `  ${count(crossings.reduce((sum, { bytes }) => sum + bytes, 0))} bytes cross between the devices in a step:`,
    );
    for (const { tensor, layer, from, to, bytes } of crossings)
      lines.push(`    ${tensor}, of ${layer}, from ${from} to ${to}: ${count(bytes)}`);
  }
  if (recipe !== null) lines.splice(1, 0, `  recipe ${recipe}`);
  for (const deviation of settings.deviations) lines.push(`  other than its source: ${deviation}`);
  if (batch < settings.batch)
    lines.push(`  a batch of ${settings.batch} would be more than there are: all are one`);
  if (leftOver > 0) lines.push(`  ${leftOver} pictures are left over in each epoch, others each time`);
  return lines;
}

function describeDevices({ devices }: AlexNet): string {
  return devices.length > 1 ? `a column on each of ${devices.join(' and ')}` : `device ${devices[0]}`;
}

function describeRule(settings: Settings): string {
  const { optimizer, momentum, weightDecay, biasRate, biasDecay, schedule } = settings;
  return [
    `rate ${describeSchedule(schedule)}`,
    ...(optimizer === 'sgd' ? [`momentum ${momentum}`] : []),
    ...(weightDecay > 0 ? [`weight decay ${weightDecay}${biasDecay ? '' : ', of biases none'}`] : []),
    ...(biasRate === 1 ? [] : [`biases at ${biasRate} times the rate`]),
  ].join(', ');
}

function describeInput({ mean, inputScale, crops, flips, colourNoise }: Settings): string {
  return [
    mean === null ? 'pictures as the model takes them' : `less the mean ${mean}`,
    ...(inputScale === null ? [] : [`times ${Number(inputScale.toPrecision(4))}`]),
    `${crops} crops`,
    flips ? 'half of them mirrored' : 'not mirrored',
    ...(colourNoise === null ? [] : [`colours added as ${colourNoise.kind} has it`]),
  ].join(', ');
}

function describeStart(start: ModelFile, data: Dataset, { freeze }: Settings): string[] {
  const last = hasClasses(start, data) ? 'the last layer too' : 'the last layer anew, for other classes';
  return [
    `  starting from ${start.path}, ${last}`,
    ...(freeze.length > 0 ? [`  frozen: ${freeze.join(', ')}`] : []),
  ];
}

function describeResumed(
  path: string,
  { epoch, stepOfEpoch, inexact }: Resumed,
  epochs: number,
  changes: readonly string[],
): string[] {
  const steps = stepOfEpoch === 0 ? '' : ` and ${stepOfEpoch} steps of the next`;
  const lines = [`Going on from ${path}, after epoch ${epoch} of ${epochs}${steps}`];
  lines.push(...[...changes, ...inexact].map((change) => `  ${change}`));
  if (inexact.length > 0)
    lines.push('  so the run is no longer what it would have been without the stop, bit for bit');
  if (epoch >= epochs) lines.push('Nothing is left to do. --epochs may be raised');
  return lines;
}

function describeEnd(
  { complete: isComplete, epoch, step, val, checkpoint, skipped }: EndEvent,
  savedBest: boolean,
): string[] {
  const lines: string[] = [];
  if (!isComplete) {
    const saved = checkpoint === null ? 'Nothing was saved' : `Saved ${checkpoint}: --resume goes on`;
    const complete = epoch === 0 ? 'before the first epoch was complete' : `epoch ${epoch} being complete`;
    lines.push(`Stopped after step ${step}, ${complete}. ${saved}`);
  } else {
    if (val !== null) lines.push(`At the end: ${describeValidation(val)}`);
    const best = savedBest ? ', and best.safetensors, that of the lowest validation loss' : '';
    if (checkpoint !== null) lines.push(`Saved ${checkpoint}${best}`);
  }
  return [...lines, ...describeSkipped(skipped)];
}
