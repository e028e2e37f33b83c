import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import { SafetensorsFile } from '../../lib/io/safetensors.js';
import { Random } from '../../lib/random.js';
import { runNode } from '../support/child.js';
import { alexnet, jsonLines, MAIN, useFolder } from './alexnet.js';
import { BLUE, RED, writeNoise, writePictures } from './pictures.js';

type Event = Record<string, unknown>;

interface Running {
  child: ChildProcess;
  events: Event[];
  stderr: () => string;
  /** Resolves with the exit status and signal, when all output was read. */
  ended: Promise<[status: number | null, signal: NodeJS.Signals | null]>;
}

/** Ended after each test, whatever became of that. */
const started: ChildProcess[] = [];

/** Starts the command line with --json and calls `onEvent` for each line that it writes. */
function start(args: readonly string[], onEvent: (event: Event, child: ChildProcess) => void): Running {
  const child = spawn(process.execPath, [MAIN, ...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  const events: Event[] = [];
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  createInterface(child.stdout).on('line', (line) => {
    const event = JSON.parse(line) as Event;
    events.push(event);
    onEvent(event, child);
  });
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  return { child, events, stderr: () => stderr, ended };
}

describe('command line: training that is stopped', function () {
  this.timeout(600_000);
  const folder = useFolder();
  const at = (...path: string[]) => join(folder(), ...path);
  const temporaries = async (out: string) => (await readdir(out)).filter((name) => name.endsWith('.tmp'));
  let data: string[];

  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
  });

  before(async () => {
    await writeNoise(at('train'), ['blue', 'red'], 8);
    await writePictures(at('val'), { blue: BLUE, red: RED }, 1);
    const recipe = ['--batch', '4', '--optimizer', 'sgd', '--lr', '1e-5'];
    data = ['--data', at('train'), '--val', at('val'), ...recipe];
  });

  it('goes on after SIGINT and SIGTERM to the very file of a run that was never stopped', async () => {
    const straight = await alexnet(['train', ...data, '--epochs', '2', '--out', at('straight'), '--json']);
    expect(straight.status).to.equal(0);

    const out = ['--out', at('stopped')];
    const first = start(['train', ...data, '--epochs', '2', ...out], (event, child) => {
      if (event.step === 1) child.kill('SIGINT');
    });
    expect(await first.ended).to.deep.equal([130, null]);
    expect(first.stderr()).to.equal('\nSIGINT: finishing the step and saving. Once more ends at once\n');
    const end = first.events.at(-1);
    expect(end).to.include({
      event: 'end',
      complete: false,
      epoch: 0,
      checkpoint: at('stopped/last.safetensors'),
    });
    expect(first.events.at(-2)).to.include({ event: 'step', step: end?.step });

    const second = start(['train', '--resume', at('stopped')], (event, child) => {
      if (event.event === 'epoch') child.kill('SIGTERM');
    });
    expect(await second.ended).to.deep.equal([143, null]);
    expect(second.stderr()).to.match(
      new RegExp(
        `^Going on from .*last\\.safetensors, after epoch 0 of 2 and ${end?.step} steps of the next\n\nSIGTERM:`,
      ),
    );
    expect(second.events[0]).to.include({ event: 'step', step: Number(end?.step) + 1 });

    const third = await alexnet(['train', '--resume', at('stopped'), '--json']);
    expect(third.status).to.equal(0);
    const all = [...first.events, ...second.events, ...jsonLines(third.stdout)];
    const figures = ({ event, step, loss, train, val }: Event) => ({ event, step, loss, train, val });
    const told = (events: Event[]) => events.filter(({ event }) => event !== 'end').map(figures);
    expect(told(all)).to.deep.equal(told(jsonLines(straight.stdout)));
    const [wanted, actual] = await Promise.all(
      ['straight', 'stopped'].map((run) => readFile(at(run, 'last.safetensors'))),
    );
    expect(actual?.equals(wanted ?? Buffer.of()), 'equal files').to.equal(true);
  });

  it('saves when the reader of its output goes with the same Ctrl-C', async () => {
    const running = start(['train', ...data, '--epochs', '2', '--out', at('piped')], (event, child) => {
      if (event.step !== 1) return;
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.kill('SIGINT');
    });
    const [status] = await running.ended;
    expect(status).to.be.oneOf([130, 141]);
    await using file = await SafetensorsFile.open(at('piped/last.safetensors'));
    expect(file.tensors.size).to.be.above(16);
  });

  for (const [second, status] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    it(`ends at once after a second signal: ${second}`, async () => {
      const running = start(['train', ...data, '--epochs', '2', '--out', at(second)], (event, child) => {
        if (event.step === 1) child.kill('SIGINT');
      });
      running.child.stderr?.once('data', () => running.child.kill(second));
      expect(await running.ended).to.deep.equal([status, null]);
      expect(running.events.at(-1)?.event).to.equal('step');
      expect(running.stderr()).to.equal('\nSIGINT: finishing the step and saving. Once more ends at once\n');
    });
  }

  it('goes on with another instruction set, and says that it is no longer bit for bit', async function () {
    if (!/ avx512f /.test(await readFile('/proc/cpuinfo', 'utf8'))) {
      if (this.test) this.test.title += ' (skipped: no AVX-512 here)';
      this.skip();
    }
    const out = at('other');
    const first = await alexnet(['train', ...data, '--epochs', '1', '--out', out]);
    expect(first.status).to.equal(0);
    const args = [MAIN, 'train', '--resume', out, '--epochs', '2'];
    const { code, stdout, stderr } = await runNode(args, 100_000, { ONEDNN_MAX_CPU_ISA: 'AVX2' });
    expect([code, stderr]).to.deep.equal([0, '']);
    expect(stdout).to.match(
      /^Going on from .*last\.safetensors, after epoch 1 of 2\n {2}epochs: 2 instead of 1\n/,
    );
    expect(stdout).to.match(/\n {2}instructionSet: AVX2 instead of AVX-512\n/);
    expect(stdout).to.include(
      '  so the run is no longer what it would have been without the stop, bit for bit\n',
    );
    expect(stdout).to.match(/\nepoch 2\/2 {2}training loss /);
  });

  it('loses no complete checkpoint to kill -9, at 20 moments, some of them within a save', async () => {
    const out = at('killed');
    const random = new Random(20, 0);
    const options = [...data, '--batch', '8', '--epochs', '100000', '--out', out];
    let epochs = 0;
    let withinSave = 0;
    for (let run = 0; run < 20; run++) {
      const args = epochs === 0 ? options : ['--resume', out];
      const moment = 1 + random.integer(6);
      let told = epochs;
      let steps = 0;
      const running = start(['train', ...args], (event, child) => {
        if (event.event === 'epoch') told = Number(event.epoch);
        if (event.event === 'step' && ++steps === moment && run % 2 === 0) child.kill('SIGKILL');
      });
      // Every other run: so many writes into a checkpoint's temporary file.
      let writes = 4 * moment;
      const watcher =
        run % 2 === 1
          ? watch(out, (_, name) => {
              if (name?.endsWith('.tmp') && --writes === 0) running.child.kill('SIGKILL');
            })
          : undefined;
      expect(await running.ended).to.deep.equal([null, 'SIGKILL']);
      watcher?.close();
      const left = await temporaries(out);
      expect(left.length).to.be.at.most(1);
      withinSave += left.length;
      if (told === 0) continue;
      await using file = await SafetensorsFile.open(join(out, 'last.safetensors'));
      for (const name of file.tensors.keys()) await file.readTensor(name);
      epochs = Number((JSON.parse(file.metadata.training ?? '') as Event).epoch);
      expect(epochs, 'epochs in the checkpoint').to.be.within(told, told + 1);
    }
    expect(withinSave, 'kills within a save').to.be.above(2);

    const last = start(['train', '--resume', out], (event, child) => {
      if (event.event === 'epoch') child.kill('SIGTERM');
    });
    expect(await last.ended).to.deep.equal([143, null]);
    expect(last.events[0]).to.include({ event: 'step', epoch: epochs + 1 });
    expect(await temporaries(out)).to.deep.equal([]);
    await rm(out, { recursive: true });
  });

  it('ends when the disk is full, says what was kept, and keeps it usable', async function () {
    // Room for both checkpoints of the first epoch, not for a second one beside them.
    const { stdout, stderr } = await onTemporaryDisk(this, at('disk'), 'size=800m', [
      '"$2" "$3" train $4 --epochs 3 --out "$1" --json > /dev/null; echo "status $?"',
    ]);
    expect(stderr).to.match(
      /^error: Cannot write .*(last|best)\.safetensors \(ENOSPC: .*\): the previous file is unchanged\n$/,
    );
    expect(stdout).to.match(
      /^status 1\nbest\.safetensors\ncurves\.csv\nevents\.out\..*\nlast\.safetensors\nreport\.html\n\{"loss":[\d.]+,"top1"/,
    );
  });

  it('ends when the folder becomes read-only, says what was kept, and keeps it usable', async function () {
    // The system refuses to make it read-only while a checkpoint is being written.
    const { stdout, stderr } = await onTemporaryDisk(this, at('read-only'), 'size=2g', [
      '{ "$2" "$3" train $4 --epochs 1000 --out "$1" --json; echo "status $?"; } | while read -r line; do',
      '  case "$line" in',
      '    *\'"event":"epoch"\'*) until mount -o remount,ro "$1" 2> /dev/null; do :; done ;;',
      '    status*) echo "$line" ;;',
      '  esac',
      'done',
    ]);
    // The report may come a moment too late.
    expect(stderr).to.match(
      /^(Curves and report end here.*EROFS.*\n)?error: Cannot write .*(last|best)\.safetensors \(EROFS: .*\): the previous file is unchanged\n$/,
    );
    expect(stdout).to.match(
      /^status 1\n(\.node-cudnn.*\n)?best\.safetensors\ncurves\.csv\nevents\.out\..*\nlast\.safetensors\n(report\.html\n)?\{"loss":[\d.]+,"top1"/,
    );
  });

  /** Runs lines of shell with a file system of its own at $1, then tells what is there and whether `eval` takes it. */
  async function onTemporaryDisk(
    test: Mocha.Context,
    disk: string,
    options: string,
    lines: readonly string[],
  ): Promise<{ stdout: string; stderr: string }> {
    if (spawnSync('unshare', ['-rm', 'true']).status !== 0) {
      if (test.test) test.test.title += ' (skipped: no mount namespaces here)';
      test.skip();
    }
    const script = [
      `set -u; mkdir "$1"; mount -t tmpfs -o ${options} tmpfs "$1" || exit 99`,
      ...lines,
      'ls -A "$1"; "$2" "$3" eval --model "$1" --data "$5" --json',
    ].join('\n');
    const shell = spawn(
      'unshare',
      ['-rm', 'sh', '-c', script, 'sh', disk, process.execPath, MAIN, data.join(' '), at('val')],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let [stdout, stderr] = ['', ''];
    shell.stdout.on('data', (text: Buffer) => {
      stdout += text;
    });
    shell.stderr.on('data', (text: Buffer) => {
      stderr += text;
    });
    await once(shell, 'close');
    return { stdout, stderr };
  }
});
