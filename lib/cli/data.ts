import type { Dataset } from '../data/dataset.js';
import { ImageFolder } from '../data/folder.js';
import { Shapes } from '../data/shapes.js';
import type { Tell } from './output.js';
import { SHAPES } from './recipes.js';
import type { DataFolders, Settings } from './settings.js';

export interface Data {
  train: Dataset;
  validation: Dataset;
}

export function drawnShapes({
  trainPictures,
  valPictures,
}: Pick<Settings, 'trainPictures' | 'valPictures'>): Data {
  const seed = SHAPES.dataSeed;
  return {
    train: new Shapes({ seed, length: trainPictures, part: 'train' }),
    validation: new Shapes({ seed, length: valPictures, part: 'validation' }),
  };
}

export async function openFolders({ data, val }: DataFolders, tell: Tell): Promise<Data> {
  const train = await openFolder(data, tell);
  return { train, validation: await openFolder(val, tell, train.classes) };
}

/** @param classes those that labels are to be indices of; default: its own */
export async function openFolder(
  root: string,
  tell: Tell,
  classes?: readonly string[],
): Promise<ImageFolder> {
  const folder = await ImageFolder.open(root, classes === undefined ? {} : { classes });
  const { length } = folder.skipped;
  const [first] = folder.skipped;
  if (first !== undefined) {
    tell(`${root}: ${length} of the files left out, no pictures, such as ${first.file} (${first.reason})`);
  }
  return folder;
}
