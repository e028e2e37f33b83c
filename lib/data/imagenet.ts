import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { DataError, expected, reasonOf } from '../errors.js';
import { isMat, readMatStructs } from '../io/mat.js';

/** The names under which they are distributed: Kaggle's, Caffe's and that of the development kits. */
export const SYNSET_FILES = ['LOC_synset_mapping.txt', 'synset_words.txt', 'meta.mat'] as const;
export const LABEL_FILES = [
  'LOC_val_solution.csv',
  'ILSVRC2012_validation_ground_truth.txt',
  'ILSVRC2010_validation_ground_truth.txt',
] as const;

/** ImageNet's classes. */
export interface Synsets {
  path: string;
  /** By WordNet id: the id and the words, `n01440764 tench, Tinca tinca`, as no words are only one synset's. */
  names: ReadonlyMap<string, string>;
  /** WordNet ids by the challenge's own numbers, from 1; only meta.mat has them. */
  numbered: ReadonlyMap<number, string>;
}

/** What tells a class: the WordNet id that its name is or begins with, or the name. */
export function classId(name: string): string {
  return /^n\d{8}(?= |$)/.exec(name)?.[0] ?? name;
}

export function isSynset(name: string): boolean {
  return /^n\d{8}$/.test(name);
}

/** The first of these files in a folder or in the one above it. */
export async function besides(folder: string, names: readonly string[]): Promise<string | undefined> {
  for (const place of [folder, join(folder, '..')]) {
    const found = await readdir(place).catch((): string[] => []);
    const name = names.find((one) => found.includes(one));
    if (name !== undefined) return join(place, name);
  }
  return undefined;
}

/**
 * Reads lines such as `n01440764 tench, Tinca tinca`, or the `meta.mat` of a development kit of 2010 or 2012.
 * @throws {DataError} that names the line or the synset, where one has no name or there is none
 * @throws {FileFormatError} for another MAT-file
 */
export async function readSynsets(path: string): Promise<Synsets> {
  const bytes = await read(path, 'synsets');
  const names = new Map<string, string>();
  const numbered = new Map<number, string>();
  const add = (id: string, words: string, where: string): void => {
    if (words === '') throw new DataError(`Expected name of synset ${id} in ${where} but received none`);
    if (names.has(id)) throw new DataError(`Expected each synset once in ${where} but received ${id} again`);
    names.set(id, `${id} ${words}`);
  };
  if (isMat(bytes)) {
    for (const synset of await readMatStructs(path, 'synsets')) {
      const number = Object.entries(synset).find(([field]) => /^ILSVRC\d{4}_ID$/.test(field))?.[1];
      const { WNID: id, words } = synset;
      if (typeof id !== 'string' || !isSynset(id) || typeof number !== 'number')
        throw new DataError(`Expected WNID and ILSVRC…_ID of each synset in ${path} but received ${id}`);
      // Inner nodes of the hierarchy are no classes.
      if ((synset.num_children ?? 0) !== 0) continue;
      add(id, typeof words === 'string' ? words.trim() : '', path);
      numbered.set(number, id);
    }
  } else {
    linesOf(bytes).forEach((line, i) => {
      const where = `line ${i + 1} of ${path}`;
      const [, id, words = ''] = /^(n\d{8})(?:\s+(.*))?$/.exec(line.trim()) ?? [];
      if (id === undefined) throw new DataError(expected('synset, such as "n01440764 tench",', where, line));
      add(id, words, where);
    });
  }
  if (names.size === 0) throw new DataError(`Expected synsets for ${path} but received none`);
  return { path, names, numbered };
}

/**
 * The WordNet ids of the pictures of a flat folder.
 * @param files in the order of the challenge's numbers, which is that of their names
 * @param path one number a line, from 1, in the order of the files (`ILSVRC2012_validation_ground_truth.txt`, and so of 2010), or
 *   Kaggle's table (`LOC_val_solution.csv`)
 * @param synsets of which a number is one; default: the `meta.mat` beside the labels
 * @throws {DataError} that names the line, where labels and files do not go together
 */
export async function readLabels(
  path: string,
  files: readonly string[],
  synsets: Synsets | undefined,
): Promise<string[]> {
  const lines = linesOf(await read(path, 'labels'));
  const isTable = lines[0]?.startsWith('ImageId,') ?? false;
  const labels = isTable ? lines.length - 1 : lines.length;
  if (labels !== files.length) {
    const pictures = `${files.length} labels, as many as ${dirname(files[0] ?? '')} has pictures,`;
    throw new DataError(expected(pictures, path, labels));
  }
  if (isTable) return tableLabels(path, lines, files);
  const { numbered, path: source } = synsets?.numbered.size ? synsets : await metaBeside(path);
  return lines.map((line, i) => {
    const id = /^\d+$/.test(line.trim()) ? numbered.get(Number(line)) : undefined;
    if (id !== undefined) return id;
    throw new DataError(expected(`number of a synset of ${source}`, `line ${i + 1} of ${path}`, line));
  });
}

async function metaBeside(labels: string): Promise<Synsets> {
  const path = await besides(dirname(labels), ['meta.mat']);
  if (path !== undefined) return readSynsets(path);
  throw new DataError(
    `Expected meta.mat of the development kit for the numbers in ${labels} but received none: give it as synsets, or put it beside`,
  );
}

function tableLabels(path: string, lines: readonly string[], files: readonly string[]): string[] {
  const labels = new Map<string, string>();
  lines.forEach((line, i) => {
    if (i === 0) return;
    const [, picture, id] = /^"?([^,"]+)"?,"?(n\d{8})\b/.exec(line) ?? [];
    const where = `line ${i + 1} of ${path}`;
    if (picture === undefined || id === undefined)
      throw new DataError(
        expected('picture and synset, such as "ILSVRC2012_val_00000001,n01751748 …",', where, line),
      );
    labels.set(picture, id);
  });
  return files.map((file) => {
    const id = labels.get(basename(file, extname(file)));
    if (id === undefined) throw new DataError(`Expected label for ${file} in ${path} but received none`);
    return id;
  });
}

async function read(path: string, what: string): Promise<Buffer> {
  return readFile(path).catch((cause: unknown) => {
    throw new DataError(`Expected file of ${what} for ${path} but received ${reasonOf(cause)}`, { cause });
  });
}

/** Without empty ones at the end. */
function linesOf(bytes: Buffer): string[] {
  return bytes.toString('utf8').trimEnd().split(/\r?\n/);
}
