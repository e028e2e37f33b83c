/** One line on stdout, written at once. */
export function writeLine(line: string): void {
  process.stdout.write(`${printable(line)}\n`);
}

/** One line on stderr: what is no result. */
export function writeNote(line: string): void {
  process.stderr.write(`${printable(line)}\n`);
}

/** Names of files may hold line breaks and commands to the terminal. What was JSON is JSON of the same. */
export function printable(text: string): string {
  return text.replaceAll(
    /\p{Cc}/gu,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A line of JSON: the form of all that `--json` writes. */
export function writeJson(value: object): void {
  writeLine(JSON.stringify(value));
}

/** Writes something to know that is no result. */
export type Tell = (line: string) => void;

/** With `--json` stdout is left alone. */
export function teller(json: boolean): Tell {
  return json ? writeNote : writeLine;
}

/** The line at the end of a report, if anything was left out. */
export function describeSkipped(skipped: number): string[] {
  if (skipped === 0) return [];
  const what = skipped === 1 ? '1 file was' : `${count(skipped)} files were`;
  return [`${what} left out: no pictures, or pictures that cannot be read`];
}

export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}

export function count(number: number): string {
  return number.toLocaleString('en-US');
}
