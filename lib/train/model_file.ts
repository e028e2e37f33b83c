import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeviceLike } from '../device.js';
import { ArgumentError, expected, FileFormatError, reasonOf } from '../errors.js';
import { writeAtomically } from '../io/atomic.js';
import { exists } from '../io/folder.js';
import { SafetensorsFile, type TensorEntry, writeSafetensors } from '../io/safetensors.js';
import { AlexNet } from '../models/alexnet.js';
import { parameterShapes, type Whole, wholes } from '../models/parameters.js';
import { LAST_LAYER } from '../models/presets.js';
import type { Optimizer } from '../optim/optimizer.js';
import { type Shape, Tensor } from '../tensor.js';
import { formatInfo, MEAN_IMAGE, type ModelInfo, parseInfo } from './model_info.js';
import { MAX_RESIZE } from './preprocessing.js';

const OPTIMIZER_PREFIX = 'optimizer/';
/** So much of a tensor is read, and copied to the device in one turn of the event loop. */
export const PIECE_ELEMENTS = 1 << 19;

/**
 * Writes weights, and the optimizer's state if there is one. Training has to pause meanwhile: tensors are read from the
 * device one after the other, so that no more than one is in host memory.
 * @throws {ArgumentError} where `info` is not what {@link ModelFile.open} would take
 * @throws {FileWriteError}
 */
export async function saveModelFile(
  path: string,
  info: ModelInfo,
  model: AlexNet,
  optimizer?: Optimizer,
): Promise<void> {
  const metadata = formatInfo(info);
  const tensors = new Map<string, TensorEntry>();
  for (const [name, parameter] of wholes(model.namedParameters())) tensors.set(name, entry(parameter));
  const { resize, mean } = info.preprocessing;
  if (mean instanceof Float32Array) {
    tensors.set(MEAN_IMAGE, { dtype: 'F32', shape: [resize, resize, 3], data: mean });
  }
  if (optimizer !== undefined) {
    for (const [name, state] of wholes(optimizer.stateTensors()))
      tensors.set(OPTIMIZER_PREFIX + name, entry(state));
  }
  await writeAtomically(path, (file) => writeSafetensors(file, tensors, metadata));
}

function entry({ parts, shape }: Whole): TensorEntry {
  return {
    dtype: 'F32',
    shape,
    async *data() {
      for (const part of parts) yield await part.data();
    },
  };
}

/** A model file whose header, and mean image, was read and checked: it holds exactly the weights of the model that it describes. */
export class ModelFile implements AsyncDisposable {
  readonly #file: SafetensorsFile;

  private constructor(
    readonly info: ModelInfo,
    file: SafetensorsFile,
  ) {
    this.#file = file;
  }

  /**
   * Reads the header only, and the mean image if there is one.
   * @param path a model file, or a folder: its last checkpoint
   * @throws {FileFormatError}
   */
  static async open(path: string): Promise<ModelFile> {
    const file = await SafetensorsFile.open(await resolve(path));
    try {
      const info = await readInfo(file);
      const { model, preprocessing } = info;
      const shapes = new Map(parameterShapes(model));
      const { resize, mean } = preprocessing;
      if (mean instanceof Float32Array) shapes.set(MEAN_IMAGE, [resize, resize, 3]);
      expectTensors(file, shapes, (name) => !isOptimizers(name), `an AlexNet, preset ${model.preset}`);
      return new ModelFile(info, file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The model that the file describes, with its weights. */
  async loadModel(device?: DeviceLike): Promise<AlexNet> {
    const model = new AlexNet({ ...this.info.model, ...(device === undefined ? {} : { device }) });
    try {
      await this.loadWeights(model);
    } catch (error) {
      model.dispose();
      throw error;
    }
    return model;
  }

  /**
   * Overwrites the weights of a model of the file's preset and number of classes.
   * @param options.lastLayer false leaves the last layer as it is, for other classes, of any number. Default true
   * @throws {ArgumentError} for another, which stays as it was
   */
  async loadWeights(model: AlexNet, { lastLayer = true }: { lastLayer?: boolean } = {}): Promise<void> {
    for (const key of lastLayer ? (['preset', 'classes'] as const) : (['preset'] as const)) {
      const [ours, theirs] = [this.info.model[key], model.config[key]];
      if (ours !== theirs) {
        throw new ArgumentError(expected(`${ours}, as ${this.path} has,`, `the model's ${key}`, theirs));
      }
    }
    const parameters = [...wholes(model.namedParameters())];
    const isLoaded = (name: string): boolean => lastLayer || !name.startsWith(`${LAST_LAYER}.`);
    await this.#loadInto(new Map(parameters.filter(([name]) => isLoaded(name))), '');
  }

  /**
   * Overwrites the state of an optimizer of the same kind and parameters.
   * @throws {FileFormatError} where the file has not exactly its tensors; it stays as it was then
   */
  async loadOptimizer(optimizer: Optimizer): Promise<void> {
    this.expectOptimizer(optimizer);
    await this.#loadInto(wholes(optimizer.stateTensors()), OPTIMIZER_PREFIX);
  }

  /** @throws {FileFormatError} where the file has not exactly the tensors of such an optimizer */
  expectOptimizer(optimizer: Optimizer): void {
    const targets = [...wholes(optimizer.stateTensors())];
    const shapes = new Map(targets.map(([name, { shape }]) => [OPTIMIZER_PREFIX + name, shape]));
    expectTensors(this.#file, shapes, isOptimizers, 'this optimizer');
  }

  /** A parameter's numbers, `elements` at a time. All are in the same memory: each is valid until the next is asked for. */
  readPieces(name: string, elements: number): AsyncIterable<Float32Array> {
    const { shape } = this.#file.expectTensor(name);
    return this.#file.readPieces(name, { dtype: 'F32', shape }, elements);
  }

  async #loadInto(targets: ReadonlyMap<string, Whole>, prefix: string): Promise<void> {
    for (const [name, { parts, shape }] of targets) {
      const kind = { dtype: 'F32', shape } as const;
      await Tensor.writePieces(parts, this.#file.readPieces(prefix + name, kind, PIECE_ELEMENTS));
    }
  }

  get path(): string {
    return this.#file.path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

async function resolve(path: string): Promise<string> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) return path;
  const last = join(path, 'last.safetensors');
  if (await exists(last)) return last;
  throw new FileFormatError(
    `Expected a checkpoint at ${last} but received a folder without one: the first is saved at ` +
      'the end of an epoch, or when training is stopped',
  );
}

async function readInfo(file: SafetensorsFile): Promise<ModelInfo> {
  const { path, metadata, tensors } = file;
  const [side = 0] = tensors.get(MEAN_IMAGE)?.shape ?? [];
  const meanImage =
    tensors.has(MEAN_IMAGE) && side <= MAX_RESIZE
      ? await file.readTensor(MEAN_IMAGE, { dtype: 'F32', shape: [side, side, 3] })
      : undefined;
  try {
    return parseInfo(metadata, meanImage);
  } catch (cause) {
    throw new FileFormatError(`${reasonOf(cause)} in ${path}`, { cause });
  }
}

function isOptimizers(name: string): boolean {
  return name.startsWith(OPTIMIZER_PREFIX);
}

/** Of the file's tensors whose names `belong`, exactly these: none is missing, none is left over. */
function expectTensors(
  file: SafetensorsFile,
  shapes: ReadonlyMap<string, Shape>,
  belong: (name: string) => boolean,
  owner: string,
): void {
  for (const [name, shape] of shapes) file.expectTensor(name, { dtype: 'F32', shape });
  for (const name of file.tensors.keys()) {
    if (!belong(name) || shapes.has(name)) continue;
    throw new FileFormatError(
      `${expected(`only tensors of ${owner},`, 'the model file', name)} in ${file.path}`,
    );
  }
}
