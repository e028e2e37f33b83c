import { join } from 'node:path';
import { expect } from 'chai';
import { ImageFolder } from '../../lib/data/folder.js';
import { Loader } from '../../lib/data/loader.js';
import { PHOTOS, PHOTOS_NEEDED } from '../support/photos.js';

describe('real photos', () => {
  it(`are loaded${PHOTOS_NEEDED}`, async function () {
    if (PHOTOS === undefined) return this.skip();
    const folder = await ImageFolder.open(join(PHOTOS, 'val'));
    expect(folder.length).to.be.greaterThan(0);
    const counts = folder.classes.map(() => 0);
    for await (const { height, width, labels, pixels } of new Loader(folder, {
      batchSize: 32,
      crop: 227,
      training: false,
    }).epoch(0)) {
      expect([height, width]).to.deep.equal([256, 256]);
      for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
      // Photos have more than a few values.
      for (const picture of pixels) expect(new Set(picture).size).to.be.greaterThan(16);
    }
    expect(counts.reduce((sum, count) => sum + count)).to.equal(folder.length);
    for (const count of counts) expect(count).to.be.greaterThan(0);
  });
});
