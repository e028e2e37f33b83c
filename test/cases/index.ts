import { readdirSync } from 'node:fs';
import type { OpTable } from '../support/op_table.js';

/** The tables of this folder: a file each, its default export. */
const folder = new URL('./', import.meta.url);
const files = readdirSync(folder).filter((file) => file.endsWith('.ts') && file !== 'index.ts');
const modules = await Promise.all(
  files.map((file): Promise<{ default: OpTable }> => import(new URL(file, folder).href)),
);
export const tables: readonly OpTable[] = modules.map((module) => module.default);
