import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expectFinite, expectInteger, expectObject } from '../check.js';
import type { DeviceLike } from '../device.js';
import { expected, FileFormatError, reasonOf } from '../errors.js';
import { writeAtomically } from '../io/atomic.js';
import { SafetensorsFile, type TensorEntry, writeSafetensors } from '../io/safetensors.js';
import { AlexNet, type AlexNetConfig } from '../models/alexnet.js';
import type { Optimizer } from '../optim/optimizer.js';
import type { Tensor } from '../tensor.js';
import type { Preprocessing } from './preprocessing.js';

/**
 * What a model file says of itself, each member a JSON string in the safetensors metadata. The tensors are the model's
 * parameters by name (filters KRSC, the first fully connected layer's columns in HWC order), and in a checkpoint the
 * optimizer's as `optimizer/…`.
 */
export interface ModelInfo {
  model: AlexNetConfig;
  classes: readonly string[];
  preprocessing: Preprocessing;
  /** Of a checkpoint: all that training needs to go on. */
  training?: unknown;
}

const FORMAT = 'node-cudnn model 1';
const OPTIMIZER_PREFIX = 'optimizer/';

/**
 * Writes weights, and the optimizer's state if there is one. Training has to pause meanwhile: tensors are read from the
 * device one after the other, so that no more than one is in host memory.
 */
export async function saveModelFile(
  path: string,
  info: ModelInfo,
  model: AlexNet,
  optimizer?: Optimizer,
): Promise<void> {
  const tensors = new Map<string, TensorEntry>();
  for (const [name, parameter] of model.namedParameters()) tensors.set(name, entry(parameter));
  if (optimizer !== undefined) {
    for (const [name, state] of optimizer.stateTensors()) tensors.set(OPTIMIZER_PREFIX + name, entry(state));
  }
  const metadata: Record<string, string> = { format: FORMAT };
  for (const [key, value] of Object.entries(info))
    if (value !== undefined) metadata[key] = JSON.stringify(value);
  await writeAtomically(path, (file) => writeSafetensors(file, tensors, metadata));
}

function entry(tensor: Tensor): TensorEntry {
  return { dtype: 'F32', shape: tensor.shape, data: () => tensor.data() };
}

/** A model file whose header was read and checked. */
export class ModelFile implements AsyncDisposable {
  readonly #file: SafetensorsFile;

  private constructor(
    readonly info: ModelInfo,
    file: SafetensorsFile,
  ) {
    this.#file = file;
  }

  /**
   * @param path a model file, or a folder: its last checkpoint
   * @throws {FileFormatError}
   */
  static async open(path: string): Promise<ModelFile> {
    const file = await SafetensorsFile.open(await resolve(path));
    try {
      return new ModelFile(parseInfo(file), file);
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

  async loadWeights(model: AlexNet): Promise<void> {
    await this.#loadInto(model.namedParameters(), '');
  }

  async loadOptimizer(optimizer: Optimizer): Promise<void> {
    await this.#loadInto(optimizer.stateTensors(), OPTIMIZER_PREFIX);
  }

  async #loadInto(targets: Iterable<readonly [string, Tensor]>, prefix: string): Promise<void> {
    for (const [name, target] of targets) {
      const data = await this.#file.readTensor(prefix + name, { dtype: 'F32', shape: target.shape });
      target.write(data);
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
  return isFolder ? join(path, 'last.safetensors') : path;
}

function parseInfo(file: SafetensorsFile): ModelInfo {
  const { path, metadata } = file;
  const format = metadata.format;
  if (format !== FORMAT) throw new FileFormatError(`${expected(`"${FORMAT}"`, 'format', format)} in ${path}`);
  try {
    const model = expectObject('model', parse(metadata, 'model'));
    const classes = parse(metadata, 'classes');
    const preprocessing = expectObject('preprocessing', parse(metadata, 'preprocessing'));
    const training = metadata.training !== undefined ? { training: parse(metadata, 'training') } : {};
    const names = expectStrings('classes', classes);
    const config = { ...model, classes: expectInteger('model.classes', model.classes, 1) } as AlexNetConfig;
    if (names.length !== config.classes) {
      throw new FileFormatError(expected(`${config.classes} names`, 'classes', names.length));
    }
    return {
      model: config,
      classes: names,
      preprocessing: {
        resize: expectInteger('preprocessing.resize', preprocessing.resize, 1),
        crop: expectInteger('preprocessing.crop', preprocessing.crop, 1),
        mean: expectTriple('preprocessing.mean', preprocessing.mean),
        scale: expectTriple('preprocessing.scale', preprocessing.scale),
      },
      ...training,
    };
  } catch (cause) {
    throw new FileFormatError(`${reasonOf(cause)} in ${path}`, { cause });
  }
}

type Metadata = SafetensorsFile['metadata'];

function parse(metadata: Metadata, key: string): unknown {
  const text = metadata[key];
  if (text === undefined) throw new FileFormatError(expected('JSON', key, text));
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FileFormatError(expected('JSON', key, text.slice(0, 80)), { cause });
  }
}

function expectStrings(name: string, value: unknown): string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new FileFormatError(expected('array of strings', name, value));
}

function expectTriple(name: string, value: unknown): [number, number, number] {
  if (!Array.isArray(value) || value.length !== 3)
    throw new FileFormatError(expected('three numbers', name, value));
  return [expectFinite(name, value[0]), expectFinite(name, value[1]), expectFinite(name, value[2])];
}
