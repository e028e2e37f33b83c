// node --import as_cuda.mjs: the package finds the simulator's addon where the CUDA addon is. Child processes inherit it
// in NODE_OPTIONS, the probe among them.
import { fileURLToPath } from 'node:url';

const folder = new URL('../../build-cuda/', import.meta.url);
const cuda = fileURLToPath(new URL('Release/node_cudnn_cuda.node', folder));
const simulator = fileURLToPath(new URL('tests/node_cudnn_simulator.node', folder));

const { dlopen } = process;
/** @type {typeof process.dlopen} */
process.dlopen = (module, file, ...flags) => dlopen(module, file === cuda ? simulator : file, ...flags);
