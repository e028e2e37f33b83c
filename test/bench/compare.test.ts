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

  it('passes over what only one of the two has, and over the machine', () => {
    const figures = { machine: { load: spread(1, 2, 3) }, host: { callUs: spread(1, 2, 3) } };
    expect(compare(figures, { machine: figures.machine })).to.deep.equal([]);
  });
});
