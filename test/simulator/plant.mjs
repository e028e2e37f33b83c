// plant.mjs NAME OUT: writes the source with the bug of that name in planted_bugs.json.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const [, , name = '', out = ''] = process.argv;
const read = (/** @type {string} */ file) => readFileSync(new URL(file, import.meta.url), 'utf8');
/** @type {{ name: string, file: string, from: string, to: string }[]} */
const bugs = JSON.parse(read('planted_bugs.json'));
const bug = bugs.find((each) => each.name === name);
if (bug === undefined) throw new Error(`no bug ${name}`);
const parts = read(`../../native/cuda/${bug.file}`).split(bug.from);
if (parts.length !== 2)
  throw new Error(`Expected once in ${bug.file} but received ${parts.length - 1} times: ${bug.from}`);
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, parts.join(bug.to));
