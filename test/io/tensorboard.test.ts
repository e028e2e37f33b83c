import { readdir, readFile, truncate } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import {
  bytesField,
  crc32c,
  EventFile,
  encodeEvent,
  encodeRecord,
  floatField,
  varintField,
} from '../../lib/io/tensorboard.js';
import { hasPython, runPython, temporaryFolder } from './files.js';

describe('TensorBoard event files', () => {
  const folder = temporaryFolder();

  it("are TensorFlow's bytes", () => {
    // RFC 3720 and "123456789", the check value of CRC-32C.
    expect(crc32c(Buffer.from('123456789'))).to.equal(0xe3069283);
    expect(crc32c(new Uint8Array(32))).to.equal(0x8a9136aa);
    // SerializeToString() of tensorboard 2.21's own Event.
    const version = encodeEvent(1234.5, 0, bytesField(3, Buffer.from('brain.Event:2')));
    expect(version.toString('hex')).to.equal('0900000000004a93401a0d627261696e2e4576656e743a32');
    const scalar = Buffer.concat([bytesField(1, Buffer.from('train/loss')), floatField(2, 0.5)]);
    const png = [varintField(1, 3), varintField(2, 2), varintField(3, 3), bytesField(4, Buffer.from('PNG'))];
    const image = Buffer.concat([bytesField(1, Buffer.from('f')), bytesField(4, Buffer.concat(png))]);
    const summary = bytesField(5, Buffer.concat([bytesField(1, scalar), bytesField(1, image)]));
    expect(encodeEvent(1234.5, 300, summary).toString('hex')).to.equal(
      '0900000000004a934010ac022a250a110a0a747261696e2f6c6f7373150000003f0a100a0166220b0803100218032203504e47',
    );
    const start = encodeEvent(1234.5, 301, bytesField(7, varintField(1, 1)));
    expect(start.toString('hex')).to.equal('0900000000004a934010ad023a020801');
    // What tensorboard's RecordWriter writes.
    expect(encodeRecord(Buffer.from('hi')).toString('hex')).to.equal('020000000000000078270b34686913d60856');
  });

  it('go on in another file of the folder, later by name', async () => {
    const names: string[] = [];
    for (let i = 0; i < 2; i++) {
      const file = await EventFile.create(folder.path('.'), 1);
      names.push(basename(file.path));
      while (Date.now() === Number(names[i]?.replace(/^.*tfevents\.(\d+)\.(\d+)\..*$/, '$1$2')));
    }
    expect(names[0]).to.match(/^events\.out\.tfevents\.\d{10}\.\d{3}\./);
    expect(await readdir(folder.path('.'))).to.include.members(names);
    expect([...names].sort()).to.deep.equal(names);
  });

  it('say that the disk is full', async () => {
    const full = Object.assign(await EventFile.create(folder.path('.'), 1), { path: '/dev/full' });
    const error = await full.appendScalars(1, { loss: 1 }).catch((caught: unknown) => caught);
    expect(error).to.have.property('code', 'ENOSPC');
  });

  describe("in TensorBoard's own reader (needs Python with tensorboard: NODE_CUDNN_TEST_PYTHON names it)", () => {
    before(async function () {
      if (!(await hasPython('tensorboard'))) this.skip();
    });

    it('are whole, without what was lost in a crash and what the run that goes on did again', async () => {
      const png = await sharp({ create: { width: 5, height: 3, channels: 3, background: '#ff0000' } })
        .png()
        .toBuffer();
      const first = await EventFile.create(folder.path('.'), 1);
      for (const step of [10, 20, 30]) await first.appendScalars(step, { 'train/loss': step / 4, lr: 0.5 });
      await first.appendImage(30, 'filters', png);
      await first.appendScalars(2 ** 40, { 'train/loss': 9 });
      const { length } = await readFile(first.path);
      await truncate(first.path, length - 3);
      const second = await EventFile.create(dirname(first.path), 21);
      await second.appendScalars(30, { 'train/loss': -1 });
      const program = `
import json, sys, warnings
warnings.filterwarnings('ignore')
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0, 'images': 0})
events.Reload()
tags = events.Tags()
images = {tag: [[i.step, i.width, i.height, len(i.encoded_image_string)] for i in events.Images(tag)] for tag in tags['images']}
print(json.dumps([{tag: [[s.step, s.value] for s in events.Scalars(tag)] for tag in tags['scalars']}, images]))`;
      const [scalars, images] = (await runPython(program, first.path)) as object[];
      expect(scalars).to.deep.equal({
        'train/loss': [
          [10, 2.5],
          [20, 5],
          [30, 7.5],
        ],
        lr: [
          [10, 0.5],
          [20, 0.5],
          [30, 0.5],
        ],
      });
      expect(images).to.deep.equal({ filters: [[30, 5, 3, png.length]] });
      const [together] = (await runPython(program, dirname(first.path))) as object[];
      expect(together).to.deep.equal({
        'train/loss': [
          [10, 2.5],
          [20, 5],
          [30, -1],
        ],
        lr: [
          [10, 0.5],
          [20, 0.5],
        ],
      });
    });
  });
});
