export { Adam } from './adam.js';
export { type NamedParameters, Optimizer, type ParameterGroup } from './optimizer.js';
export * from './schedule.js';
export { SGD } from './sgd.js';
