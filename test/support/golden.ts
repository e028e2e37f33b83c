import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SafetensorsFile, type TensorData } from '../../lib/io/safetensors.js';

/** PyTorch's numbers, by name: `case/y`, `case/dx`, … Empty where there is no file. */
export type Golden = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: TensorData }>;

export async function readGolden(name: string): Promise<Golden> {
  const path = fileURLToPath(new URL(`../golden/${name}.safetensors`, import.meta.url));
  if (!existsSync(path)) return new Map();
  const golden: [string, { shape: readonly number[]; data: TensorData }][] = [];
  const file = await SafetensorsFile.open(path);
  try {
    for (const [key, { shape }] of file.tensors)
      golden.push([key, { shape, data: await file.readTensor(key) }]);
  } finally {
    await file.close();
  }
  return new Map(golden);
}
