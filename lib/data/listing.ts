import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, reasonOf } from '../errors.js';
import type { SkippedFile } from './dataset.js';
import {
  besides,
  isSynset,
  LABEL_FILES,
  readLabels,
  readSynsets,
  SYNSET_FILES,
  type Synsets,
} from './imagenet.js';

/** What `alexnet stats` writes into the folder of a data set. */
export const STATISTICS = 'stats.safetensors';

/**
 * The names of a flat folder's pictures: what else lies there has no label. One that is broken has, so its content does not tell.
 */
const PICTURE = /\.(avif|gif|hei[cf]|jpe?g|png|svg|tiff?|webp)$/i;

/** A class and what lies in its folder. */
export interface ListedClass {
  name: string;
  /** Paths, by code unit: all but folders and what is hidden. */
  files: string[];
  /** Folders that cannot be read. */
  unreadable: SkippedFile[];
}

export interface ListingOptions {
  /**
   * Names of ImageNet's classes: `LOC_synset_mapping.txt`, `synset_words.txt` or the `meta.mat` of a development kit. Default:
   * that in the folder or in the one above it, where all class folders are WordNet ids.
   */
  synsets?: string | undefined;
  /**
   * Labels of a folder that has pictures and no class folders: `ILSVRC2012_validation_ground_truth.txt`, or so of 2010, or
   * `LOC_val_solution.csv`. Default: that in the folder or in the one above it.
   */
  labels?: string | undefined;
}

/**
 * The classes of a folder by code unit: its folders, or as the labels say.
 * @throws {DataError} where it has none, or a file about ImageNet's classes does not fit it
 */
export async function listClasses(root: string, options: ListingOptions): Promise<ListedClass[]> {
  const folders = await classFolders(root);
  const labels = folders.length > 0 ? undefined : (options.labels ?? (await besides(root, LABEL_FILES)));
  if (folders.length === 0 && labels === undefined) {
    const pictures = (await list(root)).some(({ name }) => PICTURE.test(name));
    const why = pictures
      ? `, and no labels for its pictures in it or in the folder above it (${LABEL_FILES.join(', ')}): "alexnet prepare --labels" takes those of another place`
      : '';
    throw unusable(root, `there are no class folders in it${why}`);
  }
  if (folders.length > 0 && options.labels !== undefined)
    throw unusable(root, `the labels ${options.labels} are of a folder without class folders`);
  const synsets = await synsetsOf(root, folders, options.synsets);
  if (labels !== undefined) return listFlat(root, labels, synsets);
  const classes: ListedClass[] = [];
  for (const folder of folders) {
    classes.push({ name: nameOf(folder, synsets), ...(await filesIn(join(root, folder))) });
  }
  return classes;
}

async function synsetsOf(
  root: string,
  folders: readonly string[],
  given: string | undefined,
): Promise<Synsets | undefined> {
  const path = given ?? (folders.every(isSynset) ? await besides(root, SYNSET_FILES) : undefined);
  return path === undefined ? undefined : readSynsets(path);
}

function nameOf(id: string, synsets: Synsets | undefined): string {
  if (synsets === undefined) return id;
  const name = synsets.names.get(id);
  if (name === undefined)
    throw new DataError(`Expected name of synset ${id} in ${synsets.path} but received none`);
  return name;
}

async function listFlat(root: string, labels: string, synsets: Synsets | undefined): Promise<ListedClass[]> {
  const files = (await list(root))
    .filter((entry) => !entry.isDirectory() && PICTURE.test(entry.name))
    .map(({ name }) => join(root, name))
    .sort();
  const classes = new Map<string, string[]>();
  (await readLabels(labels, files, synsets)).forEach((id, i) => {
    const own = classes.get(id) ?? [];
    own.push(files[i] ?? '');
    classes.set(id, own);
  });
  return [...classes.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, own]) => ({ name: nameOf(id, synsets), files: own, unreadable: [] }));
}

export function unusable(root: string, reason: string, cause?: unknown): DataError {
  return new DataError(
    `Expected folder with a folder of pictures for each class but received ${root}: ${reason}`,
    {
      cause,
    },
  );
}

async function list(folder: string): Promise<Dirent[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter(({ name }) => !name.startsWith('.'));
}

/** By code unit. */
async function classFolders(root: string): Promise<string[]> {
  let entries: Dirent[];
  try {
    entries = await list(root);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw unusable(root, 'no such folder', error);
    throw unusable(root, code === 'ENOTDIR' ? 'not a folder' : message, error);
  }
  const names: string[] = [];
  for (const entry of entries) {
    const linked = entry.isSymbolicLink() ? await stat(join(root, entry.name)).catch(() => entry) : entry;
    if (linked.isDirectory()) names.push(entry.name);
  }
  return names.sort();
}

/** All but folders, in a folder and the folders in it, by code unit. Links are not followed, so no circle is. */
async function filesIn(folder: string): Promise<Omit<ListedClass, 'name'>> {
  let entries: Dirent[];
  try {
    entries = await list(folder);
  } catch (error) {
    return { files: [], unreadable: [{ file: folder, reason: reasonOf(error) }] };
  }
  const files: string[] = [];
  const unreadable: SkippedFile[] = [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      const inner = await filesIn(path);
      for (const file of inner.files) files.push(file);
      for (const one of inner.unreadable) unreadable.push(one);
    } else files.push(path);
  }
  return { files: files.sort(), unreadable };
}
