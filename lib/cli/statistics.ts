import { join } from 'node:path';
import type { Dataset } from '../data/dataset.js';
import { STATISTICS } from '../data/listing.js';
import { preparedDecoding } from '../data/prepared.js';
import { expectStatisticsOf, type Statistics, statisticsOf } from '../data/statistics.js';
import { exists } from '../io/folder.js';
import { loadStatistics, saveStatistics } from '../train/statistics_file.js';
import { openData } from './data.js';
import { expectWritable } from './folder.js';
import { count, writeJson, writeLine, writeNote } from './output.js';
import { PictureBar } from './progress.js';
import type { StatsOptions } from './stats.js';

/** `alexnet stats`. */
export async function runStats({ data, out, strict = false, json = false }: StatsOptions): Promise<void> {
  const file = out ?? join(data, STATISTICS);
  const folder = await openData(data, strict, (await preparedDecoding(data)) ?? {});
  await expectWritable({ '--out': file });
  const statistics = await lookAt(folder, strict);
  await saveStatistics(file, statistics);
  const { pictures, meanColour, covariance, axes } = statistics;
  if (json) {
    const { values: eigenvalues, vectors: eigenvectors } = axes;
    writeJson({ file, pictures, meanColour, covariance, eigenvalues, eigenvectors });
  } else for (const line of describe(statistics)) writeLine(line);
  if (!json) writeLine(`Saved ${file}`);
}

/** With a bar on a terminal. */
async function lookAt(folder: Dataset, strict: boolean): Promise<Statistics> {
  const bar = new PictureBar('looking at pictures', folder.length);
  try {
    return await statisticsOf(folder, {
      strict,
      onPicture: (done) => bar.update(done),
      onSkip: ({ reason }) => writeNote(`Left out: ${reason}`),
    });
  } finally {
    bar.close();
  }
}

function describe({ pictures, height, width, meanColour, axes }: Statistics): string[] {
  const [red, green, blue] = meanColour.map((value) => value.toFixed(2));
  return [
    `${count(pictures)} pictures of ${height} × ${width} pixels: mean colour ${red}, ${green}, ${blue} of 255`,
    'principal colours (of 0…1): variance, then red, green, blue',
    ...axes.values.map((value, i) => {
      const vector = axes.vectors[i]?.map((part) => part.toFixed(4).padStart(7)) ?? [];
      return `  ${value.toFixed(6)}  ${vector.join('  ')}`;
    }),
  ];
}

export interface StatisticsOptions {
  strict: boolean;
  /** Whether the training set is only a part of its folder. */
  someClasses: boolean;
  /** A file of `alexnet stats`. Default: that in the folder. */
  stats: string | undefined;
}

/**
 * Those of a training set: of the file that is given or in its folder, or where there is none, or only some of the folder's classes
 * are taken, looked at now.
 * @throws {DataError} for statistics of other pictures
 */
export async function statisticsOfFolder(
  data: string,
  folder: Dataset,
  { strict, someClasses, stats }: StatisticsOptions,
): Promise<Statistics> {
  const path = stats ?? join(data, STATISTICS);
  if (stats !== undefined || (!someClasses && (await exists(path)))) {
    const statistics = await loadStatistics(path);
    expectStatisticsOf(folder, statistics, path);
    return statistics;
  }
  writeNote(
    `Looking at the pixels of all ${count(folder.length)} training pictures${someClasses ? '' : ': "alexnet stats" would keep them'}`,
  );
  return lookAt(folder, strict);
}
