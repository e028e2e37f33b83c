import { reasonOf } from '../errors.js';
import { runTrialProcess } from './processes.js';
import { median, type Spread, spreadOf } from './statistics.js';
import type { DeviceChoice, Result, Trial } from './trial.js';

/** Another program that does the same. */
export interface Peer {
  readonly name: string;
  readonly kinds: readonly Trial['kind'][];
  run(trial: Trial): Promise<PeerResult>;
}
export interface PeerResult extends Pick<Result, 'imagesPerSecond' | 'stepMs' | 'peakResidentBytes'> {
  readonly version?: string;
  readonly threads?: number;
}

/** Of some trials. */
export interface PeerRow extends PeerResult {
  /** Of the trials' medians. */
  readonly spread: Spread;
}
/** Ours by the fastest of a peer's variants. */
export interface Ratio {
  readonly peer: string;
  readonly speed: number;
  /** Of the median step. */
  readonly latency: number;
  readonly memory: number;
}
export interface NetworkRow extends Result {
  /** Of the trials' images/s. */
  readonly spread: Spread;
  readonly threads?: number;
  /** By name; or why there is none. */
  readonly peers?: Readonly<Record<string, PeerRow | { readonly error: string }>>;
  /** By the first word of the peer's name, such as `torch`. */
  readonly ratios?: Readonly<Record<string, Ratio>>;
}

export interface NetworkOptions {
  readonly trials: readonly Trial[];
  /** So often each of them is run. */
  readonly rounds: number;
  readonly peers?: readonly Peer[];
  readonly tell: (line: string) => void;
}

/** `batches`, for training and for inference: what a run of the whole network measures. */
export function networkTrials(
  batches: readonly number[],
  options: Pick<Trial, 'seconds'> & DeviceChoice,
): Trial[] {
  const kinds = ['train', 'infer'] as const;
  return kinds.flatMap((kind) =>
    batches.map((batch) => ({ kind, batch, steps: batch === 1 ? 200 : 20, trace: true, ...options })),
  );
}

/**
 * Runs trials round by round, each in a process of its own, a peer's trial right after ours: so that what else the machine
 * does is spread over all of them.
 */
export async function measureNetwork(options: NetworkOptions): Promise<Record<Trial['kind'], NetworkRow[]>> {
  const { trials, rounds, peers = [], tell } = options;
  const ours = trials.map((): Result[] => []);
  const theirs = trials.map(() => new Map<string, PeerResult[] | { error: string }>());
  for (let round = 1; round <= rounds; round++) {
    for (const [i, trial] of trials.entries()) {
      const what = `${trial.kind}, batch ${trial.batch}, round ${round} of ${rounds}`;
      const result = await runTrialProcess({ ...trial, trace: trial.trace === true && round === 1 });
      ours[i]?.push(result);
      tell(`${what}: ${result.imagesPerSecond.toFixed(1)} images/s`);
      for (const peer of peers.filter(({ kinds }) => kinds.includes(trial.kind))) {
        const results = theirs[i]?.get(peer.name) ?? [];
        if (!Array.isArray(results)) continue;
        try {
          const { cpuThreads } = result;
          const theirResult = await peer.run({
            ...trial,
            ...(cpuThreads === null ? {} : { threads: cpuThreads }),
          });
          expectEqualThreads(cpuThreads, theirResult);
          theirs[i]?.set(peer.name, [...results, theirResult]);
          tell(`${what}: ${theirResult.imagesPerSecond.toFixed(1)} images/s, ${peer.name}`);
        } catch (error) {
          theirs[i]?.set(peer.name, { error: reasonOf(error) });
          tell(`${what}: ${peer.name}: ${reasonOf(error)}`);
        }
      }
    }
  }
  const rowsOf = (kind: Trial['kind']): NetworkRow[] =>
    trials.flatMap((trial, i) => (trial.kind === kind ? rowOf(trial, ours[i] ?? [], theirs[i]) : []));
  return { train: rowsOf('train'), infer: rowsOf('infer') };
}

/** With other threads than ours nothing compares. */
export function expectEqualThreads(ours: number | null, { threads }: { readonly threads?: number }): void {
  if (ours !== null && threads !== undefined && threads !== ours)
    throw new Error(`Expected ${ours} threads, as ours, but received ${threads}`);
}

function rowOf(
  trial: Trial,
  results: readonly Result[],
  peers: ReadonlyMap<string, PeerResult[] | { error: string }> = new Map(),
): NetworkRow[] {
  const [first] = results;
  if (first === undefined) return [];
  const middle = (of: (result: Result) => number) => median(results.map(of));
  const ours = summary(results);
  const rows = Object.fromEntries(
    [...peers].map(([name, those]) => [name, Array.isArray(those) ? summary(those) : those]),
  );
  return [
    {
      ...first,
      ...ours,
      ...(trial.threads === undefined ? {} : { threads: trial.threads }),
      firstStepMs: middle(({ firstStepMs }) => firstStepMs),
      deviceBytes: middle(({ deviceBytes }) => deviceBytes),
      allocationHits: middle(({ allocationHits }) => allocationHits),
      eventLoopDelayMs: {
        idle: middle(({ eventLoopDelayMs }) => eventLoopDelayMs.idle),
        working: middle(({ eventLoopDelayMs }) => eventLoopDelayMs.working),
      },
      ...(peers.size === 0 ? {} : { peers: rows, ratios: ratiosTo(ours, rows) }),
    },
  ];
}

function summary(results: readonly PeerResult[]): PeerRow {
  const spread = spreadOf(results.map(({ imagesPerSecond }) => imagesPerSecond));
  const middle = (of: (result: PeerResult) => number) => median(results.map(of));
  const [{ version, threads } = {} as Partial<PeerResult>] = results;
  return {
    ...(version === undefined ? {} : { version }),
    ...(threads === undefined ? {} : { threads }),
    imagesPerSecond: spread.median,
    spread,
    stepMs: { median: middle(({ stepMs }) => stepMs.median), p99: middle(({ stepMs }) => stepMs.p99) },
    peakResidentBytes: middle(({ peakResidentBytes }) => peakResidentBytes),
  };
}

function ratiosTo(
  ours: PeerRow,
  peers: Readonly<Record<string, PeerRow | { readonly error: string }>>,
): Record<string, Ratio> {
  const ratios: Record<string, Ratio> = {};
  for (const [peer, row] of Object.entries(peers)) {
    if ('error' in row) continue;
    const [kind = peer] = peer.split(' ');
    const speed = ours.imagesPerSecond / row.imagesPerSecond;
    if ((ratios[kind]?.speed ?? Number.POSITIVE_INFINITY) <= speed) continue;
    ratios[kind] = {
      peer,
      speed,
      latency: ours.stepMs.median / row.stepMs.median,
      memory: ours.peakResidentBytes / row.peakResidentBytes,
    };
  }
  return ratios;
}

/** That to the fastest peer of all. */
export function leastRatio(row: NetworkRow): Ratio | undefined {
  return Object.values(row.ratios ?? {}).sort((a, b) => a.speed - b.speed)[0];
}
