// Fetches the pinned CUDA, cuDNN and cudnn-frontend into native/.deps, where `npm run build:cuda` finds them.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchCuda, fetchedCuda, fetchedCudaSize, isCudaFetched, wheels } from './cuda-deps.mjs';
import { InstallError, root, runLocked, runScript, say } from './deps.mjs';

const self = fileURLToPath(import.meta.url);

/** @returns {number} exit status */
function main() {
  if (!process.argv.includes('--locked')) {
    const status = runLocked(self);
    if (status !== null) return status;
  }
  if (isCudaFetched()) {
    say(`already there: ${fetchedCuda}`);
  } else {
    if (process.platform !== 'linux' || process.arch !== 'x64') {
      throw new InstallError(
        `CUDA can be fetched for Linux on x86-64 only, and this is ${process.platform}-${process.arch}`,
      );
    }
    const { npm_config_python, PYTHON } = process.env;
    const python = [npm_config_python, PYTHON, 'python3', 'python'].find(
      (command) => command && spawnSync(command, ['-m', 'pip', '--version']).status === 0,
    );
    if (!python)
      throw new InstallError('Python with pip is missing: install python3-pip, or name yours in PYTHON');
    for (const [name, version, megabytes] of wheels) say(`${name} ${version}, ${megabytes} MB`);
    say(`fetching these: ${fetchedCudaSize}`);
    fetchCuda(python);
    say(`fetched, hashes checked: ${fetchedCuda}`);
  }
  say(`next: node "${join(root, 'native/build-cuda.mjs')}"`);
  return 0;
}

runScript(main, self);
