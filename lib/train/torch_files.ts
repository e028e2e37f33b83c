import { expectOneOf } from '../check.js';
import { ArgumentError, expected } from '../errors.js';
import { writeAtomically } from '../io/atomic.js';
import { formatError, quote } from '../io/file.js';
import { PthFile, PthTensor } from '../io/pth.js';
import { SafetensorsFile, type TensorEntry, type TensorKind, writeSafetensors } from '../io/safetensors.js';
import { PRESETS } from '../models/presets.js';
import {
  TORCH_PRESETS,
  type TorchParameter,
  type TorchPreset,
  torchOutputWeight,
  torchParameters,
  transposeEach,
} from '../models/torch_names.js';
import { ModelFile, PIECE_ELEMENTS } from './model_file.js';
import { formatInfo, type ModelInfo } from './model_info.js';
import { torchPreprocessing } from './preprocessing.js';

export interface ImportOptions {
  /** Whose network it is: torchvision's `alexnet`, or that of github.com/dansuh17/alexnet-pytorch. */
  from: TorchPreset;
  /** The names of the classes, in the order of the outputs. Default: `"0"`, `"1"`, … */
  labels?: readonly string[];
}

/** What was imported. */
export interface Imported {
  info: ModelInfo;
  /** Where the file was a checkpoint: how far it says that training had come, and its seed of up to 64 bits. */
  epoch?: number;
  totalSteps?: number;
  seed?: bigint;
}

/**
 * Writes a model file with the weights of a PyTorch network, bit for bit, and with the preprocessing that ImageNet's
 * weights of that network take. The file is a state dict, or a checkpoint that has one as its `model`; `module.` of
 * `DataParallel` before all names is left out. Tensors have to be float32. One piece of a tensor is in memory at a time.
 * @param file a `.safetensors` file, or one of `torch.save`; nothing in it is run
 * @param out the model file to write
 * @throws {FileFormatError} where it holds anything but such tensors and plain containers, or others than that network's
 * @throws {ArgumentError} where there are not as many labels as classes
 * @throws {FileWriteError}
 */
export async function importTorch(file: string, out: string, options: ImportOptions): Promise<Imported> {
  const from = expectOneOf('from', options.from, TORCH_PRESETS);
  await using state = await openState(file);
  const info = infoOf(state, from, options.labels);
  const parameters = torchParameters({ ...info.model, preset: from });
  expectExactly(state, parameters, from);
  const tensors = new Map<string, TensorEntry>();
  for (const { name, torchName, shape, torchShape, channels, positions } of parameters) {
    const kind = { dtype: 'F32', shape: torchShape } as const;
    const elements = wholeRows(channels * positions);
    tensors.set(name, {
      dtype: 'F32',
      shape,
      data: () => transposed(state.readPieces(torchName, kind, elements), channels, positions),
    });
  }
  const metadata = formatInfo(info);
  await writeAtomically(out, (handle) => writeSafetensors(handle, tensors, metadata));
  return { info, ...state.progress };
}

/**
 * Writes the weights of a model as a safetensors file with PyTorch's names and order, which `load_state_dict` takes
 * after `safetensors.torch.load_file`; {@link importTorch} brings them back bit for bit. The names of the classes and the
 * preprocessing have no place there.
 * @param model a model file, or a folder of checkpoints: its last one
 * @throws {ArgumentError} for a preset that has no counterpart in PyTorch: `paper`, `krizhevsky2012`
 * @throws {FileFormatError}
 * @throws {FileWriteError}
 */
export async function exportTorch(model: string, out: string): Promise<void> {
  await using file = await ModelFile.open(model);
  const config = file.info.model;
  const preset = expectOneOf(`the preset of ${file.path}`, config.preset, TORCH_PRESETS);
  const tensors = new Map<string, TensorEntry>();
  for (const { name, torchName, torchShape, channels, positions } of torchParameters({ ...config, preset })) {
    tensors.set(torchName, {
      dtype: 'F32',
      shape: torchShape,
      data: () => transposed(file.readPieces(name, wholeRows(channels * positions)), positions, channels),
    });
  }
  // As safetensors.torch.save_file says it.
  await writeAtomically(out, (handle) => writeSafetensors(handle, tensors, { format: 'pt' }));
}

/** As many elements as fit into a piece, and no row in parts. */
function wholeRows(rowElements: number): number {
  return Math.max(1, Math.floor(PIECE_ELEMENTS / rowElements)) * rowElements;
}

async function* transposed(
  pieces: AsyncIterable<Float32Array>,
  rows: number,
  columns: number,
): AsyncGenerator<Float32Array> {
  for await (const piece of pieces) {
    transposeEach(piece, rows, columns);
    yield piece;
  }
}

/** Tensors by PyTorch's names, in a file of either format. */
interface State extends AsyncDisposable {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorKind>;
  readonly progress: Omit<Imported, 'info'>;
  /** @throws {FileFormatError} for one that cannot be read as that */
  expectTensor(name: string, kind: TensorKind): void;
  readPieces(name: string, kind: TensorKind<'F32'>, elements: number): AsyncIterable<Float32Array>;
}

async function openState(path: string): Promise<State> {
  if (!path.endsWith('.safetensors')) return openPth(path);
  const file = await SafetensorsFile.open(path);
  const names = withoutModule([...file.tensors.keys()]);
  return {
    path,
    tensors: new Map([...names].map(([name, original]) => [name, file.expectTensor(original)])),
    progress: {},
    expectTensor: (name, kind) => file.expectTensor(names.get(name) ?? name, kind),
    readPieces: (name, kind, elements) => file.readPieces(names.get(name) ?? name, kind, elements),
    [Symbol.asyncDispose]: () => file.close(),
  };
}

async function openPth(path: string): Promise<State> {
  const file = await PthFile.open(path);
  try {
    const { content } = file;
    const model: unknown = content instanceof Map ? (content.get('model') ?? content) : content;
    if (!(model instanceof Map)) throw formatError('a state dict', 'what was saved', path, 'something else');
    const tensors = new Map<string, PthTensor>();
    for (const [name, original] of withoutModule([...model.keys()].map(String))) {
      const tensor: unknown = model.get(original);
      if (!(tensor instanceof PthTensor))
        throw formatError('a tensor', quote(original), path, 'something else');
      tensors.set(name, tensor);
    }
    return {
      path,
      tensors,
      progress: content instanceof Map && model !== content ? progressOf(content) : {},
      expectTensor: (name, kind) => file.expectTensor(name, tensors.get(name), kind),
      readPieces: (name, kind, elements) => file.readPieces(name, tensors.get(name), kind, elements),
      [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
    };
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

/** Each name without the `module.` that DataParallel puts before all, and as it is. */
function withoutModule(names: readonly string[]): Map<string, string> {
  const prefix = names.every((name) => name.startsWith('module.')) ? 'module.'.length : 0;
  return new Map(names.map((name) => [name.slice(prefix), name]));
}

/** What dansuh17's training saves beside the model. */
function progressOf(checkpoint: ReadonlyMap<unknown, unknown>): State['progress'] {
  const integer = (name: string): number | undefined => {
    const value = checkpoint.get(name);
    return Number.isSafeInteger(value) ? Number(value) : undefined;
  };
  const [epoch, totalSteps] = [integer('epoch'), integer('total_steps')];
  const long = checkpoint.get('seed');
  const seed = typeof long === 'bigint' ? long : integer('seed');
  return {
    ...(epoch === undefined ? {} : { epoch }),
    ...(totalSteps === undefined ? {} : { totalSteps }),
    ...(seed === undefined ? {} : { seed: BigInt(seed) }),
  };
}

function infoOf(
  { path, tensors }: State,
  from: TorchPreset,
  labels: readonly string[] | undefined,
): ModelInfo {
  const last = torchOutputWeight(from);
  const classes = tensors.get(last)?.shape[0];
  if (classes === undefined || classes === 0)
    throw formatError(
      `${from}'s last layer`,
      quote(last),
      path,
      classes === undefined ? 'none' : 'an empty one',
    );
  if (labels !== undefined && labels.length !== classes) {
    const what = `${classes} names, one for each class of ${path},`;
    throw new ArgumentError(expected(what, 'labels', labels.length));
  }
  return {
    model: { classes, preset: from, init: PRESETS[from].init, dropout: 0.5 },
    classes: labels ?? Array.from({ length: classes }, (_, i) => String(i)),
    preprocessing: torchPreprocessing(from),
  };
}

/** All of them, and no others. */
function expectExactly(state: State, parameters: readonly TorchParameter[], from: TorchPreset): void {
  for (const { torchName, torchShape } of parameters)
    state.expectTensor(torchName, { dtype: 'F32', shape: torchShape });
  const known = new Set(parameters.map(({ torchName }) => torchName));
  const stranger = [...state.tensors.keys()].find((name) => !known.has(name));
  if (stranger !== undefined)
    throw formatError(`only tensors of ${from}'s AlexNet`, 'the state dict', state.path, quote(stranger));
}
