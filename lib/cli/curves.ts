import { appendFile, readFile } from 'node:fs/promises';
import { writeAtomically } from '../io/atomic.js';
import type { EpochEvent, StepEvent } from '../train/events.js';

/** What `curves.csv` holds in a row: means over up to ten steps, or an epoch. */
export type CurveRow =
  | {
      event: 'step';
      epoch: number;
      /** The last of them. */
      step: number;
      loss: number;
      top1: number;
      lr: number;
      imagesPerSecond: number;
    }
  | {
      event: 'epoch';
      epoch: number;
      step: number;
      loss: number;
      top1: number;
      val: { loss: number; top1: number; top5: number } | null;
    };

const HEAD = 'event,epoch,step,loss,top1,lr,imagesPerSecond,valLoss,valTop1,valTop5';
const COLUMNS = HEAD.split(',').length;

/** `curves.csv`: a row is appended at once, so that a crash costs the last one at most. */
export class CurvesFile {
  /** All that the file holds, and what could no longer be written to it. */
  readonly rows: CurveRow[];

  private constructor(
    readonly path: string,
    rows: CurveRow[],
  ) {
    this.rows = rows;
  }

  /**
   * Begins the file, with those rows of another that are of steps up to `lastStep`.
   * @throws {FileWriteError}
   * @throws where the other is there and cannot be read
   */
  static async create(path: string, from: string | null, lastStep: number): Promise<CurvesFile> {
    const text = from === null ? '' : await readIfThere(from);
    const rows = text
      .split('\r\n')
      // The last has no end: a crash cut it short, and its last number might still read as one.
      .slice(0, -1)
      .flatMap((line) => parseRow(line) ?? [])
      .filter(({ step }) => step <= lastStep);
    await writeAtomically(path, (file) => file.writeFile([HEAD, ...rows.map(formatRow), ''].join('\r\n')));
    return new CurvesFile(path, rows);
  }

  /** @throws where the disk does not take it */
  async append(row: CurveRow): Promise<void> {
    this.rows.push(row);
    await appendFile(this.path, `${formatRow(row)}\r\n`);
  }
}

async function readIfThere(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
}

function formatRow(row: CurveRow): string {
  const { event, epoch, step, loss, top1 } = row;
  const cells =
    row.event === 'step'
      ? [row.lr, row.imagesPerSecond, '', '', '']
      : ['', '', row.val?.loss ?? '', row.val?.top1 ?? '', row.val?.top5 ?? ''];
  return [event, epoch, step, loss, top1, ...cells].join(',');
}

/** Undefined for the head, and for what is no row. */
function parseRow(line: string): CurveRow | undefined {
  const cells = line.split(',');
  const numbers = cells.slice(1).map((cell) => (cell === '' ? null : Number(cell)));
  const [epoch, step, loss, top1, lr, imagesPerSecond, valLoss, valTop1, valTop5] = numbers;
  if (cells.length !== COLUMNS || numbers.some(Number.isNaN)) return undefined;
  if (!isNumber(epoch) || !isNumber(step) || !isNumber(loss) || !isNumber(top1)) return undefined;
  if (cells[0] === 'step' && isNumber(lr) && isNumber(imagesPerSecond))
    return { event: 'step', epoch, step, loss, top1, lr, imagesPerSecond };
  if (cells[0] !== 'epoch') return undefined;
  const hasVal = isNumber(valLoss) && isNumber(valTop1) && isNumber(valTop5);
  const val = hasVal ? { loss: valLoss, top1: valTop1, top5: valTop5 } : null;
  return { event: 'epoch', epoch, step, loss, top1, val };
}

function isNumber(value: number | null | undefined): value is number {
  return typeof value === 'number';
}

/** So many steps are a point of the curves. */
const STEPS = 10;

/** Means over ten steps each, counted from the run's beginning, or over what an epoch's end leaves of them. */
export class StepMeans {
  #steps: StepEvent[] = [];

  /** @returns a row after each tenth step, and after ten where that was passed over */
  add(step: StepEvent): CurveRow | undefined {
    this.#steps.push(step);
    return step.step % STEPS === 0 || this.#steps.length === STEPS ? this.take() : undefined;
  }

  /** @returns undefined where there is no step since the last row */
  take(): CurveRow | undefined {
    const steps = this.#steps;
    const last = steps.at(-1);
    if (last === undefined) return undefined;
    this.#steps = [];
    const total = (of: (step: StepEvent) => number) => steps.reduce((sum, step) => sum + of(step), 0);
    const images = total((step) => step.images);
    return {
      event: 'step',
      epoch: last.epoch,
      step: last.step,
      loss: total((step) => step.loss * step.images) / images,
      top1: total((step) => step.top1 * step.images) / images,
      lr: last.lr,
      imagesPerSecond: images / total((step) => step.images / step.imagesPerSecond),
    };
  }
}

export function epochRow({ epoch, step, train, val }: EpochEvent): CurveRow {
  return { event: 'epoch', epoch, step, ...train, val };
}
