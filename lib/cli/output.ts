/** One line on stdout, written at once. */
export function writeLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A line of JSON: the form of all that `--json` writes. */
export function writeJson(value: object): void {
  writeLine(JSON.stringify(value));
}

/** Writes something to know that is no result. */
export type Tell = (line: string) => void;

/** With `--json` stdout is left alone. */
export function teller(json: boolean): Tell {
  return json ? (line) => void process.stderr.write(`${line}\n`) : writeLine;
}

export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}

export function count(number: number): string {
  return number.toLocaleString('en-US');
}
