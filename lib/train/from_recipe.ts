import type { Module } from '../nn/index.js';
import {
  Adam,
  ConstantLR,
  MultiStepLR,
  type Optimizer,
  type ParameterGroup,
  ReduceLROnPlateau,
  type Schedule,
  SGD,
  StepLR,
  WarmupLinearDecay,
} from '../optim/index.js';
import type { Recipe } from './recipes.js';

/** The recipe's optimizer of a model's parameters, with a group for those whose names end in `bias`. */
export function optimizerOf(
  recipe: Pick<Recipe, 'optimizer' | 'lr' | 'momentum' | 'weightDecay' | 'biasRate' | 'biasDecay'>,
  model: Module,
): Optimizer {
  const { optimizer, lr, momentum, weightDecay, biasRate, biasDecay } = recipe;
  const parameters = [...model.namedParameters()];
  const isBias = ([name]: readonly [string, unknown]): boolean => name.endsWith('bias');
  const groups: ParameterGroup[] = [
    { params: parameters.filter((one) => !isBias(one)) },
    { params: parameters.filter(isBias), lr: lr * biasRate, weightDecay: biasDecay ? weightDecay : 0 },
  ];
  return optimizer === 'adam'
    ? new Adam(groups, { lr, weightDecay })
    : new SGD(groups, { lr, momentum, weightDecay });
}

/** The recipe's schedule of a training of `epochs` epochs. */
export function scheduleOf(
  { schedule, epochs }: Pick<Recipe, 'schedule' | 'epochs'>,
  stepsPerEpoch: number,
): Schedule {
  switch (schedule.kind) {
    case 'constant':
      return new ConstantLR();
    case 'linear': {
      const totalSteps = stepsPerEpoch * epochs;
      const warmupSteps = Math.min(schedule.warmupSteps, Math.floor(totalSteps / 10));
      return new WarmupLinearDecay({ warmupSteps, totalSteps, finalFraction: schedule.finalFraction });
    }
    case 'plateau':
      return new ReduceLROnPlateau({ patience: schedule.patience, times: schedule.times });
    case 'milestones':
      return new MultiStepLR({ milestones: schedule.epochs });
    case 'every':
      return new StepLR({ stepEpochs: schedule.epochs });
  }
}
