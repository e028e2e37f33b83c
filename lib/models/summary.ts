import type { Device } from '../device.js';
import { windows } from '../ops/check.js';
import type { AlexNetConfig } from './alexnet.js';
import { placed } from './placement.js';
import type { Layer, Preset } from './presets.js';

interface Row {
  name: string;
  what: string;
  /** Of one picture. */
  shape: readonly number[];
  parameters: number;
}

/** The input and the layers. */
export function rowsOf(config: AlexNetConfig, preset: Preset): Row[] {
  let shape: readonly number[] = [preset.inputSize, preset.inputSize, 3];
  const rows: Row[] = [{ name: 'input', what: '', shape, parameters: 0 }];
  for (const layer of preset.layers) {
    const row = describe(layer, shape, config);
    shape = row.shape;
    rows.push(row);
  }
  return rows;
}

/** A table of the layers, as text for a terminal. */
export function summarize(
  config: AlexNetConfig,
  preset: Preset,
  total: number,
  devices: readonly Device[],
): string {
  const rows = rowsOf(config, preset);
  const isSplit = devices.length > 1;
  if (isSplit) {
    for (const { layer, joins } of placed(preset.layers)) {
      const row = rows.find(({ name }) => name === layer.name);
      if (row !== undefined && joins) row.what = ['⇄ both columns', row.what].filter(Boolean).join(', ');
    }
    const shape = rows.at(-1)?.shape ?? [];
    rows.push({ name: 'logits', what: `→ both columns, on ${devices[0]}`, shape, parameters: 0 });
  }
  const cells = rows.map((row) => [
    row.name,
    row.what,
    row.shape.join(' × '),
    row.parameters === 0 ? '' : grouped(row.parameters),
  ]);
  const table = [['layer', 'what', 'output', 'parameters'], ...cells];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  const lines = table.map((line) =>
    line
      .map((cell, i) => (i === 3 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return [
    `AlexNet, preset ${config.preset}, init ${config.init}${isSplit ? `, a column on each of ${devices.join(' and ')}` : ''}`,
    ...lines,
    `${grouped(total)} parameters`,
    ...(isSplit ? ['⇄ → cross between the devices, and the gradients the other way'] : []),
  ].join('\n');
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

function describe(
  layer: Layer,
  [height = 1, width = 1, channels = 1]: readonly number[],
  config: AlexNetConfig,
): Row {
  const { name } = layer;
  const same = { name, shape: [height, width, channels], parameters: 0 };
  switch (layer.kind) {
    case 'conv': {
      const { filters, kernelSize, stride, padding, groups, relu } = layer;
      const size = (input: number) => windows(name, input, kernelSize, stride, padding);
      const parts = [
        `${kernelSize} × ${kernelSize}`,
        ...(stride > 1 ? [`stride ${stride}`] : []),
        ...(groups > 1 ? [`groups ${groups}`] : []),
        ...(relu ? ['ReLU'] : []),
      ];
      const parameters = filters * (kernelSize ** 2 * (channels / groups) + 1);
      return { name, what: parts.join(', '), shape: [size(height), size(width), filters], parameters };
    }
    case 'lrn':
      return { ...same, what: `LRN over ${layer.size}${layer.groups > 1 ? `, groups ${layer.groups}` : ''}` };
    case 'pool': {
      const size = (input: number) => windows(name, input, layer.kernelSize, layer.stride, 0);
      return {
        ...same,
        what: `max ${layer.kernelSize}, stride ${layer.stride}`,
        shape: [size(height), size(width), channels],
      };
    }
    case 'relu':
      return { ...same, what: 'ReLU' };
    case 'flatten':
      return { ...same, what: '', shape: [height * width * channels] };
    case 'dropout':
      return { ...same, what: `dropout ${config.dropout}`, shape: [height] };
    case 'linear': {
      const outputs = layer.outputs ?? config.classes;
      const what = layer.relu ? 'fully connected, ReLU' : 'fully connected';
      return { name, what, shape: [outputs], parameters: outputs * (height + 1) };
    }
  }
}
