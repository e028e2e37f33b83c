import { expect } from 'chai';
import { compare } from '../../bench/compare.js';

const spread = (least: number, median: number, most: number) => ({ median, least, most });
const train = (speed: object) => ({ train: [{ batch: 128, imagesPerSecond: 1, spread: speed }] });

describe('bench --compare', () => {
  it('tells what changed, and whether by more than the spread', () => {
    const [faster] = compare(train(spread(49, 50, 51)), train(spread(54, 55, 56)));
    expect(faster).to.include({ what: 'train, batch 128, spread', beyondSpread: true });
    expect(faster?.change).to.be.closeTo(0.1, 1e-12);
    const [same] = compare(train(spread(49, 50, 55)), train(spread(54, 55, 56)));
    expect(same?.beyondSpread).to.equal(false);
    const [ofOneTrial] = compare(train(spread(49, 50, 51)), train(spread(55, 55, 55)));
    expect(ofOneTrial?.beyondSpread).to.equal(null);
  });

  it('finds figures again by what they are of, not by their place', () => {
    const layers = (...names: string[]) => ({
      layers: names.map((layer, i) => ({ layer, pass: 'forward', batch: 2, ms: spread(i, i + 1, i + 2) })),
    });
    const changes = compare(layers('conv1', 'conv2'), layers('conv2', 'conv3'));
    expect(changes).to.have.lengthOf(1);
    expect(changes[0]).to.deep.include({
      what: 'layers, layer conv2 pass forward batch 2, ms',
      old: { value: 2, least: 1, most: 3 },
      now: { value: 1, least: 0, most: 2 },
    });
  });

  it('tells latency, memory and first step, which are one value each', () => {
    const row = (p99: number, peakResidentBytes: number, firstStepMs: number) => ({
      infer: [{ batch: 1, stepMs: { median: 1, p99 }, peakResidentBytes, firstStepMs }],
    });
    const changes = compare(row(10, 100, 1000), row(12, 50, 1100));
    expect(changes.map(({ what, beyondSpread }) => [what, beyondSpread])).to.deep.equal([
      ['infer, batch 1, stepMs, p99', null],
      ['infer, batch 1, peakResidentBytes', null],
      ['infer, batch 1, firstStepMs', null],
    ]);
    expect(changes.map(({ change }) => Math.round(100 * change))).to.deep.equal([20, -50, 10]);
  });

  it('passes over what only one of the two has, and over the machine', () => {
    const figures = { machine: { load: spread(1, 2, 3) }, host: { callUs: spread(1, 2, 3) } };
    expect(compare(figures, { machine: figures.machine })).to.deep.equal([]);
  });
});
