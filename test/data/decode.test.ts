import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import sharp, { type Sharp } from 'sharp';
import { type DecodedImage, decodeImage, refusalOf } from '../../lib/data/decode.js';
import { RESIZE_KERNELS } from '../../lib/data/resize.js';
import { ArgumentError } from '../../lib/errors.js';
import { Random } from '../../lib/random.js';
import { jpegOf, pngOf, svgOf } from './bombs.js';
import { heic } from './heic.js';
import { rejection } from './rejection.js';

const RED = { r: 200, g: 30, b: 30 };

function plain(width: number, height: number, background: object = RED): Sharp {
  const channels = 'alpha' in background ? 4 : 3;
  return sharp({ create: { width, height, channels, background } });
}

/** Black, but for a quarter that is red. */
function withRedQuarter(size: number, left: number, top: number): Sharp {
  const input = { create: { width: size / 2, height: size / 2, channels: 3 as const, background: RED } };
  return plain(size, size, { r: 0, g: 0, b: 0 }).composite([{ input, left, top }]);
}

function pixel({ pixels, width }: DecodedImage, y: number, x: number): number[] {
  return [...pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
}

function expectColour(image: DecodedImage, colour: readonly number[], tolerance: number): void {
  expect([image.height, image.width, image.pixels.length]).to.deep.equal([64, 64, 64 * 64 * 3]);
  for (const at of [0, 31, 63]) {
    pixel(image, at, at).forEach((value, i) => {
      expect(value).to.be.closeTo(colour[i] ?? 0, tolerance);
    });
  }
}

describe('decodeImage', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'node-cudnn-decode-'));
  });
  after(() => rm(folder, { recursive: true }));

  const red = [200, 30, 30];
  const grey = (value: number) => [value, value, value];
  const kinds: readonly [
    name: string,
    picture: () => Promise<Buffer>,
    colour: readonly number[],
    tolerance: number,
  ][] = [
    ['PNG', () => plain(100, 80).png().toBuffer(), red, 0],
    ['JPEG', () => plain(80, 100).jpeg({ quality: 100 }).toBuffer(), red, 2],
    ['WebP', () => plain(80, 100).webp({ lossless: true }).toBuffer(), red, 0],
    ['AVIF', () => plain(100, 80).avif({ lossless: true }).toBuffer(), red, 2],
    ['TIFF', () => plain(100, 80).tiff({ compression: 'none' }).toBuffer(), red, 0],
    ['a palette', () => plain(100, 80).png({ palette: true }).toBuffer(), red, 1],
    ['grey', () => plain(100, 80, { r: 99, g: 99, b: 99 }).greyscale().png().toBuffer(), grey(99), 1],
    ['16 bits', () => plain(100, 80).toColourspace('rgb16').png().toBuffer(), red, 1],
    [
      '16 bits of grey',
      () => plain(100, 80, { r: 99, g: 99, b: 99 }).toColourspace('grey16').png().toBuffer(),
      grey(99),
      1,
    ],
    [
      'floating point',
      () => plain(100, 80).toColourspace('scrgb').tiff({ compression: 'none' }).toBuffer(),
      red,
      1,
    ],
    // Pure red is outside of what the inks can print.
    ['CMYK', () => plain(100, 80).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer(), red, 30],
    ['CIELAB', () => plain(100, 80).toColourspace('lab').tiff().toBuffer(), red, 2],
    ['another RGB with its profile', () => plain(100, 80).withIccProfile('p3').png().toBuffer(), red, 2],
    [
      'nothing but transparency',
      () =>
        plain(100, 80, { ...RED, alpha: 0 })
          .png()
          .toBuffer(),
      grey(255),
      0,
    ],
    [
      'half transparency',
      () =>
        plain(100, 80, { ...RED, alpha: 0.5 })
          .png()
          .toBuffer(),
      [227, 142, 142],
      1,
    ],
    [
      'grey and transparency',
      () =>
        sharp(Buffer.alloc(600, 128), { raw: { width: 20, height: 15, channels: 2 } })
          .png()
          .toBuffer(),
      grey(191),
      1,
    ],
    ['one pixel', () => plain(1, 1).png().toBuffer(), red, 0],
    ['8000×200 pixels', () => plain(8000, 200).jpeg({ quality: 100 }).toBuffer(), red, 2],
    ['one row', () => plain(8000, 1).png().toBuffer(), red, 0],
  ];
  for (const [name, picture, colour, tolerance] of kinds) {
    it(`takes ${name}`, async () => {
      for (const kernel of RESIZE_KERNELS)
        expectColour(await decodeImage(await picture(), { size: 64, kernel }), colour, tolerance);
    });
  }

  // Any two differ in every channel, and not by the same.
  const quarters = [
    [220, 60, 40],
    [40, 200, 90],
    [60, 30, 210],
    [250, 240, 10],
  ] as const;
  const quartered = (): Sharp =>
    sharp(
      Buffer.from(
        Array.from({ length: 80 * 120 }, (_, i) => {
          const [x, y] = [i % 120, Math.floor(i / 120)];
          return quarters[(y < 40 ? 0 : 2) + (x < 60 ? 0 : 1)] ?? [];
        }).flat(),
      ),
      { raw: { width: 120, height: 80, channels: 3 } },
    );
  const svg = () => {
    const rects = quarters.map(
      ([r, g, b], i) =>
        `<rect x="${(i % 2) * 60}" y="${i > 1 ? 40 : 0}" width="60" height="40" fill="rgb(${r},${g},${b})"/>`,
    );
    return Buffer.from(
      `<svg xmlns="http://www.w3.org/2000/svg" width="120" height="80">${rects.join('')}</svg>`,
    );
  };
  it("resizes by the kernel 'linear' as PIL does: a triangle two pixels to each side when halving", async () => {
    const random = new Random(1, 0);
    const row = Array.from({ length: 128 }, () => random.integer(256));
    const pixels = Buffer.from(
      Array.from({ length: 128 * 128 * 3 }, (_, i) => row[Math.floor(i / 3) % 128] ?? 0),
    );
    const picture = await sharp(pixels, { raw: { width: 128, height: 128, channels: 3 } })
      .png()
      .toBuffer();
    const at = (i: number) => row[i] ?? 0;
    const decoded = await decodeImage(picture, { size: 64, kernel: 'linear' });
    const other = await decodeImage(picture, { size: 64 });
    let furthest = 0;
    for (let x = 2; x < 62; x++) {
      const i = 2 * x;
      const wanted = (at(i - 1) + 3 * at(i) + 3 * at(i + 1) + at(i + 2)) / 8;
      expect(decoded.pixels[(64 * 30 + x) * 3], `column ${x}`).to.be.closeTo(wanted, 1.01);
      furthest = Math.max(furthest, Math.abs((other.pixels[(64 * 30 + x) * 3] ?? 0) - wanted));
    }
    expect(furthest, 'lanczos3 differs').to.be.above(8);
  });

  const drawn = (width: number, height: number): Sharp => {
    const pixels = new Uint8Array(width * height * 3);
    for (let i = 0; i < width * height; i++) {
      const [x, y] = [i % width, Math.floor(i / width)];
      const grey = 13 * x + 7 * y + Math.floor((x * y) / 50);
      for (let channel = 0; channel < 3; channel++)
        pixels[3 * i + channel] = Math.abs(((grey + 31 * channel) % 510) - 255);
    }
    return sharp(pixels, { raw: { width, height, channels: 3 } });
  };
  function differences(a: Uint8Array, b: Uint8Array): { mean: number; most: number } {
    expect(a.length).to.equal(b.length);
    let [sum, most] = [0, 0];
    a.forEach((value, i) => {
      const difference = Math.abs(value - (b[i] ?? Number.NaN));
      sum += difference;
      most = Math.max(most, difference);
    });
    return { mean: sum / a.length, most };
  }

  for (const [width, height, mean, most] of [
    [300, 225, 0.3, 3],
    [150, 203, 0.3, 3],
    // Of seven times the size.
    [449, 611, 2, 12],
  ] as const) {
    it(`by the kernel 'linear' is within ${most} grey levels of PIL, of ${width}×${height} pixels`, async () => {
      const url = new URL(`../golden/pilResized/${width}x${height}.png`, import.meta.url);
      const wanted = await sharp(fileURLToPath(url)).raw().toBuffer();
      const png = await drawn(width, height).png().toBuffer();
      const { pixels } = await decodeImage(png, { size: 64, kernel: 'linear' });
      const found = differences(pixels, wanted);
      expect(found.mean).to.be.below(mean);
      expect(found.most).to.be.at.most(most);
    });
  }

  for (const [width, height] of [
    [1200, 900],
    [1800, 2400],
  ] as const) {
    for (const orientation of [1, 6]) {
      it(`by the kernel 'linear' a JPEG of ${width}×${height} pixels, orientation ${orientation}, is as its pixels`, async () => {
        const jpeg = await drawn(width, height).withMetadata({ orientation }).jpeg().toBuffer();
        const png = await sharp(jpeg, { autoOrient: true }).png({ compressionLevel: 1 }).toBuffer();
        const [ofJpeg, ofPng] = await Promise.all(
          [jpeg, png].map((source) => decodeImage(source, { size: 256, kernel: 'linear' })),
        );
        expect(ofJpeg).to.deep.equal(ofPng);
        const fast = await decodeImage(jpeg, { size: 256 });
        const { most } = differences(fast.pixels, (await decodeImage(png, { size: 256 })).pixels);
        expect(most, 'lanczos3 takes the fast way').to.be.above(0);
      });
    }
  }

  const encodings: readonly [name: string, picture: () => Promise<Buffer> | Buffer, tolerance: number][] = [
    ['PNG', () => quartered().png().toBuffer(), 0],
    ['interlaced PNG', () => quartered().png({ progressive: true }).toBuffer(), 0],
    ['palette PNG', () => quartered().png({ palette: true }).toBuffer(), 1],
    ['PNG of 16 bits', () => quartered().toColourspace('rgb16').png().toBuffer(), 1],
    ['PNG with alpha', () => quartered().ensureAlpha().png().toBuffer(), 0],
    ['JPEG', () => quartered().jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer(), 3],
    ['progressive JPEG', () => quartered().jpeg({ quality: 100, progressive: true }).toBuffer(), 3],
    ['WebP', () => quartered().webp({ lossless: true }).toBuffer(), 0],
    ['GIF', () => quartered().gif().toBuffer(), 4],
    ['TIFF', () => quartered().tiff({ compression: 'lzw' }).toBuffer(), 0],
    ['tiled TIFF', () => quartered().tiff({ tile: true, compression: 'none' }).toBuffer(), 0],
    ['SVG', svg, 0],
  ];
  for (const [name, picture, tolerance] of encodings) {
    it(`keeps the colours and places of a ${name}`, async () => {
      const image = await decodeImage(await picture(), { size: 64 });
      for (const [i, colour] of quarters.entries()) {
        for (const [y, x] of [
          [2, 2],
          [14, 16],
          [26, 26],
        ] as const) {
          pixel(image, y + (i > 1 ? 34 : 0), x + (i % 2) * 34).forEach((value, channel) => {
            expect(value, `${[i, y, x]}`).to.be.closeTo(colour[channel] ?? 0, tolerance);
          });
        }
      }
    });
  }

  it('takes an SVG as white where it is empty', async () => {
    expectColour(await decodeImage(svgOf(50, 20), { size: 64 }), grey(255), 0);
  });

  for (const [name, bomb] of [
    ['PNG', () => pngOf(30_000, 30_000)],
    ['JPEG', () => jpegOf(30_000, 30_000)],
    ['SVG', () => svgOf(30_000, 30_000)],
  ] as const) {
    it(`refuses a ${name} that promises 30,000×30,000 pixels, with size and limit`, async () => {
      expect(await rejection(decodeImage(await bomb(), { size: 64 }))).to.match(
        /decoded: 30000×30000 pixels are more than the limit of 268402689$/,
      );
    });
  }

  it('refuses a file of more than 512 MiB, with size and limit, without reading it', async () => {
    const file = join(folder, 'large.png');
    // The rest takes no place on the disk.
    await writeFile(file, await plain(64, 64).png().toBuffer());
    await truncate(file, 2 ** 29);
    expect(await refusalOf(file)).to.equal(undefined);
    await truncate(file, 2 ** 29 + 1);
    const reason = '536870913 bytes are more than the limit of 536870912';
    expect(await refusalOf(file)).to.equal(reason);
    // To read 1 TiB would take longer than the test may. Not every file system has files of that size.
    const bytes = await truncate(file, 2 ** 40).then(
      () => 2 ** 40,
      (error: NodeJS.ErrnoException) => {
        expect(error.code).to.be.oneOf(['EFBIG', 'EINVAL']);
        return 2 ** 29 + 1;
      },
    );
    expect(await rejection(decodeImage(file, { size: 64 }))).to.match(
      new RegExp(`large\\.png could not be decoded: ${bytes} bytes are more than the limit of 536870912$`),
    );
    await rm(file);
  });

  it('decodes large pictures one at a time, and goes on after one that is broken', async () => {
    const large = await plain(8000, 5000).png({ compressionLevel: 1 }).toBuffer();
    const small = await plain(500, 500).png().toBuffer();
    const ended: string[] = [];
    const start = (name: string, source: Buffer) =>
      decodeImage(source, { size: 64 }).finally(() => ended.push(name));
    const first = start('large', large);
    // Meanwhile the first has got its turn.
    for (let i = 0; i < 5; i++) await start('small', small);
    // By themselves these would fail at once.
    const broken = [pngOf(16_383, 16_383), pngOf(6000, 6000)].map((source) => start('broken', source));
    const last = start('large', large);
    expect((await Promise.allSettled(broken)).map(({ status }) => status)).to.deep.equal([
      ...['rejected', 'rejected'],
    ]);
    for (const image of [await first, await last]) expectColour(image, red, 0);
    const others = ended.filter((name) => name !== 'small');
    expect(others[0]).to.equal('large');
    expect(ended.indexOf('small'), 'the others do not wait').to.be.lessThan(ended.indexOf('large'));
  });

  it('takes the first frame of an animation', async () => {
    const frames = [
      await plain(64, 64).png().toBuffer(),
      await plain(64, 64, { r: 0, g: 0, b: 255 }).png().toBuffer(),
    ];
    const animation = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer();
    expect((await sharp(animation).metadata()).pages).to.equal(2);
    expectColour(await decodeImage(animation, { size: 64 }), red, 4);
  });

  it('resizes the shorter side and cuts out the centre', async () => {
    const white = { r: 255, g: 255, b: 255 };
    // Red in the middle: a little more than what is cut out, and less than the whole of the shorter side.
    const input = { create: { width: 120, height: 70, channels: 3 as const, background: RED } };
    const wide = await plain(300, 100, white).composite([{ input }]).png().toBuffer();
    const cut = await decodeImage(wide, { size: 64 });
    for (const [y, x, colour] of [
      [4, 2, [255, 255, 255]],
      [59, 61, [255, 255, 255]],
      [16, 2, red],
      [47, 61, red],
    ] as const) {
      expect(pixel(cut, y, x)).to.deep.equal(colour);
    }
    const tall = await decodeImage(await sharp(wide).rotate(90).png().toBuffer(), { size: 64 });
    expect(pixel(tall, 2, 4)).to.deep.equal([255, 255, 255]);
    expect(pixel(tall, 61, 47)).to.deep.equal(red);
  });

  // How a camera stored a picture whose upper left quarter is red, for each orientation that EXIF knows.
  const stored = [
    ...[
      [0, 0],
      [32, 0],
      [32, 32],
      [0, 32],
      [0, 0],
      [0, 32],
      [32, 32],
      [32, 0],
    ].entries(),
  ] as const;
  for (const [i, [left = 0, top = 0]] of stored) {
    it(`turns a picture of EXIF orientation ${i + 1} upright`, async () => {
      const flat = await withRedQuarter(64, left, top).png().toBuffer();
      const jpeg = await sharp(flat)
        .withMetadata({ orientation: i + 1 })
        .jpeg({ quality: 100 })
        .toBuffer();
      const image = await decodeImage(jpeg, { size: 32 });
      const reds = [pixel(image, 4, 4), pixel(image, 4, 27), pixel(image, 27, 4), pixel(image, 27, 27)].map(
        ([value = 0]) => value > 100,
      );
      expect(reds).to.deep.equal([true, false, false, false]);
    });
  }

  it('reads files, and again after they have changed', async () => {
    const file = join(folder, 'picture.png');
    await plain(64, 64).png().toFile(file);
    expectColour(await decodeImage(file, { size: 64 }), red, 0);
    await plain(64, 64, { r: 1, g: 2, b: 3 }).png().toFile(file);
    expectColour(await decodeImage(file, { size: 64 }), [1, 2, 3], 0);
  });

  it('says which file is cut off, whatever is missing of it', async () => {
    const noise = Buffer.from(Array.from({ length: 120 * 120 * 3 }, (_, i) => (i * 7919) % 251));
    const picture = sharp(noise, { raw: { width: 120, height: 120, channels: 3 } });
    const jpeg = await picture.clone().jpeg().toBuffer();
    const progressive = await picture.clone().jpeg({ progressive: true }).toBuffer();
    const png = await picture.clone().png().toBuffer();
    const file = join(folder, 'cut.jpg');
    for (const whole of [jpeg, progressive, png]) {
      for (const part of [0.1, 0.5, 0.9]) {
        await writeFile(file, whole.subarray(0, Math.floor(whole.length * part)));
        expect(await rejection(decodeImage(file, { size: 64 }))).to.match(
          /cut\.jpg could not be decoded: \S/,
        );
      }
    }
  });

  it('says what is no picture', async () => {
    const text = join(folder, 'text.jpg');
    await writeFile(text, 'This is no picture.\n');
    expect(await rejection(decodeImage(text, { size: 64 }))).to.match(/text\.jpg .*unsupported image format/);
    expect(await rejection(decodeImage(Buffer.from('text'), { size: 64 }))).to.match(/4 bytes .*unsupported/);
    expect(await rejection(decodeImage(Buffer.of(), { size: 64 }))).to.match(/empty/);
    expect(await rejection(decodeImage(join(folder, 'none.jpg'), { size: 64 }))).to.match(
      /none\.jpg .*no such file/,
    );
    expect(await rejection(decodeImage(folder, { size: 64 }))).to.contain(folder);
  });

  it('says in one line which decoder a HEIC photo lacks', async () => {
    expect(await rejection(decodeImage(await heic(), { size: 64 }))).to.match(
      /decoded: heif: [^\n]*HEVC[^\n]*$/,
    );
  });

  it('refuses what is no size', async () => {
    const failure = await decodeImage(Buffer.of(1), { size: 0 }).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(ArgumentError);
  });
});
