import { expectFinite, expectInteger, expectString, expectTriple } from '../check.js';
import { principalAxes } from '../data/colour.js';
import type { Statistics } from '../data/statistics.js';
import { ArgumentError, expected, FileFormatError, reasonOf } from '../errors.js';
import { writeAtomically } from '../io/atomic.js';
import { SafetensorsFile, writeSafetensors } from '../io/safetensors.js';

const FORMAT = 'node-cudnn statistics 1';

/** A safetensors file with the mean image; the rest are JSON strings in its metadata. @throws {FileWriteError} */
export async function saveStatistics(path: string, statistics: Statistics): Promise<void> {
  const { height, width, meanImage, axes: _, ...rest } = statistics;
  const metadata: Record<string, string> = { format: FORMAT };
  for (const [name, value] of Object.entries(rest)) metadata[name] = JSON.stringify(value);
  const tensors = new Map([
    ['meanImage', { dtype: 'F32', shape: [height, width, 3], data: meanImage } as const],
  ]);
  await writeAtomically(path, (file) => writeSafetensors(file, tensors, metadata));
}

/** No picture of a data set is larger: see `preprocessing.resize`. */
const MAX_SIDE = 4096;

/** @throws {FileFormatError} for anything but a file of {@link saveStatistics} */
export async function loadStatistics(path: string): Promise<Statistics> {
  await using file = await SafetensorsFile.open(path);
  const [height = 0, width = 0] = file.tensors.get('meanImage')?.shape ?? [];
  try {
    const { metadata } = file;
    if (metadata.format !== FORMAT)
      throw new ArgumentError(expected(`"${FORMAT}"`, 'format', metadata.format));
    const [pictures, fingerprint, meanColour, covariance] = [
      'pictures',
      'fingerprint',
      'meanColour',
      'covariance',
    ].map((name) => JSON.parse(metadata[name] ?? 'null') as unknown);
    const rows = Array.isArray(covariance) ? covariance : [];
    const row = (i: number) => expectTriple(`covariance[${i}]`, rows[i]);
    expectInteger('height of meanImage', height, 1, MAX_SIDE);
    expectInteger('width of meanImage', width, 1, MAX_SIDE);
    const checked = [row(0), row(1), row(2)] as const;
    const meanImage = await file.readTensor('meanImage', { dtype: 'F32', shape: [height, width, 3] });
    for (const value of meanImage) expectFinite('meanImage', value);
    return {
      pictures: expectInteger('pictures', pictures, 1),
      fingerprint: fingerprint === null ? null : expectString('fingerprint', fingerprint),
      height,
      width,
      meanImage,
      meanColour: expectTriple('meanColour', meanColour),
      covariance: checked,
      axes: principalAxes(checked),
    };
  } catch (cause) {
    throw new FileFormatError(
      `Expected statistics of a data set for ${path} but received another file: ${reasonOf(cause)}`,
      {
        cause,
      },
    );
  }
}
