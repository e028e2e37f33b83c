/** Runs `body` with a clock that stands still but for `advance`. */
export async function withClock(body: (advance: (ms: number) => void) => Promise<void>): Promise<void> {
  const { now } = performance;
  let nowMs = 1000;
  performance.now = () => nowMs;
  try {
    await body((ms) => {
      nowMs += ms;
    });
  } finally {
    performance.now = now;
  }
}
