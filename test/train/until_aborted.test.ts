import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { untilAborted } from '../../lib/train/until_aborted.js';

async function* counting(seen: WeakRef<object>[] = []): AsyncGenerator<object, void, undefined> {
  for (let i = 0; ; i++) {
    const value = { i };
    seen.push(new WeakRef(value));
    yield value;
  }
}

describe('untilAborted', () => {
  it('keeps none of the values that were passed on: batches of an epoch are gigabytes', async () => {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    if (typeof collect !== 'function') throw new Error('no garbage collector to call');
    const seen: WeakRef<object>[] = [];
    const values = untilAborted(counting(seen), new AbortController().signal);
    for (let i = 0; i < 20; i++) await values.next();
    await setImmediate();
    collect();
    expect(seen.filter((ref) => ref.deref() !== undefined).length).to.be.at.most(2);
    await values.return();
  });

  it('ends while it waits for a value that never comes, and ends the source', async () => {
    const abort = new AbortController();
    const never = new Promise<void>(() => {});
    async function* stuck(): AsyncGenerator<number, void, undefined> {
      yield 1;
      await never;
    }
    const values = untilAborted(stuck(), abort.signal);
    expect((await values.next()).value).to.equal(1);
    const next = values.next();
    abort.abort();
    expect((await next).done).to.equal(true);
  });

  it('passes on what the source throws', async () => {
    async function* broken(): AsyncGenerator<number, void, undefined> {
      yield 1;
      throw new RangeError('broken');
    }
    const values = untilAborted(broken(), undefined);
    await values.next();
    const failure = await values.next().catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(RangeError);
  });
});
