import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import sharp from 'sharp';
import { Confusion } from '../../lib/report/confusion.js';
import { curvesSvg } from '../../lib/report/curves.js';
import { filtersPicture } from '../../lib/report/filters.js';
import { reportPage } from '../../lib/report/page.js';
import { temporaryFolder } from '../io/files.js';
import { runCommand } from '../support/child.js';

const HOSTILE = '<script>document.title="run"</script><img src=x onerror=alert(1)>"&\'';
const RED = '#c23b22';

async function page(): Promise<string> {
  const confusion = new Confusion(['ants', HOSTILE]);
  confusion.add(0, 0);
  confusion.add(1, 0);
  const points = Array.from({ length: 50 }, (_, i) => [i * 10, 2 / (1 + i)] as const);
  return reportPage({
    title: `AlexNet of ${HOSTILE}`,
    summary: 'After epoch 1 of 2.',
    charts: [{ title: 'Loss', unit: '', curves: [{ name: HOSTILE, colour: RED, points }] }],
    confusion,
    filters: await filtersPicture(
      Float32Array.from({ length: 4 * 27 }, (_, i) => (i % 3 === 0 ? 1 : -1)),
      [4, 3, 3, 3],
    ),
    settings: [['data', HOSTILE]],
  });
}

describe('curves', () => {
  const polyline = (svg: string) => /polyline points="([^"]*)"/.exec(svg)?.[1]?.split(' ') ?? [];

  it('lie between axes from 0', () => {
    const svg = curvesSvg('Error', ' %', [
      {
        name: 'a',
        colour: RED,
        points: [
          [0, 0],
          [100, 45],
        ],
      },
    ]); // prettier-ignore
    // The axes end at 100 and at 50 %.
    expect(polyline(svg)).to.deep.equal(['56,260', '610,67.4']);
    expect(svg)
      .to.match(/>50 %</)
      .and.to.match(/>100</);
    expect(svg).not.to.match(/>60 %</);
  });

  it('leave out what is not finite, and average what is too much to see', () => {
    const points = Array.from({ length: 6000 }, (_, i) => [i, i % 2] as const);
    const many = polyline(curvesSvg('', '', [{ name: 'a', colour: RED, points }]));
    expect(many).to.have.lengthOf(600);
    const holes = [
      [0, 1],
      [1, Number.NaN],
      [2, 1],
    ] as const;
    expect(polyline(curvesSvg('', '', [{ name: 'a', colour: RED, points: holes }]))).to.have.lengthOf(2);
  });

  it('are drawn of nothing', () => {
    const svg = curvesSvg('Loss', '', [{ name: 'a', colour: RED, points: [] }]);
    expect(svg).not.to.match(/NaN|Infinity|undefined/);
  });
});

describe('a report', () => {
  const folder = temporaryFolder();

  it('loads nothing and has no script', async () => {
    const html = await page();
    expect(html.replaceAll('xmlns="http://www.w3.org/2000/svg"', '')).not.to.match(/https?:/);
    expect(html.match(/(src|href)="(?!data:image\/png;base64,)/g)).to.equal(null);
    expect(html).not.to.match(/<script|<link|@import|url\(|<iframe| on\w+="/);
  });

  it('is shown by a browser (needs Chromium)', async function () {
    const browser = ['chromium', 'chromium-browser', 'google-chrome'].find(
      (name) => spawnSync(name, ['--version']).status === 0,
    );
    if (browser === undefined) this.skip();
    this.timeout(120_000);
    const file = folder.path('report.html');
    await writeFile(file, await page());
    await mkdir(folder.path('profile'));
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'];
    const profile = [
      '--no-first-run',
      `--user-data-dir=${folder.path('profile')}`,
      '--window-size=1000,1200',
    ];
    const url = pathToFileURL(file).href;
    const open = (action: string) => runCommand(browser, [...flags, ...profile, action, url], 50_000);

    const { stdout: dom } = await open('--dump-dom');
    expect(dom).to.include('<title>AlexNet of &lt;script&gt;').and.to.include('<td>data</td><td>&lt;script');
    expect(dom)
      .to.include('</polyline>')
      .and.to.match(/<tspan|<text [^>]*>ants<\/text>/);
    await open(`--screenshot=${folder.path('page.png')}`);
    const { data, info } = await sharp(folder.path('page.png'))
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const count = (r: number, g: number, b: number) => {
      let found = 0;
      for (let i = 0; i < data.length; i += 3)
        if (data[i] === r && data[i + 1] === g && data[i + 2] === b) found++;
      return found;
    };
    expect(info.width).to.equal(1000);
    expect(count(0xc2, 0x3b, 0x22), 'the curve').to.be.above(100);
    // Both classes were taken for the first.
    expect(count(8, 48, 107), 'the matrix').to.be.above(2 * 64 * 64 * 0.8);
    expect(count(255, 0, 0), 'four filters of 12 × 12 pixels').to.equal(4 * 144);
  });
});
