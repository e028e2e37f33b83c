import { rounded } from '../lib/bench/tables.js';
import type { LayerRow } from './layers.js';
import type { Report } from './main.js';

/** What the suite is to reach, in one run on one machine. */
export interface Goal {
  readonly goal: string;
  readonly bound: number;
  /** Null where this run did not measure it. */
  readonly measured: number | null;
  readonly reached: boolean | null;
}

/** Where implementations take equally long, chance alone lets each seem slower. */
const EQUAL = 0.97;

export function goalsOf(report: Report): Goal[] {
  const { train = [], infer = [], layers = [], host, input, scaling } = report;
  const { lrn = [], convolutions }: Partial<Report> = layers.some(({ batch }) => batch === 128) ? report : {};
  const [training, inference] = [train, infer].map((rows) => rows.find(({ batch }) => batch === 128));
  const one = infer.find(({ batch }) => batch === 1);
  const isAvx512 = report.machine.arithmetic.instructionSet === 'AVX-512';
  const speeds = Object.values(inference?.ratios ?? {}).map(({ speed }) => speed);
  const between = training?.breakdown?.parts.filter(({ part }) => part === 'launching' || part === 'idle');
  const of = (which: RegExp, pass: RegExp, figure: keyof LayerRow, batch = 128) =>
    layers.flatMap((row) => {
      const value = row[figure];
      const isWanted = which.test(row.layer) && pass.test(row.pass) && (row.batch || batch) === batch;
      return isWanted && typeof value === 'number' ? value : [];
    });
  const from = (source: RegExp) => input?.training.find((row) => source.test(row.source));
  const toSpeedOfOne = Object.values(scaling?.twoThreads ?? {});
  return [
    atLeast(2.7, 'training, batch 128: × the speed of the fastest PyTorch', training?.ratios?.torch?.speed),
    atLeast(isAvx512 ? 2.2 : 2, 'inference, batch 128: × the speed of the fastest peer', ...speeds),
    atMost(0.5, 'latency, batch 1: × that of the fastest PyTorch', one?.ratios?.torch?.latency),
    atMost(1, 'latency, batch 1: × that of onnxruntime', one?.ratios?.onnxruntime?.latency),
    atLeast(
      0.85,
      'direct convolution passes: mean by FLOP, of the GEMM peak',
      convolutions?.direct.meanByFlop,
    ),
    atLeast(0.75, 'direct convolution passes: least, of the GEMM peak', convolutions?.direct.least.value),
    atLeast(
      1.3,
      'Winograd, conv3–5 and conv2 forward: × the speed of the fastest direct one, least',
      ...of(/^conv[345]/, /./, 'ofDirect'),
      ...of(/^conv2/, /forward/, 'ofDirect'),
    ),
    atLeast(
      EQUAL,
      'chosen convolutions: × the speed of the fastest direct one, least',
      ...of(/^conv/, /./, 'ofDirect'),
    ),
    atLeast(
      50,
      'LRN forward + backward: × the speed of eager PyTorch, least',
      ...lrn.flatMap(({ ratio }) => ratio ?? []),
    ),
    atMost(1.6, 'LRN forward + backward: × a copy', ...lrn.map(({ ofMemory }) => ofMemory)),
    atMost(2, 'max-pool forward: × a copy, most', ...of(/^pool/, /forward/, 'ofMemory')),
    atMost(1.6, 'max-pool backward: × a copy, most', ...of(/^pool/, /backward/, 'ofMemory')),
    atMost(1.2, 'SGD step: × a copy', ...of(/^SGD/, /./, 'ofMemory')),
    atLeast(0.8, 'FC layers, batch 128: of the GEMM peak, least', ...of(/^fc/, /./, 'ofGemmPeak')),
    atMost(
      1.3,
      'FC layers, batch 1: × a reading of the weights (or writing of their gradient), most',
      ...of(/^fc/, /./, 'ofMemory', 1),
    ),
    atMost(
      0.75,
      'peak memory, training batch 128: × that of the fastest PyTorch',
      training?.ratios?.torch?.memory,
    ),
    atMost(3, 'launch of an operation from TypeScript, µs', host?.callUs.median),
    atMost(
      0.02,
      'time between operations, of a training step of batch 128',
      between?.reduce((sum, { fraction }) => sum + fraction, 0),
    ),
    atLeast(0.95, 'training from prepared raw files: of the speed from memory', from(/raw/)?.ofMemory),
    atLeast(
      EQUAL,
      "training from JPEG: of what the decoder's share of the processor leaves",
      from(/^JPEG/)?.ofDecoderBound,
    ),
    atLeast(1.8, '2 threads: × the speed of 1, least of training and inference', ...toSpeedOfOne),
    atMost(120, 'import, ms', host?.start?.importMs.median),
  ];
}

type Figures = readonly (number | undefined)[];

/** The least of some figures. */
function atLeast(bound: number, goal: string, ...figures: Figures): Goal {
  const measured = finite(figures, Math.min);
  return {
    goal: `${goal} ≥ ${bound}`,
    bound,
    measured,
    reached: measured === null ? null : measured >= bound,
  };
}

/** And the most. */
function atMost(bound: number, goal: string, ...figures: Figures): Goal {
  const measured = finite(figures, Math.max);
  return {
    goal: `${goal} ≤ ${bound}`,
    bound,
    measured,
    reached: measured === null ? null : measured <= bound,
  };
}

function finite(figures: Figures, worst: (...values: number[]) => number): number | null {
  const known = figures.filter((figure) => figure !== undefined);
  return known.length === 0 ? null : worst(...known);
}

export function printGoals(goals: readonly Goal[]): void {
  console.table(
    goals.map(({ goal, measured, reached }) => ({
      goal,
      measured: measured === null ? 'not measured' : rounded(measured, 3),
      reached: reached === null ? '' : reached ? 'yes' : 'no',
    })),
  );
}
