import { expect } from 'chai';
import { breakdownOf } from '../../lib/bench/breakdown.js';

const span = (
  op: string,
  label: string,
  enqueued: number,
  start: number,
  end: number,
  implementation = '',
) => ({
  op,
  label,
  implementation,
  from: -1,
  bytes: 0,
  enqueuedNs: 1e6 * enqueued,
  startNs: 1e6 * start,
  endNs: 1e6 * end,
});

describe('where the time of a step goes', () => {
  const spans = [
    span('conv2d', 'conv1', 2, 3, 10, 'im2col'),
    span('softmaxCrossEntropy', '', 9, 11, 12),
    span('conv2dBackwardFilter', 'conv1', 15, 15, 20, 'blocked'),
    span('sgdStep', '', 16, 20, 24),
    span('read', '', 17, 26, 27),
  ];
  const { stepMs, parts } = breakdownOf(spans, 0, 30e6, 1);
  const of = (name: string) => parts.find(({ part }) => part === name);

  it('is all accounted for', () => {
    expect(stepMs).to.equal(30);
    expect(parts.reduce((sum, { fraction }) => sum + fraction, 0)).to.be.closeTo(1, 1e-12);
  });

  it('goes to layers by their label, forward and backward', () => {
    expect(of('conv1')).to.deep.equal({
      part: 'conv1',
      forwardMs: 7,
      backwardMs: 5,
      fraction: 12 / 30,
      implementations: ['conv2d: im2col', 'conv2dBackwardFilter: blocked'],
    });
    expect(of('loss')?.forwardMs).to.equal(1);
    expect(of('optimizer')?.forwardMs).to.equal(4);
    expect(of('other')?.forwardMs).to.equal(1);
  });

  it('is idle while nothing is in the queue, and launching while something is', () => {
    // Before the first 2, before the gradient 3, after the last 3.
    expect(of('idle')?.forwardMs).to.equal(8);
    expect(of('launching')?.forwardMs).to.equal(4);
  });

  it('is told for one step', () => {
    const two = breakdownOf(spans, 0, 30e6, 2);
    expect(two.stepMs).to.equal(15);
    expect(two.parts.find(({ part }) => part === 'conv1')?.forwardMs).to.equal(3.5);
    expect(two.parts.reduce((sum, { fraction }) => sum + fraction, 0)).to.be.closeTo(1, 1e-12);
  });
});
