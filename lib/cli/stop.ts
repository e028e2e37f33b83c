/** 128 + the signal's number: what programs end with that a signal ended. */
const STATUSES = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Runs `work`, whose signal is aborted by the first SIGINT or SIGTERM; the process ends with that one's status when `work`
 * has come to its end. A second one ends it at once.
 */
export async function stoppable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: keyof typeof STATUSES): void => {
    if (controller.signal.aborted) process.exit(STATUSES[name]);
    process.exitCode = STATUSES[name];
    process.stderr.write(`\n${name}: finishing the step and saving. Once more ends at once\n`);
    controller.abort();
  };
  const names = Object.keys(STATUSES) as (keyof typeof STATUSES)[];
  for (const name of names) process.on(name, onSignal);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of names) process.off(name, onSignal);
  }
}
