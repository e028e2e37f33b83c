export { Adam } from './adam.js';
export { type GroupOptions, Optimizer, type ParameterGroup, type ParameterList } from './optimizer.js';
export * from './schedule.js';
export { SGD } from './sgd.js';
