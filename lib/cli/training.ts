import { dirname, join } from 'node:path';
import { isCifar10 } from '../data/cifar10.js';
import type { Dataset } from '../data/dataset.js';
import type { ImageFolderOptions } from '../data/folder.js';
import { Loader } from '../data/loader.js';
import { ArgumentError } from '../errors.js';
import { exists } from '../io/folder.js';
import { AlexNet } from '../models/alexnet.js';
import { PRESETS } from '../models/presets.js';
import { Adam, type Optimizer, type Schedule, SGD, WarmupLinearDecay } from '../optim/index.js';
import type { EndEvent } from '../train/events.js';
import { ModelFile } from '../train/model_file.js';
import { decodingOf, type Preprocessing, preprocessingOf } from '../train/preprocessing.js';
import { type Resumed, Trainer } from '../train/trainer.js';
import { parseTrainingState } from '../train/training_state.js';
import { type Data, drawnShapes, openFolders } from './data.js';
import { openDevice } from './device.js';
import { writableFolder } from './folder.js';
import { count, describeSkipped, teller, writeLine } from './output.js';
import { BarProgress, describeValidation, JsonProgress, LineProgress, type Progress } from './progress.js';
import { PHOTOS, SHAPES } from './recipes.js';
import { Recorder, type RecorderOptions } from './recorder.js';
import { foldersOf, newSettings, parseSettings, resumedSettings, type Settings } from './settings.js';
import { colourNoiseOf } from './statistics.js';
import { stoppable } from './stop.js';
import type { TrainOptions } from './train.js';

interface Run {
  settings: Settings;
  data: Data;
  /** Folder of the checkpoints. */
  out: string;
  json: boolean;
  strict: boolean;
  /** Undefined: measured on the training data. */
  preprocessing: Preprocessing | undefined;
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
  const tell = teller(json);
  const folders = foldersOf(await withOwnValidation(given));
  openDevice(given);
  await using from = given.from === undefined ? undefined : await ModelFile.open(given.from);
  const preset = from?.info.model.preset ?? given.preset ?? PHOTOS.preset;
  const preprocessing = from?.info.preprocessing ?? preprocessingOf(preset);
  const data =
    folders === null
      ? drawnShapes(SHAPES)
      : await openFolders(folders, strict, { ...decoding(preprocessing), only: given.classes });
  if (given.classes !== undefined && folders === null)
    throw new ArgumentError('--classes needs --data: the drawn shapes are ten');
  const kind = given.colourNoise;
  if (kind !== undefined && folders === null)
    throw new ArgumentError('--colour-noise needs --data: the colours of the drawn shapes are drawn anyway');
  const colourNoise =
    kind === undefined || folders === null
      ? null
      : await colourNoiseOf(kind, folders.data, data.train, strict, given.classes !== undefined);
  const pictures = { trainPictures: data.train.length, valPictures: data.validation.length };
  const settings = newSettings(given, folders, pictures, from?.info.model, colourNoise);
  const out = await writableFolder(given.out ?? (folders === null ? SHAPES : PHOTOS).out);
  if (await exists(join(out, 'last.safetensors'))) tell(`The checkpoints in ${out} will be replaced`);
  const ofShapes =
    folders === null ? { ...SHAPES.preprocessing, crop: PRESETS[preset].inputSize } : undefined;
  await run({
    settings,
    data,
    preprocessing: from === undefined ? ofShapes : preprocessing,
    out,
    json,
    strict,
    ...(from === undefined ? {} : { start: from }),
  });
}

async function resume(given: TrainOptions, folder: string): Promise<void> {
  const { json = false, strict = false } = given;
  await using checkpoint = await ModelFile.open(folder);
  const { path, info } = checkpoint;
  const { preprocessing } = info;
  const { notes } = parseTrainingState(info.training, path);
  const { settings, changes } = resumedSettings(given, parseSettings(notes, path));
  openDevice({ device: settings.device, ...settings.convolutions });
  const { data: train, val } = settings;
  const data =
    train === null || val === null
      ? drawnShapes(settings)
      : await openFolders({ data: train, val }, strict, {
          ...decoding(preprocessing),
          only: settings.classes ?? undefined,
        });
  const out = await writableFolder(given.out ?? dirname(path));
  await run({ settings, data, preprocessing, out, json, strict, checkpoint, changes });
}

async function run({ settings, data, out, json, strict, ...given }: Run): Promise<void> {
  const { preprocessing, start, checkpoint, changes = [] } = given;
  const { preset, init, dropout, seed, batch, epochs, threads } = settings;
  const device = openDevice({
    device: settings.device,
    ...(threads === null ? {} : { threads }),
    ...settings.convolutions,
  });
  using model = new AlexNet({ classes: data.train.classes.length, preset, init, seed, dropout, device });
  if (start !== undefined) await start.loadWeights(model, { lastLayer: hasClasses(start, data.train) });
  for (const [name, parameter] of model.namedParameters())
    parameter.requiresGrad = !settings.freeze.some((layer) => name.startsWith(`${layer}.`));
  using optimizer = makeOptimizer(settings, model);
  const loader = new Loader(data.train, { batchSize: batch, crop: model.inputSize, training: true });
  const progress = makeProgress(json, epochs);
  let savedBest = false;
  let recorder: Recorder | undefined;
  using trainer = new Trainer({
    model,
    optimizer,
    schedule: makeSchedule(settings, loader.batches),
    train: data.train,
    validation: data.validation,
    ...(preprocessing === undefined ? {} : { preprocessing }),
    batchSize: batch,
    seed,
    colourNoise: settings.colourNoise ?? undefined,
    out,
    notes: { ...settings },
    strict,
    onEvent: (event) => {
      savedBest ||= event.event === 'epoch' && event.best;
      progress.onEvent(event);
      recorder?.onEvent(event);
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
    const { result: end, status } = await stoppable((signal) => trainer.fit(epochs, { signal }));
    progress.close();
    for (const line of describeEnd(end, savedBest)) say(line);
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

function makeOptimizer({ optimizer, lr, momentum, weightDecay }: Settings, model: AlexNet): Optimizer {
  const parameters = model.namedParameters();
  return optimizer === 'adam'
    ? new Adam(parameters, { lr })
    : new SGD(parameters, { lr, momentum, weightDecay });
}

function makeSchedule(settings: Settings, stepsPerEpoch: number): Schedule {
  const totalSteps = stepsPerEpoch * settings.epochs;
  const warmupSteps = Math.min(settings.warmupSteps, Math.floor(totalSteps / 10));
  return new WarmupLinearDecay({ warmupSteps, totalSteps, finalFraction: settings.finalFraction });
}

function makeProgress(json: boolean, epochs: number): Progress {
  if (json) return new JsonProgress();
  return process.stderr.isTTY ? new BarProgress(epochs) : new LineProgress(epochs);
}

function describe(settings: Settings, { train, validation }: Data, model: AlexNet, steps: number): string[] {
  const { data, preset, init, dropout, optimizer, lr, epochs } = settings;
  const batch = Math.min(settings.batch, train.length);
  const leftOver = train.length - steps * batch;
  const lines = [
    `AlexNet, preset ${preset}, ${train.classes.length} classes: ${count(model.parameterCount)} parameters`,
    `  initialisation ${init}, ${dropout > 0 ? `dropout ${dropout}` : 'no dropout'}, device ${model.device}`,
    `${count(train.length)} ${data === null ? 'drawn ' : ''}pictures to learn, ${count(validation.length)} to validate`,
    `  epochs ${epochs}, steps an epoch ${count(steps)}, batch ${batch}, ${optimizer}, rate ${lr}`,
  ];
  if (settings.colourNoise !== null) lines.push(`  colours are added as ${settings.colourNoise.kind} has it`);
  if (batch < settings.batch)
    lines.push(`  a batch of ${settings.batch} would be more than there are: all are one`);
  if (leftOver > 0) lines.push(`  ${leftOver} pictures are left over in each epoch, others each time`);
  return lines;
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
