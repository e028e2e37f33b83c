import { InvalidArgumentError } from 'commander';
import { expectInRange, expectInteger, expectObject, expectOneOf } from '../check.js';
import { ArgumentError, expected } from '../errors.js';
import { RECIPES, type ScheduleSettings } from '../train/recipes.js';
import { COMMON } from './recipes.js';

const KINDS = ['constant', 'linear', 'plateau', 'milestones', 'every'] as const;

/** The option: `constant`, `linear`, `plateau`, `every:30`, or epochs such as `25,51,79`. */
export function schedule(text: string): ScheduleSettings {
  if (text === 'constant') return { kind: text };
  if (text === 'linear') return COMMON.schedule;
  if (text === 'plateau') return RECIPES.paper.schedule;
  const [, every] = /^every:([1-9]\d*)$/.exec(text) ?? [];
  if (every !== undefined) return { kind: 'every', epochs: Number(every) };
  const epochs = /^\d+(,\d+)*$/.test(text) ? text.split(',').map(Number) : [];
  const ascend = epochs.every((epoch, i) => epoch > (epochs[i - 1] ?? -1));
  if (epochs.length > 0 && ascend) return { kind: 'milestones', epochs };
  throw new InvalidArgumentError(
    'Expected constant, linear, plateau, every:N, or ascending epochs such as 25,51,79.',
  );
}

/** What a checkpoint keeps of it. @throws {ArgumentError} */
export function parseSchedule(value: unknown): ScheduleSettings {
  const { kind, ...members } = expectObject('schedule', value);
  const integer = (name: string, low: number): number =>
    expectInteger(`schedule.${name}`, members[name], low);
  const known = expectOneOf('schedule.kind', kind, KINDS);
  switch (known) {
    case 'constant':
      return { kind: known };
    case 'linear': {
      const finalFraction = expectInRange('schedule.finalFraction', members.finalFraction, 0, 1);
      return { kind: known, warmupSteps: integer('warmupSteps', 0), finalFraction };
    }
    case 'plateau':
      return { kind: known, patience: integer('patience', 0), times: integer('times', 0) };
    case 'milestones': {
      const { epochs } = members;
      if (!Array.isArray(epochs))
        throw new ArgumentError(expected('array of integers', 'schedule.epochs', epochs));
      return {
        kind: known,
        epochs: epochs.map((epoch, i) => expectInteger(`schedule.epochs[${i}]`, epoch, 0)),
      };
    }
    case 'every':
      return { kind: known, epochs: integer('epochs', 1) };
  }
}

export function describeSchedule(schedule: ScheduleSettings): string {
  switch (schedule.kind) {
    case 'constant':
      return 'constant';
    case 'linear':
      return 'up in a line, then down';
    case 'plateau':
      return `÷10 when the validation error stops improving (for more than ${schedule.patience} epochs), ${schedule.times} times`;
    case 'milestones':
      return `÷10 at epochs ${schedule.epochs.join(', ')}`;
    case 'every':
      return `÷10 every ${schedule.epochs} epochs`;
  }
}
