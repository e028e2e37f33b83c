import { expected, ShapeError } from '../errors.js';

/** Logits of pictures, a row each. */
export type Scores = Float32Array;

export interface Averaged {
  /** Of each picture: −ln of the averaged probability of its class. */
  losses: number[];
  /** Of each picture: the averaged probability of each class. */
  probabilities: Float64Array[];
}

/** Averages the softmax of several scores of the same pictures; in double. */
export function averageScores(
  scores: readonly Scores[],
  labels: ArrayLike<number>,
  classes: number,
): Averaged {
  const count = labels.length;
  for (const one of scores)
    if (one.length !== count * classes)
      throw new ShapeError(expected(`logits [${count}, ${classes}]`, 'a model', [one.length]));
  const probabilities = Array.from({ length: count }, () => new Float64Array(classes));
  const losses = Array.from({ length: count }, (_, picture) => {
    const averaged = probabilities[picture] ?? new Float64Array(classes);
    const label = labels[picture] ?? 0;
    const logs = scores.map((one) => {
      const row = one.subarray(picture * classes, (picture + 1) * classes);
      const logSum = logSumExp(row);
      for (let c = 0; c < classes; c++)
        averaged[c] = (averaged[c] ?? 0) + Math.exp((row[c] ?? 0) - logSum) / scores.length;
      return (row[label] ?? 0) - logSum;
    });
    return Math.log(scores.length) - logSumExp(logs);
  });
  return { losses, probabilities };
}

function logSumExp(values: ArrayLike<number>): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i] ?? 0);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp((values[i] ?? 0) - most);
  return most + Math.log(sum);
}

/**
 * How many classes are guessed before `label`: the more probable ones, and of equally probable ones those of lower index.
 * One whose probability is not a number is guessed last.
 */
export function rankOf(label: number, probabilities: ArrayLike<number>): number {
  const own = probabilities[label] ?? Number.NaN;
  if (Number.isNaN(own)) return probabilities.length;
  let rank = 0;
  for (let c = 0; c < probabilities.length; c++) {
    const other = probabilities[c] ?? 0;
    if (other > own || (other === own && c < label)) rank++;
  }
  return rank;
}

/** The `count` most probable classes, the likeliest first; of equally probable ones the lower index. */
export function bestOf(count: number, probabilities: ArrayLike<number>): number[] {
  const classes = Array.from({ length: probabilities.length }, (_, c) => c);
  const value = (c: number) => probabilities[c] ?? 0;
  return classes.sort((a, b) => value(b) - value(a) || a - b).slice(0, count);
}
