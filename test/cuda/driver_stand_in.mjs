// driver_stand_in.mjs FOLDERS OUT: writes the source of a libcuda.so.1 that has no device, for cuDNN to load: every name
// of cuda.h. The loaders of kernels succeed, or cuDNN would pass over engines that it compiles at run time.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [, , folders = '', out = ''] = process.argv;
const headers = folders.split(';').map((folder) => join(folder, 'cuda.h'));
const text = readFileSync(headers.find(existsSync) ?? '', 'utf8');
const names = new Set([...text.matchAll(/\b(cu[A-Z]\w*)\s*\(/g)].map(([, name]) => name ?? ''));
for (const [, plain = '', versioned = ''] of text.matchAll(
  /^\s*#\s*define\s+(cu[A-Z]\w*)\s+(?:__CUDA_API_PT\w+\()?(cu[A-Z]\w*)/gm,
)) {
  names.add(plain).add(versioned);
}

const LOADS = /^cu(Library|Module|Kernel)(Load|Get(Function|Kernel|Module)$)/;
const NO_DEVICE = 100; // CUDA_ERROR_NO_DEVICE
const functions = [...names].map((name) =>
  LOADS.test(name)
    ? `int ${name}(void **out) { *out = (void *)&handle; return 0; }`
    : `int ${name}(void) { return ${NO_DEVICE}; }`,
);
writeFileSync(out, `static int handle;\n${functions.join('\n')}\n`);
