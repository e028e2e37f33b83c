import { type Confusion, confusionSvg, MOST_DRAWN } from './confusion.js';
import { type Curve, curvesSvg } from './curves.js';
import { escapeXml, pngUri } from './svg.js';

export interface Report {
  title: string;
  /** A sentence or two. */
  summary: string;
  charts: readonly { title: string; unit: string; curves: readonly Curve[] }[];
  /** Null where there was no validation. Left out where there are more classes than can be drawn. */
  confusion: Confusion | null;
  /** A PNG. */
  filters: Buffer;
  settings: readonly (readonly [name: string, value: string])[];
}

const STYLE = `
body { font: 15px/1.5 "DejaVu Sans", sans-serif; max-width: 1340px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
h2 { margin-top: 1.8em; border-bottom: 1px solid #ddd }
svg, img { max-width: 100%; height: auto; vertical-align: top }
table { border-collapse: collapse }
td { padding: .15em 1.5em .15em 0; border-bottom: 1px solid #eee; vertical-align: top; overflow-wrap: anywhere }
td:first-child { color: #666; white-space: nowrap }
`;

/**
 * The report of a training as one page of HTML: it loads nothing, and forbids the browser to, and needs no script.
 * @returns the whole file
 */
export async function reportPage(report: Report): Promise<string> {
  const { title, summary, charts, confusion, filters, settings } = report;
  const rows = settings.map(
    ([name, value]) => `<tr><td>${escapeXml(name)}</td><td>${escapeXml(value)}</td></tr>`,
  );
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>${escapeXml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeXml(title)}</h1>
<p>${escapeXml(summary)}</p>
<h2>Curves</h2>
${charts.map((chart) => curvesSvg(chart.title, chart.unit, chart.curves)).join('\n')}
${await confusionPart(confusion)}
<h2>Filters of the first convolution</h2>
<img alt="filters" src="${pngUri(filters)}">
<h2>Settings</h2>
<table>
${rows.join('\n')}
</table>
</body>
</html>
`;
}

async function confusionPart(confusion: Confusion | null): Promise<string> {
  if (confusion === null || confusion.classes.length > MOST_DRAWN) return '';
  return `<h2>What was taken for what in validation</h2>\n${(await confusionSvg(confusion)).svg}`;
}
