import { type Spread, spreadOf } from '../lib/bench/statistics.js';
import type { LayerRow } from './layers.js';
import type { TorchLayers } from './peers.js';

/** One normalisation layer, forward and backward together. */
export interface LrnRow {
  readonly layer: string;
  /** Of the rounds. */
  readonly ms: Spread;
  /** How many times as long as a copy of the bytes of both. */
  readonly ofMemory: number;
  /** Of PyTorch in eager mode, measured in turns with ours. */
  readonly torchMs?: Spread;
  /** How many times as fast as that. */
  readonly ratio?: number;
}

/** @param rounds ours, and PyTorch's where it was measured */
export function lrnRows(
  rounds: readonly { readonly layers: readonly LayerRow[]; readonly torch?: TorchLayers }[],
): LrnRow[] {
  return ['norm1', 'norm2'].map((layer) => {
    const passes = rounds.map(({ layers }) => layers.filter((row) => row.layer === layer));
    const ms = spreadOf(passes.map((rows) => sum(rows.map((row) => row.ms.median))));
    const copyMs = spreadOf(
      passes.map((rows) => sum(rows.map((row) => row.ms.median / (row.ofMemory ?? Number.NaN)))),
    );
    const torch = rounds.flatMap(({ torch }) => {
      const times = torch?.[layer];
      return times === undefined ? [] : sum(Object.values(times));
    });
    const torchMs = torch.length === 0 ? undefined : spreadOf(torch);
    return {
      layer,
      ms,
      ofMemory: ms.median / copyMs.median,
      ...(torchMs === undefined ? {} : { torchMs, ratio: torchMs.median / ms.median }),
    };
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
