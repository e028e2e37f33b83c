// check-symbols.mjs ADDON … STAMP: fails where the addon needs what neither its libraries nor Node define.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const addon = process.argv[2] ?? '';
const stamp = process.argv.at(-1) ?? '';

const env = { ...process.env, LC_ALL: 'C' };
const ldd = spawnSync('ldd', ['-r', addon], { env, encoding: 'utf8' });
if (ldd.error || ldd.status !== 0) throw ldd.error ?? new Error(`ldd -r ${addon}: ${ldd.stderr}`);
const output = ldd.stdout + ldd.stderr;

const missing = [
  ...[...output.matchAll(/^\s*(\S+) => not found$/gm)].map((match) => match[1] ?? ''),
  ...[...output.matchAll(/^undefined symbol: (\S+)/gm)]
    .map((match) => match[1] ?? '')
    .filter((symbol) => !/^(napi|node_api)_/.test(symbol)),
];
if (missing.length > 0) {
  const filt = spawnSync('c++filt', { input: missing.join('\n'), encoding: 'utf8' });
  const names = filt.status === 0 ? filt.stdout.split('\n') : missing;
  console.error(`error: ${addon} is incomplete, nothing defines\n  ${names.join('\n  ')}`);
  process.exit(1);
}
writeFileSync(stamp, '');
