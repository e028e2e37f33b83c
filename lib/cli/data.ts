import { Cifar10, isCifar10 } from '../data/cifar10.js';
import type { Dataset } from '../data/dataset.js';
import { ImageFolder, type ImageFolderOptions } from '../data/folder.js';
import { unusable } from '../data/listing.js';
import { Shapes } from '../data/shapes.js';
import { DataError } from '../errors.js';
import { count, writeNote } from './output.js';
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

/** @param pictures how they are to be decoded, and of which classes */
export async function openFolders(
  { data, val }: DataFolders,
  strict: boolean,
  pictures: ImageFolderOptions,
): Promise<Data> {
  const train = await openData(data, strict, pictures);
  const ofTheseClasses = { ...pictures, classes: train.classes };
  return { train, validation: await openData(val, strict, ofTheseClasses, 'validation') };
}

/** A folder of pictures, or CIFAR-10: of that one part. */
export async function openData(
  root: string,
  strict: boolean,
  options: ImageFolderOptions,
  part: 'train' | 'validation' = 'train',
): Promise<Dataset> {
  return (await isCifar10(root))
    ? Cifar10.open(root, { ...options, part })
    : openFolder(root, strict, options);
}

/** Of the files that are no pictures so many are named: a folder may hold as many of them as pictures. */
const NAMED = 100;

/**
 * Opens a folder, and tells what in it is left out.
 * @throws {DataError} for a folder that cannot be used, or where strict, that holds anything but pictures
 */
export async function openFolder(
  root: string,
  strict: boolean,
  options: ImageFolderOptions,
): Promise<ImageFolder> {
  if (await isCifar10(root))
    throw unusable(root, "it is CIFAR-10's binary version, which train, eval and stats take as it is");
  const folder = await ImageFolder.open(root, options);
  const { skipped } = folder;
  const [first] = skipped;
  if (first === undefined) return folder;
  const many = `${count(skipped.length)} ${skipped.length === 1 ? 'file is no picture' : 'files are no pictures'}`;
  if (strict) {
    throw new DataError(
      `Expected only pictures in ${root}, because of --strict, but ${many}: ${first.file} (${first.reason})`,
    );
  }
  for (const { file, reason } of skipped.slice(0, NAMED)) writeNote(`Left out: ${file} (${reason})`);
  if (skipped.length > NAMED) writeNote(`Left out: ${count(skipped.length - NAMED)} more`);
  writeNote(`${root}: ${many}, left out`);
  return folder;
}
