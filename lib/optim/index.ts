export { Adam } from './adam.js';
export {
  type GroupOptions,
  type GroupValues,
  Optimizer,
  type ParameterGroup,
  type ParameterList,
} from './optimizer.js';
export * from './schedule.js';
export { SGD, type SGDGroupOptions } from './sgd.js';
