import { reasonOf } from '../../lib/errors.js';

export interface SectionReport {
  readonly name: string;
  /** `incomplete`: its time was over before all cases were run. */
  readonly status: 'passed' | 'failed' | 'incomplete' | 'skipped';
  readonly cases: number;
  readonly failures: readonly { readonly name: string; readonly error: string }[];
  /** Cases for which there was no time. */
  readonly notReached: readonly string[];
  /** Why a part of it, or all, was not run; exceptions. */
  readonly notes: readonly string[];
  /** The largest max|a − b| / max|b| of all cases, where they have one. */
  readonly worst: { readonly name: string; readonly relative: number } | null;
  readonly seconds: number;
}

/** Runs cases one after the other until its time is over; one that fails does not keep others from running. */
export class Section {
  readonly #name: string;
  readonly #limitMs: number;
  readonly #start = performance.now();
  readonly #failures: { name: string; error: string }[] = [];
  readonly #notReached: string[] = [];
  readonly #notes: string[] = [];
  #worst: SectionReport['worst'] = null;
  #cases = 0;
  #skipped = false;

  constructor(name: string, limitSeconds: number) {
    this.#name = name;
    this.#limitMs = limitSeconds * 1000;
  }

  get remainingMs(): number {
    return Math.max(0, this.#limitMs - (performance.now() - this.#start));
  }

  /** Gives what `body` gives; undefined where it fails, or takes longer than the section may. */
  async run<T>(name: string, body: () => T | Promise<T>): Promise<T | undefined> {
    if (this.remainingMs === 0) {
      this.#notReached.push(name);
      return undefined;
    }
    this.#cases++;
    let timer: NodeJS.Timeout | undefined;
    try {
      const limit = new Promise<never>((_, reject) => {
        const late = () => reject(new Error('Expected an end within the time of its section: it was left'));
        timer = setTimeout(late, this.remainingMs);
      });
      return await Promise.race([body(), limit]);
    } catch (error) {
      this.fail(name, reasonOf(error));
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** A figure that has to be at most `tolerance`; NaN is not. */
  expectAtMost(name: string, relative: number, tolerance: number): void {
    if (!(relative <= (this.#worst?.relative ?? -1))) this.#worst = { name, relative };
    if (relative <= tolerance) return;
    const error = `max|a − b| / max|b| is ${relative.toExponential(2)}, allowed is ${tolerance}`;
    this.fail(name, error);
  }

  fail(name: string, error: string): void {
    this.#failures.push({ name, error });
  }

  note(text: string): void {
    this.#notes.push(text);
  }

  skip(why: string): void {
    this.#skipped = true;
    this.note(why);
  }

  report(): SectionReport {
    return {
      name: this.#name,
      status: this.#status(),
      cases: this.#cases,
      failures: this.#failures,
      notReached: this.#notReached,
      notes: this.#notes,
      worst: this.#worst,
      seconds: (performance.now() - this.#start) / 1000,
    };
  }

  #status(): SectionReport['status'] {
    if (this.#failures.length > 0) return 'failed';
    if (this.#notReached.length > 0) return 'incomplete';
    return this.#skipped ? 'skipped' : 'passed';
  }
}
