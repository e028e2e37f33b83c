import sharp from 'sharp';

/** The head of an HEIC photo as phones take it, made from an AVIF: the container is the same, the codec is not. */
export async function heic(): Promise<Buffer> {
  const background = { r: 200, g: 30, b: 30 };
  const avif = await sharp({ create: { width: 100, height: 80, channels: 3, background } })
    .avif()
    .toBuffer();
  const startOf = (box: string) => avif.indexOf(box, 0, 'latin1') - 4;

  const hevcConfiguration = Buffer.from(
    '0000001f' + '68766343' + '0101600000009000000000005df000fcfdf8f800000f00',
    'hex',
  );
  const configuration = startOf('av1C');
  const end = configuration + avif.readUInt32BE(configuration);
  const growth = configuration + hevcConfiguration.length - end;
  const file = Buffer.concat([avif.subarray(0, configuration), hevcConfiguration, avif.subarray(end)]);
  for (const box of ['meta', 'iprp', 'ipco']) {
    file.writeUInt32BE(avif.readUInt32BE(startOf(box)) + growth, startOf(box));
  }
  return Buffer.from(file.toString('latin1').replace('av01', 'hvc1').replaceAll('avif', 'heic'), 'latin1');
}
