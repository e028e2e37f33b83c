import { createRequire } from 'node:module';
import sharp, { type OverlayOptions } from 'sharp';

/** Of text in pictures; where a system has fonts they give the characters that ours has not. */
const FONT_FAMILY = 'DejaVu Sans Condensed, DejaVu Sans, sans-serif';
const FONT_FILE = 'dejavu-fonts-ttf/ttf/DejaVuSansCondensed.ttf';

export interface TextOptions {
  x: number;
  y: number;
  /** In pixels. Default 12. */
  size?: number;
  anchor?: 'start' | 'middle' | 'end';
  fill?: string;
  /** The text reads upwards. Default false. */
  upwards?: boolean;
  /** What is longer is cut. Default: nothing is. */
  room?: number;
}

/** A `<text>` element. */
export function text(
  content: string,
  { x, y, size = 12, anchor = 'start', fill = '#000000', upwards = false, room }: TextOptions,
): string {
  const turned = upwards ? ` transform="rotate(-90 ${x} ${y})"` : '';
  const shown = room === undefined ? content : shortened(content, room, size);
  return `<text x="${x}" y="${y}" font-size="${size}" text-anchor="${anchor}" fill="${fill}"${turned}>${escapeXml(shown)}</text>`;
}

export function rect(x: number, y: number, width: number, height: number, fill: string): string {
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${fill}"/>`;
}

/** A whole SVG document, that stands in HTML as well. */
export function svgOf(width: number, height: number, elements: readonly string[]): string {
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  return `${head} font-family="${FONT_FAMILY}">${elements.join('')}</svg>`;
}

/** Text as it may stand in XML and HTML, in quotes too. Characters that XML has not are replaced. */
export function escapeXml(content: string): string {
  return (
    content
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      .replaceAll("'", '&#39;')
      // Control characters, halves of surrogate pairs, non-characters.
      .replaceAll(/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, '\uFFFD')
  );
}

/** About how wide a text is, in pixels. */
export function widthOf(content: string, size: number): number {
  let ems = 0;
  for (const character of content) ems += emsOf(character);
  return ems * size;
}

/** Rather too much than too little: nobody measures the fonts that a system may add. */
function emsOf(character: string): number {
  if (/[ilj.,:;'|!()[\] ft]/.test(character)) return 0.36;
  if (/[mwMW@%]/.test(character)) return 0.9;
  if (character >= '\u1100') return 1;
  return /\p{Lu}/u.test(character) ? 0.7 : 0.57;
}

function shortened(content: string, room: number, size: number): string {
  if (widthOf(content, size) <= room) return content;
  let shown = '';
  for (const character of content) {
    if (widthOf(`${shown}${character}…`, size) > room) break;
    shown += character;
  }
  return `${shown}…`;
}

/** Draws a document as a PNG on white. Pictures given as well lie beneath it. */
export async function drawSvg(
  svg: string,
  width: number,
  height: number,
  pictures: readonly OverlayOptions[] = [],
): Promise<Buffer> {
  await registerFont();
  return sharp({ create: { width, height, channels: 3, background: '#ffffff' } })
    .composite([...pictures, { input: Buffer.from(svg), top: 0, left: 0 }])
    .png()
    .toBuffer();
}

let registered: Promise<unknown> | undefined;

/** Once sharp has written with a font file, the process's font configuration knows it, which SVG takes its fonts from. */
function registerFont(): Promise<unknown> {
  const fontfile = createRequire(import.meta.url).resolve(FONT_FILE);
  registered ??= sharp({ text: { text: '.', font: 'DejaVu Sans Condensed', fontfile } })
    .png()
    .toBuffer();
  return registered;
}

export function pngUri(png: Buffer): string {
  return `data:image/png;base64,${png.toString('base64')}`;
}
