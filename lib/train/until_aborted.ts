/** The values of `source` until `signal` is aborted. What is awaited then is left to itself: it may never come. */
export async function* untilAborted<T>(
  source: AsyncGenerator<T, void, undefined>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  try {
    while (!signal?.aborted) {
      const next = await orAborted(() => source.next(), signal);
      if (next === 'aborted' || next.done) return;
      yield next.value;
    }
  } finally {
    source.return().catch(() => {});
  }
}

/** Not by Promise.race: a promise that lasts as long as the signal keeps the results of all that it was raced with. */
async function orAborted<T>(
  start: () => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T | 'aborted'> {
  let onAbort = (): void => {};
  try {
    return await new Promise<T | 'aborted'>((resolve, reject) => {
      onAbort = () => resolve('aborted');
      signal?.addEventListener('abort', onAbort);
      start().then(resolve, reject);
    });
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Takes the reason of an aborted signal for nothing. */
export function ifAborted(signal: AbortSignal | undefined): (error: unknown) => undefined {
  return (error) => {
    if (signal?.aborted && error === signal.reason) return undefined;
    throw error;
  };
}
