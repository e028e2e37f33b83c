import type { Machine } from './machine.js';
import { leastRatio, type NetworkRow } from './network.js';
import type { Result, Trial } from './trial.js';

/** Writes lines and tables of the whole network to stdout. */
export function printNetwork(rows: Readonly<Record<Trial['kind'], readonly NetworkRow[]>>): void {
  const all = (['train', 'infer'] as const).flatMap((kind) => rows[kind].map((row) => [kind, row] as const));
  if (all.length === 0) return;
  console.table(all.map(([kind, row]) => cells(kind, row)));
  for (const [kind, row] of all) {
    for (const [name, peer] of Object.entries(row.peers ?? {})) {
      const figure =
        'error' in peer
          ? `left out: ${peer.error}`
          : `${rounded(peer.imagesPerSecond)} images/s (${range(peer.spread)}), version ${peer.version}, ${peer.threads} threads`;
      console.log(`${named(kind)}, batch ${row.batch}, ${name}: ${figure}`);
    }
    for (const { peer, speed, latency, memory } of Object.values(row.ratios ?? {})) {
      const ratios = `${rounded(speed, 2)} × the speed, ${rounded(latency, 2)} × the latency, ${rounded(memory, 2)} × the memory`;
      console.log(`${named(kind)}, batch ${row.batch}: ${ratios} of ${peer}`);
    }
  }
  for (const [kind, { batch, breakdown }] of all) {
    if (breakdown === undefined) continue;
    console.log(`where a step of ${named(kind)}, batch ${batch}, spends ${rounded(breakdown.stepMs)} ms:`);
    console.table(
      breakdown.parts.map(({ part, forwardMs, backwardMs, fraction, implementations }) => ({
        part,
        'forward ms': rounded(forwardMs, 2),
        'backward ms': rounded(backwardMs, 2),
        '%': rounded(100 * fraction),
        implementations: implementations.join(', '),
      })),
    );
  }
}

function cells(kind: Trial['kind'], row: NetworkRow): Record<string, unknown> {
  const fastest = leastRatio(row);
  return {
    what: named(kind),
    batch: row.batch,
    ...(row.threads === undefined ? {} : { threads: row.threads }),
    'images/s': rounded(row.imagesPerSecond),
    spread: range(row.spread),
    'median ms': rounded(row.stepMs.median),
    'p99 ms': rounded(row.stepMs.p99),
    'first step ms': rounded(row.firstStepMs),
    'peak resident GB': rounded(row.peakResidentBytes / 1e9, 2),
    'allocation hits %': rounded(100 * row.allocationHits),
    ...loopDelay(row),
    ...(fastest === undefined
      ? {}
      : {
          'fastest peer': fastest.peer,
          ratio: rounded(fastest.speed, 2),
          'memory ratio': rounded(fastest.memory, 2),
        }),
  };
}

export function loopDelay({
  eventLoopDelayMs,
  longestCall,
}: Pick<Result, 'eventLoopDelayMs' | 'longestCall'>) {
  return {
    'loop delay p99 ms': rounded(eventLoopDelayMs.working),
    'idle loop': rounded(eventLoopDelayMs.idle),
    ...(longestCall === undefined ? {} : { 'longest call ms': rounded(longestCall.ms, 2) }),
  };
}

export function describeMachine(machine: Machine): string {
  const { arithmetic, features, memoryBytes, ...facts } = machine;
  const all = { ...facts, memory: `${rounded(memoryBytes / 2 ** 30)} GiB`, ...arithmetic };
  return Object.entries(all)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ');
}

function named(kind: Trial['kind']): string {
  return kind === 'train' ? 'training' : 'inference';
}

export function range({ least, most }: { least: number; most: number }, digits = 1): string {
  return `${rounded(least, digits)} to ${rounded(most, digits)}`;
}

export function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
