// Reads what `train --json` prints: fails unless the last line is a complete run's end with 90 % top-1 in validation.
import { text } from 'node:stream/consumers';

const lines = (await text(process.stdin)).trimEnd().split('\n');
const { event, complete, val } = lines.map((line) => JSON.parse(line)).at(-1);
console.error(`${event}: complete ${complete}, validation top-1 ${val?.top1}`);
process.exitCode = event === 'end' && complete && val?.top1 >= 0.9 ? 0 : 1;
