import { expect } from 'chai';
import { Shapes } from '../../lib/data/shapes.js';
import { ArgumentError } from '../../lib/errors.js';

const SIDE = 32;

/** Means over cells: 32×32 pixels of three channels. */
function thumbnail(pixels: Uint8Array, size: number): Float64Array {
  const cell = size / SIDE;
  const thumb = new Float64Array(SIDE * SIDE * 3);
  for (let i = 0; i < pixels.length; i++) {
    const [x, y] = [Math.floor(i / 3) % size, Math.floor(i / 3 / size)];
    const at = (Math.floor(y / cell) * SIDE + Math.floor(x / cell)) * 3 + (i % 3);
    thumb[at] = (thumb[at] ?? 0) + (pixels[i] ?? 0) / cell ** 2;
  }
  return thumb;
}

function distance(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + (value - (b[i] ?? 0)) ** 2, 0);
}

describe('Shapes', () => {
  it('has ten classes in turn, and pictures of the size asked for', () => {
    const shapes = new Shapes({ length: 12, size: 40 });
    expect(shapes.classes).to.deep.equal([
      ...['circle', 'square', 'triangle', 'ring', 'cross'],
      ...['vertical stripes', 'horizontal stripes', 'diagonal stripes', 'checkerboard', 'dots'],
    ]);
    for (let i = 0; i < 12; i++) {
      const { pixels, height, width, label } = shapes.get(i);
      expect([height, width, label, pixels.length]).to.deep.equal([40, 40, i % 10, 4800]);
    }
    const { height, width } = new Shapes({ length: 1 }).get(0);
    expect([height, width]).to.deep.equal([256, 256]);
  });

  it('draws the same picture for the same seed, part and index, however many there are', () => {
    const [few, many] = [new Shapes({ length: 4, seed: 3 }), new Shapes({ length: 900, seed: 3 })];
    expect(few.get(3).pixels).to.deep.equal(many.get(3).pixels);
  });

  it('draws others for another seed, part or index', () => {
    const pictures = [
      new Shapes({ length: 30 }).get(4),
      new Shapes({ length: 30 }).get(14),
      new Shapes({ length: 30, seed: 1 }).get(4),
      new Shapes({ length: 30, part: 'validation' }).get(4),
    ].map(({ pixels }) => Buffer.from(pixels).toString('latin1'));
    expect(new Set(pictures).size).to.equal(4);
  });

  it('cannot be told apart by colour and place: nearest centroids of thumbnails stay under 40 %', () => {
    const train = new Shapes({ length: 500, size: 64 });
    const centroids = train.classes.map(() => new Float64Array(SIDE * SIDE * 3));
    for (let i = 0; i < train.length; i++) {
      const { pixels, label } = train.get(i);
      const centroid = centroids[label];
      thumbnail(pixels, 64).forEach((value, at) => {
        if (centroid !== undefined) centroid[at] = (centroid[at] ?? 0) + (value * 10) / train.length;
      });
    }
    const test = new Shapes({ length: 300, size: 64, part: 'validation' });
    let hits = 0;
    for (let i = 0; i < test.length; i++) {
      const { pixels, label } = test.get(i);
      const thumb = thumbnail(pixels, 64);
      const distances = centroids.map((centroid) => distance(thumb, centroid));
      if (distances.indexOf(Math.min(...distances)) === label) hits++;
    }
    expect(hits / test.length).to.be.lessThan(0.4);
  });

  it('shows what the class says', () => {
    const shapes = new Shapes({ length: 10, size: 64 });
    /** How much neighbours differ, from row to row and from column to column. */
    const edges = (index: number) => {
      const { pixels } = shapes.get(index);
      let [down, across] = [0, 0];
      for (let y = 0; y < 63; y++) {
        for (let x = 0; x < 63; x++) {
          const at = (y * 64 + x) * 3;
          down += Math.abs((pixels[at] ?? 0) - (pixels[at + 192] ?? 0));
          across += Math.abs((pixels[at] ?? 0) - (pixels[at + 3] ?? 0));
        }
      }
      return across / down;
    };
    expect(edges(shapes.classes.indexOf('vertical stripes'))).to.be.greaterThan(1.5);
    expect(edges(shapes.classes.indexOf('horizontal stripes'))).to.be.lessThan(1 / 1.5);
    expect(edges(shapes.classes.indexOf('checkerboard'))).to.be.within(0.8, 1.25);
  });

  it('refuses what it cannot draw', () => {
    expect(() => new Shapes({ length: 0 })).to.throw(ArgumentError, 'length');
    expect(() => new Shapes({ length: 1, seed: -1 })).to.throw(ArgumentError, 'seed');
    expect(() => new Shapes({ length: 1, size: 0 })).to.throw(ArgumentError, 'size');
    expect(() => new Shapes({ length: 1, part: 'test' as 'train' })).to.throw(ArgumentError, 'part');
    expect(() => new Shapes({ length: 3 }).get(3)).to.throw(ArgumentError, 'index');
  });
});
