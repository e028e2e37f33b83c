import { fileURLToPath } from 'node:url';
import { expectEqualThreads, type Peer, type PeerResult } from '../lib/bench/network.js';
import { runJson } from '../lib/bench/processes.js';

export const PEER_NAMES = ['torch', 'onnxruntime'] as const;
export type PeerName = (typeof PEER_NAMES)[number];

/** The best of the four is the peer. */
const TORCH = [
  ['torch eager', []],
  ['torch eager, channels-last', ['--channels-last']],
  ['torch compiled', ['--compile']],
  ['torch compiled, channels-last', ['--compile', '--channels-last']],
] as const;

/**
 * PyTorch of the Python that `NODE_CUDNN_TEST_PYTHON` names; onnxruntime-node, on a CPU, where it is installed in the
 * folder that `NODE_CUDNN_BENCH_ONNXRUNTIME` names, or in this one.
 */
export function peersOf(names: readonly PeerName[], device: string): Peer[] {
  const peers: Peer[] = [];
  if (names.includes('torch')) {
    const script = scriptOf('alexnet_torch.py');
    for (const [name, flags] of TORCH) {
      peers.push({
        name,
        kinds: ['train', 'infer'],
        run: ({ kind, batch, steps, seconds = 0, threads }) =>
          runJson<PeerResult>([
            python(),
            script,
            kind,
            String(batch),
            String(steps),
            ...['--seconds', String(seconds)],
            ...['--device', device.replace(/^cpu.*/, 'cpu')],
            ...(threads === undefined ? [] : ['--threads', String(threads)]),
            ...flags,
          ]),
      });
    }
  }
  if (names.includes('onnxruntime') && device.startsWith('cpu')) {
    peers.push({
      name: 'onnxruntime',
      kinds: ['infer'],
      run: (trial) =>
        runJson<PeerResult>([process.execPath, scriptOf('alexnet_onnxruntime.mjs'), JSON.stringify(trial)]),
    });
  }
  return peers;
}

/** Milliseconds, by layer and pass. */
export type TorchLayers = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** The layers of `peers/lrn_torch.py` in PyTorch. */
export async function torchLayers(batch: number, repeats: number, threads: number): Promise<TorchLayers> {
  const args = [batch, repeats, threads].map(String);
  const measured = await runJson<{ threads: number; layers: TorchLayers }>([
    python(),
    scriptOf('lrn_torch.py'),
    ...args,
  ]);
  expectEqualThreads(threads, measured);
  return measured.layers;
}

function python(): string {
  return process.env.NODE_CUDNN_TEST_PYTHON ?? 'python3';
}

function scriptOf(name: string): string {
  return fileURLToPath(new URL(`peers/${name}`, import.meta.url));
}
