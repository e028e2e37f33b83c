/** How long a device has had nothing to do. */
export class IdleClock {
  #sinceMs = performance.now();
  #pending = 0;

  /** @param work what was enqueued, until it is done or has failed */
  add(work: Promise<unknown>): void {
    this.#pending++;
    const done = () => {
      this.#pending--;
      this.#sinceMs = performance.now();
    };
    work.then(done, done);
  }

  get idleMs(): number {
    return this.#pending > 0 ? 0 : performance.now() - this.#sinceMs;
  }
}
