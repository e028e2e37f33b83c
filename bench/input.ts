import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { type Spread, spreadOf } from '../lib/bench/statistics.js';
import { type DeviceChoice, openDevice } from '../lib/bench/trial.js';
import type { Dataset } from '../lib/data/dataset.js';
import { ImageFolder } from '../lib/data/folder.js';
import { Loader } from '../lib/data/loader.js';
import { prepare } from '../lib/data/prepared.js';
import type { Device } from '../lib/device.js';
import { AlexNet } from '../lib/models/alexnet.js';
import { SGD } from '../lib/optim/index.js';
import { Random } from '../lib/random.js';
import { Trainer } from '../lib/train/trainer.js';

/** What feeds the network. */
export interface InputReport {
  /** Pictures a second, read, decoded, resized and cut, by this process alone. */
  readonly decoding: readonly Decoding[];
  /** Images a second of training steps, by the source of the pictures. */
  readonly training: readonly {
    readonly source: string;
    readonly imagesPerSecond: Spread;
    /** How long the device waited for pictures, of the time. */
    readonly waiting: number;
    /** Of the speed from memory. */
    readonly ofMemory: number;
    /** As much of that as is left if reading and decoding take their processor time from it, and no more. */
    readonly decoderBound: number;
    /** `ofMemory` of that. */
    readonly ofDecoderBound: number;
  }[];
}

interface Decoding {
  readonly source: string;
  readonly imagesPerSecond: Spread;
  /** Processor time of a picture, of all threads of the process. */
  readonly cpuMs: number;
}

export interface InputOptions extends DeviceChoice {
  readonly batch: number;
  readonly steps: number;
  readonly rounds: number;
  /** Files of each kind; the page cache holds them. */
  readonly pictures: number;
}

const SIZE = 256;
const CROP = 227;

export async function measureInput(options: InputOptions): Promise<InputReport> {
  const device = openDevice(options);
  const folder = await mkdtemp(join(tmpdir(), 'node-cudnn-bench-'));
  try {
    const photos = await jpegs(join(folder, 'photos'), options.pictures);
    const sources: [name: string, dataset: Dataset][] = [['JPEG, 500×375', photos]];
    for (const [name, store] of [
      [`prepared as JPEG, ${SIZE}×${SIZE}`, { jpeg: 90 }],
      [`prepared raw, ${SIZE}×${SIZE}`, 'raw'],
    ] as const) {
      const out = join(folder, name);
      await prepare(photos, out, { store });
      sources.push([name, await ImageFolder.open(out, { size: SIZE })]);
    }
    const decoding: Decoding[] = [];
    for (const [source, dataset] of sources)
      decoding.push({ source, ...(await loaderSpeed(dataset, options)) });
    sources.unshift(['memory', await inMemory(photos)]);
    return { decoding, training: await trainingSpeeds(device, sources, decoding, options) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Pictures with as much in them, about, as photos have: some 100 KiB of 500×375 pixels. */
async function jpegs(root: string, pictures: number): Promise<ImageFolder> {
  const classes = ['a', 'b'];
  for (const name of classes) await mkdir(join(root, name), { recursive: true });
  for (let i = 0; i < pictures; i++) {
    const random = new Random(1, 0, i);
    const coarse = Buffer.from(Array.from({ length: 64 * 48 * 3 }, () => random.integer(256)));
    await sharp(coarse, { raw: { width: 64, height: 48, channels: 3 } })
      .resize(500, 375, { fit: 'fill' })
      .jpeg({ quality: 90 })
      .toFile(join(root, classes[i % 2] ?? '', `${i}.jpg`));
  }
  return ImageFolder.open(root, { size: SIZE });
}

/** As many samples as are needed, over and over the same: an epoch's end would be a wait. */
function repeated(dataset: Dataset, length: number): Dataset {
  return { length, classes: dataset.classes, get: (index) => dataset.get(index % dataset.length) };
}

async function inMemory(dataset: Dataset): Promise<Dataset> {
  const samples: Awaited<ReturnType<Dataset['get']>>[] = [];
  for (let i = 0; i < dataset.length; i++) samples.push(await dataset.get(i));
  return {
    length: samples.length,
    classes: dataset.classes,
    get: (index) => samples[index] ?? dataset.get(index),
  };
}

async function loaderSpeed(
  dataset: Dataset,
  { batch, rounds }: InputOptions,
): Promise<Omit<Decoding, 'source'>> {
  const loader = new Loader(repeated(dataset, Math.max(dataset.length, batch)), {
    batchSize: batch,
    crop: CROP,
    training: true,
  });
  const speeds: number[] = [];
  const cpuStart = process.cpuUsage();
  let all = 0;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    let images = 0;
    for await (const { pixels } of loader.epoch(round)) images += pixels.length;
    speeds.push((images / (performance.now() - start)) * 1000);
    all += images;
  }
  const { user, system } = process.cpuUsage(cpuStart);
  return { imagesPerSecond: spreadOf(speeds), cpuMs: (user + system) / 1000 / all };
}

/** Source by source, round by round. */
async function trainingSpeeds(
  device: Device,
  sources: readonly (readonly [string, Dataset])[],
  decoding: readonly Decoding[],
  { batch, steps, rounds }: InputOptions,
): Promise<InputReport['training']> {
  const measured = sources.map(([source]) => ({ source, speeds: [] as number[], waitingMs: 0, ms: 0 }));
  for (let round = 0; round < rounds; round++) {
    for (const [i, [, dataset]] of sources.entries()) {
      const { ms, waitingMs, images } = await trainFor(device, dataset, batch, steps);
      const row = measured[i];
      row?.speeds.push((images / ms) * 1000);
      if (row !== undefined) Object.assign(row, { ms: row.ms + ms, waitingMs: row.waitingMs + waitingMs });
    }
  }
  const fromMemory = spreadOf(measured[0]?.speeds ?? []).median;
  return measured.map(({ source, speeds, waitingMs, ms }) => {
    const imagesPerSecond = spreadOf(speeds);
    const ofMemory = imagesPerSecond.median / fromMemory;
    const cpuMs = decoding.find((row) => row.source === source)?.cpuMs ?? 0;
    const decoderBound = 1 / (1 + (fromMemory * cpuMs) / 1000 / availableParallelism());
    return {
      source,
      imagesPerSecond,
      waiting: waitingMs / ms,
      ofMemory,
      decoderBound,
      ofDecoderBound: ofMemory / decoderBound,
    };
  });
}

/** After a first step, in which plans and memory are made. */
async function trainFor(device: Device, dataset: Dataset, batchSize: number, steps: number) {
  using model = new AlexNet({ classes: dataset.classes.length, init: 'he', device });
  using optimizer = new SGD(model.namedParameters(), { lr: 1e-4, momentum: 0.9 });
  const stopping = new AbortController();
  const measured = { ms: 0, waitingMs: 0, images: 0 };
  let [seen, start] = [0, 0];
  using trainer = new Trainer({
    model,
    optimizer,
    train: repeated(dataset, batchSize * (steps + 2)),
    batchSize,
    preprocessing: { resize: SIZE, crop: CROP, mean: [127, 127, 127], scale: [1 / 60, 1 / 60, 1 / 60] },
    onEvent: (event) => {
      if (event.event !== 'step' || seen > steps) return;
      if (seen === 0) start = performance.now();
      else {
        measured.images += event.images;
        measured.waitingMs += event.waitingMs;
        measured.ms = performance.now() - start;
      }
      if (++seen > steps) stopping.abort();
    },
  });
  await trainer.fit(Number.MAX_SAFE_INTEGER, { signal: stopping.signal });
  return measured;
}
