import { readFileSync } from 'node:fs';

/** Resident bytes that are no file's. */
export function residentBytes() {
  const [, kB] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kB) * 1024;
}
