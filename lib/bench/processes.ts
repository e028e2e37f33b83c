import { spawn } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Result, Trial } from './trial.js';

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: string[]];

/** Runs a trial in a process of its own. */
export function trialCommand(trial: Trial): Command {
  const here = fileURLToPath(import.meta.url);
  const program = fileURLToPath(new URL(`./trial_program${extname(here)}`, import.meta.url));
  return [process.execPath, ...process.execArgv, program, JSON.stringify(trial)];
}

export function runTrialProcess(trial: Trial): Promise<Result> {
  return runJson<Result>(trialCommand(trial));
}

/** What a program prints as the last line of its output, parsed. */
export async function runJson<T>([program, ...args]: Command, env: NodeJS.ProcessEnv = {}): Promise<T> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const status = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? signal));
  });
  if (status === 0) return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as T;
  const lines = stderr.trimEnd().split('\n');
  const reason = lines.find((line) => /^[\w.]*Error\b/.test(line)) ?? lines.at(-1) ?? '';
  throw new Error(`Expected exit code 0 for ${program} but received ${status}: ${reason}`);
}
