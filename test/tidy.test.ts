import { expect } from 'chai';
import { Device } from '../lib/device.js';
import { add, scale } from '../lib/ops/index.js';
import { keep, tidy } from '../lib/scope.js';
import { type Tensor, tensor } from '../lib/tensor.js';

const one = () => tensor([1]);

describe('tidy', () => {
  it('disposes of what was made in it', () => {
    const made: Tensor[] = [];
    const result = tidy(() => {
      made.push(one(), one());
      return 7;
    });
    expect(result).to.equal(7);
    expect(made.map((t) => t.disposed)).to.deep.equal([true, true]);
  });

  it('leaves what was made before', () => {
    using before = one();
    tidy(() => scale(before, 2));
    expect(before.disposed).to.equal(false);
  });

  it('keeps the tensors of its result, in arrays and plain objects too', () => {
    const { a, more } = tidy(() => {
      const parts = { a: one(), more: [one(), { deep: one() }], none: null };
      one();
      return parts;
    });
    const [b, c] = more;
    const kept = [a, b as Tensor, (c as { deep: Tensor }).deep];
    expect(kept.map((t) => t.disposed)).to.deep.equal([false, false, false]);
    for (const each of kept) each.dispose();
  });

  it('keeps what is used twice in its result once', () => {
    const [a, b] = tidy(() => {
      const t = one();
      return [t, t];
    });
    expect(a).to.equal(b);
    expect(a?.disposed).to.equal(false);
    a?.dispose();
  });

  it('gives its result to the scope around', () => {
    let inner: Tensor | undefined;
    let between: Tensor | undefined;
    tidy(() => {
      inner = tidy(() => tidy(one));
      expect(inner.disposed).to.equal(false);
      between = one();
    });
    expect(inner?.disposed).to.equal(true);
    expect(between?.disposed).to.equal(true);
  });

  it('closes the inner scope only', () => {
    tidy(() => {
      const outer = one();
      let inner: Tensor | undefined;
      tidy(() => {
        inner = one();
      });
      expect(inner?.disposed).to.equal(true);
      expect(outer.disposed).to.equal(false);
      const after = one();
      expect(after.disposed).to.equal(false);
    });
  });

  it('leaves what was kept', () => {
    const kept: Tensor[] = [];
    tidy(() => {
      kept.push(keep(one()));
    });
    expect(kept[0]?.disposed).to.equal(false);
    kept[0]?.dispose();
  });

  it('disposes when its body throws', () => {
    let made: Tensor | undefined;
    expect(() =>
      tidy(() => {
        made = one();
        throw new Error('thrown');
      }),
    ).to.throw('thrown');
    expect(made?.disposed).to.equal(true);
  });

  it('does not mind what was disposed inside', () => {
    const start = Device.get().memory().liveBuffers;
    tidy(() => one().dispose());
    expect(Device.get().memory().liveBuffers).to.equal(start);
  });

  it('is left by using', () => {
    let made: Tensor | undefined;
    {
      using t = one();
      made = t;
    }
    expect(made.disposed).to.equal(true);
  });

  describe('with an async body', () => {
    it('disposes when its promise settles, and not before', async () => {
      let open = () => {};
      const gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      const made: Tensor[] = [];
      const running = tidy(async () => {
        made.push(one());
        await gate;
        made.push(one());
        return made[1];
      });
      expect(made[0]?.disposed).to.equal(false);
      open();
      const result = await running;
      expect(made.map((t) => t.disposed)).to.deep.equal([true, false]);
      result?.dispose();
    });

    it('disposes when its promise rejects', async () => {
      let made: Tensor | undefined;
      const error = await tidy(async () => {
        await null;
        made = one();
        throw new Error('rejected');
      }).catch((caught: unknown) => caught);
      expect(error).to.be.an('error').with.property('message', 'rejected');
      expect(made?.disposed).to.equal(true);
    });

    it('does not mix with others that run interleaved', async () => {
      // Of its own: on the default one the garbage of an earlier test may be collected meanwhile.
      const device = Device.get('cpu:1');
      const start = device.memory().liveBuffers;
      const results = await tidy(() =>
        Promise.all(
          [0, 1, 2, 3].map((i) =>
            tidy(async () => {
              const made: Tensor[] = [];
              for (let step = 0; step < 5; step++) {
                made.push(tensor([i], [1], { device }));
                await new Promise((resolve) => setImmediate(resolve));
                expect(made.every((t) => !t.disposed)).to.equal(true);
                if (step === i) {
                  // A scope of its own, left while the others are in the middle of theirs.
                  const inner = await tidy(async () => {
                    const gone = tensor([10 * i], [1], { device });
                    await gone.data();
                    return scale(gone, 2);
                  });
                  made.push(inner);
                }
              }
              return made.reduce((a, b) => add(a, b));
            }),
          ),
        ),
      );
      expect(await Promise.all(results.map((t) => t.item()))).to.deep.equal([0, 25, 50, 75]);
      expect(device.memory().liveBuffers).to.equal(start + 4);
      for (const t of results) t.dispose();
    });

    it('is the scope of what its callees make after an await', async () => {
      const made: Tensor[] = [];
      const later = async () => {
        await null;
        made.push(one());
      };
      await tidy(async () => {
        await later();
        await Promise.all([later(), later()]);
      });
      expect(made.map((t) => t.disposed)).to.deep.equal([true, true, true]);
    });
  });
});
