import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { expect } from 'chai';
import { ImageFolder } from '../../lib/data/folder.js';
import { readSynsets } from '../../lib/data/imagenet.js';
import { FileFormatError } from '../../lib/errors.js';
import { rejection } from './rejection.js';
import { useTree } from './trees.js';

const TENCH = 'n01440764 tench, Tinca tinca';
const CRANES = ['n02012849 crane', 'n03126707 crane'];
const MAPPING = `${[TENCH, ...CRANES].join('\n')}\n`;
/** By SciPy: 1 is n02119789, a kit fox, 2 is n02100735, an English setter, and 1001 is a synset above. */
const META = new URL('../io/scipy.mat', import.meta.url);

describe('ImageNet', () => {
  const { at, write, paint } = useTree();
  const labelsOf = (folder: ImageFolder) =>
    folder.files.map((file, i) => `${relative(at(), file)} ${folder.labelOf(i)}`);

  describe('class folders by WordNet id', () => {
    beforeEach(async () => {
      for (const [i, id] of ['n03126707', 'n01440764', 'n02012849'].entries())
        await paint(`ILSVRC/train/${id}/${id}_1.JPEG`, i);
    });

    it('have the names of the file beside them, with their ids, as names are not unique', async () => {
      expect((await ImageFolder.open(at('ILSVRC/train'))).classes).to.deep.equal([
        ...['n01440764', 'n02012849', 'n03126707'],
      ]);
      for (const place of ['ILSVRC/LOC_synset_mapping.txt', 'ILSVRC/train/synset_words.txt']) {
        await write(place, MAPPING);
        const { classes } = await ImageFolder.open(at('ILSVRC/train'));
        expect(classes).to.deep.equal([TENCH, ...CRANES]);
      }
    });

    it('have those of the file that is given', async () => {
      await write('names.txt', MAPPING.replaceAll('\n', '\r\n'));
      const { classes } = await ImageFolder.open(at('ILSVRC/train'), { synsets: at('names.txt') });
      expect(classes).to.deep.equal([TENCH, ...CRANES]);
    });

    it('go by their ids, whatever name a model has for them', async () => {
      for (const classes of [
        ['n03126707 hoist', 'n02012849', TENCH],
        ['n03126707', 'n02012849', 'n01440764'],
      ]) {
        const folder = await ImageFolder.open(at('ILSVRC/train'), { classes });
        expect(folder.classes).to.equal(classes);
        expect([0, 1, 2].map((i) => folder.labelOf(i))).to.deep.equal([2, 1, 0]);
      }
    });

    it('are no other file, nor one without a name', async () => {
      const failure = async (text: string) => {
        await write('names.txt', text);
        return rejection(ImageFolder.open(at('ILSVRC/train'), { synsets: at('names.txt') }));
      };
      expect(await failure(`${TENCH}\n${CRANES[0]}\n`)).to.match(
        /Expected name of synset n03126707 in .*names\.txt but received none/,
      );
      expect(await failure(`${TENCH}\nn02012849\n${CRANES[1]}\n`)).to.match(
        /name of synset n02012849 in line 2 of .*names\.txt but received none/,
      );
      expect(await failure(`${TENCH}\n\n${CRANES[1]}\n`)).to.match(/synset, such as .* for line 2 of/);
      expect(await failure(`${TENCH}\n${TENCH}\n`)).to.match(/each synset once .* n01440764 again/);
      expect(await failure('')).to.match(/synset, such as .* line 1 of .*names\.txt/);
      expect(await rejection(ImageFolder.open(at('ILSVRC/train'), { synsets: at('none') }))).to.match(
        /Expected file of synsets for .*none but received ENOENT/,
      );
    });
  });

  describe('the flat folder of validation pictures', () => {
    const picture = (number: number) => `val/ILSVRC2012_val_0000000${number}.JPEG`;
    beforeEach(async () => {
      for (const number of [1, 2, 3]) await paint(picture(number), number);
    });

    it('has labels by the numbers of meta.mat', async () => {
      await write('devkit/meta.mat', await readFile(META));
      await write('devkit/ILSVRC2012_validation_ground_truth.txt', '2\n1\n2\n');
      const labels = at('devkit/ILSVRC2012_validation_ground_truth.txt');
      const folder = await ImageFolder.open(at('val'), { labels, synsets: at('devkit/meta.mat') });
      expect(folder.classes).to.deep.equal([
        'n02100735 English setter',
        'n02119789 kit fox, Vulpes macrotis',
      ]);
      expect(labelsOf(folder)).to.deep.equal([`${picture(1)} 0`, `${picture(3)} 0`, `${picture(2)} 1`]);
      const { classes } = await ImageFolder.open(at('val'), { labels });
      expect(classes, 'meta.mat beside the labels').to.deep.equal(['n02100735', 'n02119789']);
      const given = ['n02119789 fox', 'n01440764', 'n02100735'];
      const ofModel = await ImageFolder.open(at('val'), { labels, classes: given });
      expect([0, 1, 2].map((i) => ofModel.labelOf(i))).to.deep.equal([2, 2, 0]);
    });

    it("finds the files beside the pictures, 2010's too", async () => {
      await write('val/meta.mat', await readFile(META));
      await write('val/stats.safetensors', 'of alexnet stats');
      await write('val/ILSVRC2010_validation_ground_truth.txt', '1\n1\n2');
      for (const stray of ['stats.safetensors', 'README', 'val.zip'])
        await write(`val/${stray}`, 'no picture');
      expect(labelsOf(await ImageFolder.open(at('val')))).to.deep.equal([
        ...[`${picture(3)} 0`, `${picture(1)} 1`, `${picture(2)} 1`],
      ]);
    });

    it("has labels by Kaggle's table, in any order", async () => {
      const rows = [
        ...['ImageId,PredictionString', 'ILSVRC2012_val_00000003,n01440764 85 1 499 272 '],
        ...[
          'ILSVRC2012_val_00000001,n02012849 1 2 3 4 n02012849 5 6 7 8 ',
          'ILSVRC2012_val_00000002,n01440764 ',
        ],
      ];
      await write('LOC_val_solution.csv', `${rows.join('\n')}\n`);
      await write('LOC_synset_mapping.txt', MAPPING);
      const folder = await ImageFolder.open(at('val'), { synsets: at('LOC_synset_mapping.txt') });
      expect(folder.classes).to.deep.equal([TENCH, CRANES[0]]);
      expect(labelsOf(folder)).to.deep.equal([`${picture(2)} 0`, `${picture(3)} 0`, `${picture(1)} 1`]);

      await write('LOC_val_solution.csv', rows.slice(0, 3).join('\n'));
      expect(await rejection(ImageFolder.open(at('val')))).to.match(/Expected 3 labels.* but received 2/);
      await write('LOC_val_solution.csv', [...rows.slice(0, 3), rows[2]].join('\n'));
      expect(await rejection(ImageFolder.open(at('val')))).to.match(
        /Expected label for .*val_00000002\.JPEG in .*LOC_val_solution\.csv but received none/,
      );
      await write('LOC_val_solution.csv', [...rows.slice(0, 3), 'ILSVRC2012_val_00000002,tench'].join('\n'));
      expect(await rejection(ImageFolder.open(at('val')))).to.match(/picture and synset, .* line 4 of/);
    });

    it('refuses labels that do not go with it', async () => {
      await write('val/meta.mat', await readFile(META));
      const failure = async (labels: string) => {
        await write('labels.txt', labels);
        return rejection(
          ImageFolder.open(at('val'), { labels: at('labels.txt'), synsets: at('val/meta.mat') }),
        );
      };
      expect(await failure('1\n2\n')).to.match(
        /Expected 3 labels, as many as .*val has pictures, for .*labels\.txt but received 2/,
      );
      expect(await failure('1\n2\n2\n1\n')).to.match(/Expected 3 labels.* but received 4/);
      for (const wrong of ['0', '3', '1001', 'fox', '']) {
        expect(await failure(`1\n${wrong}\n2\n`), wrong).to.match(
          /Expected number of a synset of .*meta\.mat for line 2 of .*labels\.txt but received/,
        );
      }
      for (const number of [1, 2, 3]) await paint(`apart/${number}.JPEG`, number);
      const apart = ImageFolder.open(at('apart'), { labels: at('labels.txt') });
      expect(await rejection(apart)).to.match(/Expected meta\.mat of the development kit for .*labels\.txt/);
      expect(await rejection(ImageFolder.open(at('val')))).to.match(/no class folders in it, and no labels/);
      await paint('folders/a/1.JPEG', 1);
      const folders = ImageFolder.open(at('folders'), { labels: at('labels.txt') });
      expect(await rejection(folders)).to.match(/labels .* are of a folder without class folders/);
    });
  });

  it('has a meta.mat that is read whole, and refused when it is cut short', async () => {
    const meta = await readFile(META);
    await write('meta.mat', meta);
    const { names, numbered } = await readSynsets(at('meta.mat'));
    expect([...names.values()]).to.deep.equal([
      'n02119789 kit fox, Vulpes macrotis',
      'n02100735 English setter',
    ]);
    expect([...numbered]).to.deep.equal([
      [1, 'n02119789'],
      [2, 'n02100735'],
    ]);
    for (let length = 10; length < meta.length; length += 13) {
      await write('meta.mat', meta.subarray(0, length));
      expect(await rejection(readSynsets(at('meta.mat')), FileFormatError)).to.match(
        /Expected struct array synsets/,
      );
    }
  });

  it('trains on some of its classes', async () => {
    for (const [i, id] of ['n01440764', 'n02012849', 'n03126707'].entries())
      await paint(`train/${id}/1.JPEG`, i);
    await write('LOC_synset_mapping.txt', MAPPING);
    const folder = await ImageFolder.open(at('train'), { only: ['n03126707', 'n01440764'] });
    expect(folder.classes).to.deep.equal([TENCH, CRANES[1]]);
    expect(labelsOf(folder)).to.deep.equal(['train/n01440764/1.JPEG 0', 'train/n03126707/1.JPEG 1']);
    expect(await rejection(ImageFolder.open(at('train'), { only: ['n03126707', 'fox'] }))).to.match(
      /no class fox \(there are: n01440764 tench/,
    );
    const validation = await ImageFolder.open(at('train'), { only: folder.classes, classes: folder.classes });
    expect(validation.files).to.deep.equal(folder.files);
  });
});
