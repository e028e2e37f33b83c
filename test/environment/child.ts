import { fileURLToPath } from 'node:url';
import { type Ending, runNode } from '../support/child.js';

/** Runs a program of programs/ in a process of its own. */
export function runProgram(
  name: string,
  args: readonly string[] = [],
  {
    nodeArgs = [],
    limitMs = 110_000,
    env = {},
  }: { nodeArgs?: readonly string[]; limitMs?: number; env?: Readonly<Record<string, string>> } = {},
): Promise<Ending> {
  const program = fileURLToPath(new URL(`./programs/${name}`, import.meta.url));
  return runNode([...nodeArgs, program, ...args], limitMs, env);
}
