import { type Shape, sizeOf } from '../tensor.js';
import type { AlexNetConfig } from './alexnet.js';
import { parameterShapes } from './parameters.js';
import { LAST_LAYER, PRESETS, type Preset } from './presets.js';

/** The names of our layers in PyTorch's state dicts, for each preset that PyTorch has. */
const LAYERS = {
  torchvision: {
    conv1: 'features.0',
    conv2: 'features.3',
    conv3: 'features.6',
    conv4: 'features.8',
    conv5: 'features.10',
    fc6: 'classifier.1',
    fc7: 'classifier.4',
    fc8: 'classifier.6',
  },
  dansuh17: {
    conv1: 'net.0',
    conv2: 'net.4',
    conv3: 'net.8',
    conv4: 'net.10',
    conv5: 'net.12',
    fc6: 'classifier.1',
    fc7: 'classifier.4',
    fc8: 'classifier.6',
  },
} as const satisfies Partial<Record<keyof typeof PRESETS, Record<string, string>>>;

export type TorchPreset = keyof typeof LAYERS;
export const TORCH_PRESETS = Object.keys(LAYERS) as TorchPreset[];

export interface TorchParameter {
  name: string;
  shape: Shape;
  torchName: string;
  torchShape: Shape;
  /** What an output is computed with: a matrix of channels × positions in PyTorch, of positions × channels here. */
  channels: number;
  positions: number;
}

/** The name of the parameter whose length is the number of classes. */
export function torchOutputWeight(preset: TorchPreset): string {
  return `${LAYERS[preset][LAST_LAYER]}.weight`;
}

/** The parameters of such a network as both sides have them, in our order. */
export function torchParameters(config: AlexNetConfig & { preset: TorchPreset }): TorchParameter[] {
  const { layers }: Preset = PRESETS[config.preset];
  const names: Readonly<Record<string, string>> = LAYERS[config.preset];
  const shapes = parameterShapes(config);
  const parameters: TorchParameter[] = [];
  /** Of the maps that the next fully connected layer takes. */
  let mapPositions = 1;
  for (const layer of layers) {
    if (layer.kind === 'flatten') mapPositions = layer.size ** 2;
    if (layer.kind !== 'conv' && layer.kind !== 'linear') continue;
    const shape = shapes.get(`${layer.name}.weight`) ?? [];
    const [outputs = 1] = shape;
    const positions = layer.kind === 'conv' ? layer.kernelSize ** 2 : mapPositions;
    const channels = sizeOf(shape) / outputs / positions;
    const torchShape =
      layer.kind === 'conv' ? [outputs, channels, layer.kernelSize, layer.kernelSize] : shape;
    const [name, torchName] = [layer.name, names[layer.name]];
    parameters.push(
      { name: `${name}.weight`, shape, torchName: `${torchName}.weight`, torchShape, channels, positions },
      {
        name: `${name}.bias`,
        shape: [outputs],
        torchName: `${torchName}.bias`,
        torchShape: [outputs],
        channels: 1,
        positions: 1,
      },
    );
    if (layer.kind === 'linear') mapPositions = 1;
  }
  return parameters;
}

/** Makes of each `rows` × `columns` matrix in `data`, one after the other, its transpose. */
export function transposeEach(data: Float32Array, rows: number, columns: number): void {
  if (rows === 1 || columns === 1) return;
  const size = rows * columns;
  const matrix = new Float32Array(size);
  for (let start = 0; start < data.length; start += size) {
    matrix.set(data.subarray(start, start + size));
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        data[start + column * rows + row] = matrix[row * columns + column] as number;
      }
    }
  }
}
