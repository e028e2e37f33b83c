import { writeAtomically } from '../../lib/io/atomic.js';

/** Dies in the middle of writing the file that its argument names. */
const [, , path = ''] = process.argv;
void writeAtomically(path, async (file) => {
  await file.write('half');
  process.kill(process.pid, 'SIGKILL');
  await new Promise(() => {});
});
