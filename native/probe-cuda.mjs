// probe-cuda.mjs ADDON: writes what the CUDA addon says of itself and this machine, as JSON in the last line. Run in
// a process of its own, as loading a library of a broken installation may end it.
import { spawnSync } from 'node:child_process';

const addon = process.argv[2] ?? '';

function probe() {
  try {
    const module = { exports: /** @type {{ describe?: () => Record<string, string> }} */ ({}) };
    process.dlopen(module, addon);
    return { facts: module.exports.describe?.() ?? {} };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error), missing: missingLibraries() };
  }
}

/** All that are not found: the loader's message names the first. */
function missingLibraries() {
  const { stdout } = spawnSync('ldd', [addon], { env: { ...process.env, LC_ALL: 'C' }, encoding: 'utf8' });
  return [...(stdout ?? '').matchAll(/^\s*(\S+) => not found$/gm)].map(([, name]) => name);
}

process.stdout.write(`\n${JSON.stringify(probe())}\n`);
