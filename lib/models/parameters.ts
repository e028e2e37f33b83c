import { type Shape, sizeOf, type Tensor } from '../tensor.js';
import type { AlexNetConfig } from './alexnet.js';
import { PRESETS, type Preset } from './presets.js';

/** The shape of each parameter of `new AlexNet(config)`, by name and in its order; no memory is taken for them. */
export function parameterShapes(config: AlexNetConfig): ReadonlyMap<string, Shape> {
  const { layers }: Preset = PRESETS[config.preset];
  const shapes = new Map<string, Shape>();
  const add = (name: string, outputs: number, inputs: readonly number[]): void => {
    shapes.set(`${name}.weight`, [outputs, ...inputs]);
    shapes.set(`${name}.bias`, [outputs]);
  };
  let inputs = 3;
  for (const layer of layers) {
    if (layer.kind === 'conv') {
      const { filters, kernelSize, groups } = layer;
      add(layer.name, filters, [kernelSize, kernelSize, inputs / groups]);
      inputs = filters;
    } else if (layer.kind === 'flatten') {
      inputs *= layer.size ** 2;
    } else if (layer.kind === 'linear') {
      const outputs = layer.outputs ?? config.classes;
      add(layer.name, outputs, [inputs]);
      inputs = outputs;
    }
  }
  return shapes;
}

/**
 * Parameters, or an optimizer's tensors for them, by the names that they have on one device. Of a network on several
 * devices each is in parts, which are some rows of the whole: `conv1.0.weight` and `conv1.1.weight` of `conv1.weight`.
 */
export function wholes(entries: Iterable<readonly [string, Tensor]>): Map<string, Whole> {
  const found = new Map<string, Whole>();
  for (const [name, part] of entries) {
    const whole = name.replace(/\.\d+(?=\.)/, '');
    const { parts = [], shape: [rows = 0] = [] } = found.get(whole) ?? {};
    const [more = 0, ...row] = part.shape;
    found.set(whole, { parts: [...parts, part], shape: [rows + more, ...row] });
  }
  return found;
}

export interface Whole {
  parts: readonly Tensor[];
  shape: Shape;
}

/** Its numbers, as they are where the devices' queues are now. */
export async function readWhole({ parts, shape }: Whole): Promise<Float32Array> {
  const numbers = new Float32Array(sizeOf(shape));
  let offset = 0;
  for (const part of await Promise.all(parts.map((each) => each.data<Float32Array>()))) {
    numbers.set(part, offset);
    offset += part.length;
  }
  return numbers;
}
