/** The values of `source` until `signal` is aborted. What is awaited then is left to itself: it may never come. */
export async function* untilAborted<T>(
  source: AsyncGenerator<T, void, undefined>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  const { promise: aborted, resolve } = withResolver<'aborted'>();
  const onAbort = (): void => resolve('aborted');
  signal?.addEventListener('abort', onAbort);
  try {
    while (!signal?.aborted) {
      const coming = source.next();
      const next = await Promise.race([coming, aborted]);
      if (next === 'aborted') {
        coming.catch(() => {});
        return;
      }
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    source.return().catch(() => {});
  }
}

/** Takes the reason of an aborted signal for nothing. */
export function ifAborted(signal: AbortSignal | undefined): (error: unknown) => undefined {
  return (error) => {
    if (signal?.aborted && error === signal.reason) return undefined;
    throw error;
  };
}

/** `Promise.withResolvers`, which Node 20 has not. */
function withResolver<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
