import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Argument, type Command } from 'commander';
import { examples } from './options.js';

export function addSetup(program: Command): void {
  program
    .command('setup')
    .summary('fetch what the CUDA addon is built with')
    .description(
      'Fetches CUDA, cuDNN and the headers of cudnn-frontend with pip, pinned and checked by their hashes, into a folder ' +
        'of this package, and says the next command. For machines that have none of their own.',
    )
    .addArgument(new Argument('<what>', 'what to fetch').choices(['cuda']))
    .addHelpText('after', examples(['alexnet setup cuda', 'fetch what the CUDA addon is built with']))
    .action(() => {
      const script = fileURLToPath(new URL('../../native/setup-cuda.mjs', import.meta.url));
      process.exitCode = spawnSync(process.execPath, [script], { stdio: 'inherit' }).status ?? 1;
    });
}
