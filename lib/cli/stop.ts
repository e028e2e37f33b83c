/** 128 + the signal's number: what programs end with that a signal ended. */
const STATUSES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

interface Work {
  controller: AbortController;
  /** What it will end with, once it was asked to stop. */
  status: number | undefined;
}

let current: Work | undefined;

/**
 * Asks the work under way to stop: it finishes its step and saves.
 * @returns whether there is such work, or was it asked before
 */
export function requestStop(status: number): boolean {
  if (current === undefined) return false;
  if (current.status === undefined) {
    current.status = status;
    current.controller.abort();
  }
  return true;
}

/**
 * Runs `work`, whose signal is aborted by the first SIGINT, SIGTERM or SIGHUP, or when nobody reads our output any more. A second
 * signal ends the process at once.
 * @returns the result, and if it was asked to stop, the status to end with
 */
export async function stoppable<T>(
  work: (signal: AbortSignal) => Promise<T>,
): Promise<{ result: T; status: number | undefined }> {
  const running: Work = { controller: new AbortController(), status: undefined };
  const onSignal = (name: keyof typeof STATUSES): void => {
    if (running.controller.signal.aborted) process.exit(STATUSES[name]);
    requestStop(STATUSES[name]);
    process.stderr.write(`\n${name}: finishing the step and saving. Once more ends at once\n`);
  };
  const names = Object.keys(STATUSES) as (keyof typeof STATUSES)[];
  for (const name of names) process.on(name, onSignal);
  current = running;
  try {
    const result = await work(running.controller.signal);
    return { result, status: running.status };
  } finally {
    current = undefined;
    for (const name of names) process.off(name, onSignal);
  }
}
