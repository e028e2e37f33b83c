import { expect } from 'chai';
import { captionOf } from '../../lib/cli/predict.js';

describe('predict --picture', () => {
  it("knows the true class by the picture's folder, ImageNet's by its id", () => {
    const classes = ['cat', 'n01440764 tench, Tinca tinca', 'n02012849 crane'];
    const files = ['val/cat/a.jpg', 'val/n02012849/a.jpg', 'val/n02012849 crane/a.jpg', 'val/crane/a.jpg'];
    expect(files.map((file) => captionOf(file, classes).label)).to.deep.equal([
      ...['cat', 'n02012849 crane', 'n02012849 crane', undefined],
    ]);
  });
});
