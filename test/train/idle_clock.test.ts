import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import { IdleClock } from '../../lib/train/idle_clock.js';

/** Work that is done on command. */
function work(): { promise: Promise<void>; done: () => void; fail: () => void } {
  let [done, fail] = [(): void => {}, (): void => {}];
  const promise = new Promise<void>((resolve, reject) => {
    done = resolve;
    fail = () => reject(new Error('failed'));
  });
  return { promise, done, fail };
}

describe('IdleClock', () => {
  it('stands while there is work, and runs from the end of the last of it', async () => {
    const clock = new IdleClock();
    await setImmediate();
    expect(clock.idleMs).to.be.greaterThan(0);
    const [first, second] = [work(), work()];
    clock.add(first.promise);
    clock.add(second.promise);
    expect(clock.idleMs).to.equal(0);
    first.done();
    await setImmediate();
    expect(clock.idleMs).to.equal(0);
    const beforeMs = performance.now();
    second.done();
    await setImmediate();
    const idleMs = clock.idleMs;
    expect(idleMs).to.be.greaterThan(0);
    expect(idleMs).to.be.at.most(performance.now() - beforeMs);
  });

  it('runs after work that failed', async () => {
    const clock = new IdleClock();
    const { promise, fail } = work();
    clock.add(promise);
    fail();
    await setImmediate();
    expect(clock.idleMs).to.be.greaterThan(0);
  });
});
