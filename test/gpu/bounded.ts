import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { writeAtomically } from '../../lib/io/atomic.js';

/** What a run has to leave in its report, whatever becomes of it. */
export interface Bounded {
  /** Where the run is, or ended before its time; null once all was run. */
  unfinished: string | null;
}

/**
 * Runs a program of Node's that writes a report, and kills it and all that it started at the limit: what a device's driver
 * hangs in, no timer of the process itself gets out of. Gives the exit status, and tells where the run ended early.
 */
export async function runBounded(
  args: readonly string[],
  out: string,
  limit: AbortSignal,
): Promise<{ status: number; told: string | null }> {
  await rm(out, { force: true });
  // A group of its own, for the processes that it starts.
  const child = spawn(process.execPath, args, { stdio: 'inherit', detached: true });
  const kill = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL');
  };
  limit.addEventListener('abort', kill);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, kill);
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  limit.removeEventListener('abort', kill);
  for (const each of ['SIGINT', 'SIGTERM'] as const) process.off(each, kill);

  const report = await read(out);
  if (report?.unfinished === null) return { status: code ?? 1, told: null };
  const how = limit.aborted ? 'was killed at its limit' : `ended with ${signal ?? `status ${code}`}`;
  const told = `the run ${how}, in: ${report?.unfinished ?? 'its beginning'}`;
  await writeAtomically(out, async (file) => {
    await file.writeFile(`${JSON.stringify({ ...report, unfinished: told }, null, 2)}\n`);
  });
  return { status: code === 0 || code === null ? 1 : code, told };
}

async function read(out: string): Promise<Bounded | null> {
  try {
    return JSON.parse(await readFile(out, 'utf8')) as Bounded;
  } catch {
    return null;
  }
}
