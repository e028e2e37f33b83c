import { writeAtomically } from './atomic.js';

/** A table with commas between cells and CRLF after rows, as RFC 4180 has it. @throws {FileWriteError} */
export async function writeCsv(path: string, rows: readonly (readonly (string | number)[])[]): Promise<void> {
  const text = rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
  await writeAtomically(path, async (file) => {
    await file.writeFile(text);
  });
}

function cell(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
