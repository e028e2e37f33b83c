import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { useFolder } from '../cli/alexnet.js';
import { build, needCuda } from '../cuda/targets.js';
import type { Report } from '../gpu/acceptance.js';
import { runBounded } from '../gpu/bounded.js';
import { Section } from '../gpu/section.js';
import { type Ending, runNode } from '../support/child.js';

const script = fileURLToPath(new URL('../gpu/acceptance.ts', import.meta.url));
const SECTIONS = [
  'operations, TF32 off',
  'operations, TF32 on',
  'training trace',
  'determinism',
  'dropout and random numbers',
  'out of memory',
  'two devices',
  'launch overhead',
  'speed of layers',
  'speed of the net',
];

describe('simulator: the acceptance run for a GPU', function () {
  this.timeout(600_000);
  const folder = useFolder();
  const { NODE_CUDNN_SIMULATOR } = process.env;
  before(function () {
    needCuda(this);
    build('node_cudnn_simulator');
  });
  afterEach(() => {
    if (NODE_CUDNN_SIMULATOR === undefined) delete process.env.NODE_CUDNN_SIMULATOR;
    else process.env.NODE_CUDNN_SIMULATOR = NODE_CUDNN_SIMULATOR;
  });

  const run = async (settings: string): Promise<Ending & { report: Report }> => {
    process.env.NODE_CUDNN_SIMULATOR = settings;
    const out = join(folder(), 'report.json');
    const ending = await runNode(['--import', 'tsx/esm', script, '--simulator', '--out', out], 590_000);
    const report = JSON.parse(await readFile(out, 'utf8')) as Report;
    expect(report.sections.map(({ name }) => name)).to.deep.equal(SECTIONS);
    expect(report.unfinished).to.equal(null);
    return { ...ending, report };
  };

  it('passes, and reports the machine, every section and all speeds', async () => {
    const { code, stderr, stdout, report } = await run('seed=1 devices=b200,b200');
    expect(report.sections.flatMap(({ failures }) => failures)).to.deep.equal([]);
    expect([code, stderr]).to.deep.equal([0, '']);
    expect(report.sections.map(({ status }) => status)).to.deep.equal(SECTIONS.map(() => 'passed'));
    for (const { cases, name } of report.sections) expect(cases, name).to.be.above(0);
    const worst = new Map(report.sections.map(({ name, worst: of }) => [name, of?.relative ?? 0]));
    expect(worst.get('operations, TF32 off')).to.be.within(1e-9, 1e-4);
    expect(worst.get('operations, TF32 on'), 'that of TF32').to.be.within(1e-5, 5e-3);

    const { machine, speed } = report;
    expect(machine.simulated).to.equal(true);
    expect(JSON.stringify(machine.gpus)).to.include('NVIDIA B200');
    for (const fact of ['cpu', 'node', 'cuda', 'cudnn', 'package', 'date'])
      expect(machine[fact], fact).to.be.a('string');
    const { launches, layers = [], net = [] } = speed;
    expect(launches?.conv2d.wallUs).to.be.above(0);
    expect(layers.map(({ layer }) => layer)).to.include.members(['conv1', 'norm1', 'pool5', 'fc8']);
    for (const { forwardMs, forwardBackwardMs } of layers)
      expect(Math.min(forwardMs, forwardBackwardMs)).to.be.above(0);
    expect(net.map(({ kind, batch }) => [kind, batch])).to.deep.equal([['train', 2]]);
    expect(net[0]?.imagesPerSecond).to.be.above(0);
    expect(stdout).to.include('operations, TF32 off').and.to.include('imagesPerSecond');
  });

  it('tells each failure, and goes on', async () => {
    // The trial of the whole net is another process, whose third call fails too.
    const { code, stdout, report } = await run('seed=1 devices=b200 fail=cublasSgemm:3:ExecutionFailed');
    expect(code).to.equal(1);
    const failed = report.sections.filter(({ status }) => status === 'failed');
    expect(failed.map(({ name }) => name)).to.deep.equal(['operations, TF32 off', 'speed of the net']);
    const [operations, net] = failed.map(({ failures }) => failures.map(({ error }) => error));
    expect(operations).to.not.have.lengthOf(0);
    for (const error of operations ?? []) expect(error, error).to.include('CUBLAS_STATUS_EXECUTION_FAILED');
    // What another process says of it comes through its stderr, among what the simulator writes at its end.
    expect(net).to.have.lengthOf(1);
    expect(net?.[0], net?.[0]).to.match(/^Expected exit code 0 but received/);
    expect(stdout).to.match(/^FAILED operations, TF32 off: linear\/.*CUBLAS_STATUS_EXECUTION_FAILED/m);
    const others = report.sections.filter(({ status }) => status !== 'failed');
    expect(others.map(({ status }) => status)).to.deep.equal(
      others.map(({ name }) => (name === 'two devices' ? 'skipped' : 'passed')),
    );
  });
});

describe('The acceptance run', () => {
  const folder = useFolder();
  const out = () => join(folder(), 'report.json');
  const run = async (code: string, limit: AbortSignal) => {
    const ending = await runBounded(['-e', code, out()], out(), limit);
    return { ...ending, report: JSON.parse(await readFile(out(), 'utf8')) as Report };
  };

  it('that hangs is killed at its limit with what it started, and its report says in which section', async () => {
    const limit = new AbortController();
    const running = run(
      `const other = require('child_process').spawn('sleep', ['600']);
       const report = { unfinished: 'a section', sections: [], other: other.pid };
       require('fs').writeFileSync(process.argv[1] + '.new', JSON.stringify(report));
       require('fs').renameSync(process.argv[1] + '.new', process.argv[1]);
       for (;;) {}`,
      limit.signal,
    );
    while (!existsSync(out())) await new Promise((resolve) => setImmediate(resolve));
    const { other } = JSON.parse(await readFile(out(), 'utf8')) as { other: number };
    limit.abort();
    const { status, told, report } = await running;
    expect(status).to.equal(1);
    expect(told).to.equal('the run was killed at its limit, in: a section');
    expect(report).to.deep.equal({ unfinished: told, sections: [], other });
    // Gone, or a zombie whose ending nobody has asked for: the test's own limit ends a wait in vain.
    const stateOf = () => readFile(`/proc/${other}/stat`, 'utf8').catch(() => '');
    while (!/^$|\) Z /.test(await stateOf())) await new Promise((resolve) => setImmediate(resolve));
  });

  it('that dies leaves a report', async () => {
    const { status, told, report } = await run(
      "process.kill(process.pid, 'SIGKILL')",
      new AbortController().signal,
    );
    expect(status).to.equal(1);
    expect(told).to.equal('the run ended with SIGKILL, in: its beginning');
    expect(report).to.deep.equal({ unfinished: told });
  });
});

describe('A section of the acceptance run', () => {
  it('tells a figure that is too large, or none', () => {
    for (const relative of [2, Number.NaN]) {
      const section = new Section('section', 60);
      section.expectAtMost('right', 0.5, 1);
      section.expectAtMost('wrong', relative, 1);
      const { status, failures, worst } = section.report();
      expect(status).to.equal('failed');
      expect(failures.map(({ name }) => name)).to.deep.equal(['wrong']);
      expect(worst).to.deep.equal({ name: 'wrong', relative });
    }
  });

  it('names what its time was too short for', async () => {
    const section = new Section('section', 0);
    expect(await section.run('late', () => 1)).to.equal(undefined);
    const { status, cases, notReached } = section.report();
    expect({ status, cases, notReached }).to.deep.equal({
      status: 'incomplete',
      cases: 0,
      notReached: ['late'],
    });
  });

  it('leaves a case that does not end', async () => {
    const section = new Section('section', 0.05);
    await section.run('endless', () => new Promise(() => {}));
    const { status, failures } = section.report();
    expect(status).to.equal('failed');
    expect(failures[0]).to.include({ name: 'endless' });
  });
});
