// program PART OPTIONS: measures layers, host or input, with options as JSON, and prints a report as a line of JSON.
import { measureHost } from './host.js';
import { measureInput } from './input.js';
import { measureLayers } from './layers.js';

const parts = { layers: measureLayers, host: measureHost, input: measureInput };
const [, , part = '', options = ''] = process.argv;
const measure = parts[part as keyof typeof parts] as (options: unknown) => Promise<unknown>;
process.stdout.write(`${JSON.stringify(await measure(JSON.parse(options)))}\n`);
