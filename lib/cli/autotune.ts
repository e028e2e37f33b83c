import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { cpus, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { expectObject, expectString } from '../check.js';
import type { Device } from '../device.js';
import { reasonOf } from '../errors.js';
import { writeAtomically } from '../io/atomic.js';
import { packageVersion } from '../version.js';
import { writeNote } from './output.js';

/** What was chosen, by all that the choice depends on beside the shapes. */
type Memory = Record<string, Readonly<Record<string, string>>>;

const tuned = new Set<Device>();

/** Gives a device what autotune chose in earlier commands on a machine, and with libraries, like these. */
export function recall(device: Device): void {
  tuned.add(device);
  const chosen = read()[keyOf(device)];
  if (chosen !== undefined) device.choose(chosen);
}

/** Writes down what was chosen on the devices of {@link recall}. That it cannot be written is told, and fails nothing. */
export async function remember(): Promise<void> {
  if (tuned.size === 0) return;
  const file = memoryFile();
  try {
    const memory = read();
    for (const device of tuned) {
      const key = keyOf(device);
      memory[key] = { ...memory[key], ...device.choices };
    }
    await mkdir(dirname(file), { recursive: true });
    await writeAtomically(file, (handle) => handle.writeFile(`${JSON.stringify(memory, null, 1)}\n`));
  } catch (error) {
    writeNote(`what --autotune chose is not remembered: ${reasonOf(error)}`);
  }
}

function memoryFile(): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(cache, 'node-cudnn', 'autotune.json');
}

/** Processor or GPU, threads, libraries, and our own version. */
function keyOf(device: Device): string {
  const facts = { version: packageVersion(), processor: cpus()[0]?.model ?? 'unknown', ...device.arithmetic };
  return Object.entries(facts)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

/** A file that is missing or broken holds nothing. */
function read(): Memory {
  try {
    const memory: Memory = {};
    const parsed: unknown = JSON.parse(readFileSync(memoryFile(), 'utf8'));
    for (const [key, choices] of Object.entries(expectObject('memory', parsed))) {
      const entries = Object.entries(expectObject(key, choices));
      memory[key] = Object.fromEntries(entries.map(([what, name]) => [what, expectString(what, name)]));
    }
    return memory;
  } catch {
    return {};
  }
}
