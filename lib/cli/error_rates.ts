import { basename, resolve } from 'node:path';
import type { Judgement } from '../train/evaluate.js';
import { ModelFile } from '../train/model_file.js';
import { rankOf } from '../train/scores.js';

/** Fractions of 0…1. */
export interface ErrorRateRow {
  /** `1 CNN`, or of several together `5 CNNs`. */
  model: string;
  files: readonly string[];
  top1Error: number;
  top5Error: number;
}

/** The error rates of models, of each and of all together, in the form of the paper's tables 1 and 2. */
export class ErrorRates {
  readonly #counts: { top1: number; top5: number }[];
  #pictures = 0;

  /** @param files of the models */
  constructor(readonly files: readonly string[]) {
    this.#counts = [...files, 'all'].map(() => ({ top1: 0, top5: 0 }));
  }

  add({ label, probabilities, members }: Judgement): void {
    this.#pictures++;
    for (const [i, count] of this.#counts.entries()) {
      const rank = rankOf(label, members[i] ?? probabilities);
      count.top1 += Number(rank >= 1);
      count.top5 += Number(rank >= 5);
    }
  }

  rows(): ErrorRateRow[] {
    const { files } = this;
    const rows = this.#counts.map(({ top1, top5 }, i) => {
      const file = files[i];
      return {
        model: file === undefined ? `${files.length} CNNs` : '1 CNN',
        files: file === undefined ? files : [file],
        top1Error: top1 / this.#pictures,
        top5Error: top5 / this.#pictures,
      };
    });
    return files.length === 1 ? rows.slice(0, 1) : rows;
  }

  /**
   * As lines of text. A model that was trained on other pictures before has the paper's asterisk, where its file tells.
   * @param data the folder of the pictures, after which the columns are named
   */
  async describe(data: string): Promise<string[]> {
    const pretrained = new Set<string>();
    for (const file of this.files) if (await wasPretrained(file)) pretrained.add(file);
    const set = basename(resolve(data));
    const cells = this.rows().map(({ model, files, top1Error, top5Error }) => [
      `${model}${files.some((file) => pretrained.has(file)) ? '*' : ''}`,
      rate(top1Error),
      rate(top5Error),
      files.length === 1 ? (files[0] ?? '') : '',
    ]);
    const table = [['Model', `Top-1 (${set})`, `Top-5 (${set})`, ''], ...cells];
    const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
    const lines = table.map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    );
    if (pretrained.size > 0) lines.push('* started from a model that was trained before (--from)');
    return lines;
  }
}

function rate(fraction: number): string {
  return `${(100 * fraction).toFixed(1)}%`;
}

async function wasPretrained(file: string): Promise<boolean> {
  await using model = await ModelFile.open(file);
  return typeof model.info.notes?.from === 'string';
}
