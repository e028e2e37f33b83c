import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  Adam,
  type AlexNet,
  ArgumentError,
  DataError,
  type EpochEvent,
  FileFormatError,
  ReduceLROnPlateau,
  SGD,
  type TrainEvent,
  type TrainerOptions,
} from '../../lib/index.js';
import { SafetensorsFile } from '../../lib/io/safetensors.js';
import { colourNoise } from '../support/colour_noise.js';
import { expectEqualWeights, Greys, makeRun, Noise, type Run, weightsOf } from './greys.js';

type Extras = Parameters<typeof makeRun>[1];

const adam: Extras = { makeOptimizer: (model: AlexNet) => new Adam(model.namedParameters(), { lr: 1e-4 }) };
/** Four steps an epoch. */
const SIXTEEN = (): TrainerOptions['train'] => new Noise(16);
const epochsOf = (run: Run): TrainEvent[] => run.events.filter((event) => event.event === 'epoch');

describe('Trainer.resume', function () {
  this.timeout(300_000);
  let out = '';
  beforeEach(() => {
    out = mkdtempSync(join(tmpdir(), 'node-cudnn-resume-'));
  });
  afterEach(() => rmSync(out, { recursive: true, force: true }));

  for (const [name, extras] of [
    ['SGD', {}],
    ['Adam', adam],
  ] as const) {
    it(`after epoch 2 of 4 gives the weights of the straight run, bit for bit: ${name}`, async () => {
      const schedule = () => new ReduceLROnPlateau({ patience: 0, threshold: 0.9 });
      using straight = makeRun({ schedule: schedule() }, extras);
      await straight.trainer.fit(4);
      {
        using first = makeRun({ out, schedule: schedule() }, extras);
        await first.trainer.fit(2);
      }
      using second = makeRun({ out, schedule: schedule() }, extras);
      expect(await second.trainer.resume(out)).to.deep.equal({ epoch: 2, stepOfEpoch: 0, inexact: [] });
      expect(second.trainer.epoch).to.equal(2);
      await second.trainer.fit(4);
      expectEqualWeights(await weightsOf(second.model), await weightsOf(straight.model));
      expect(epochsOf(second)).to.deep.equal(epochsOf(straight).slice(2));
    });
  }

  it('with frozen layers is as exact; they keep their bits, and have no state in the checkpoint', async () => {
    const frozen = ['conv1', 'conv2', 'fc6'];
    const freezing: Extras = {
      makeOptimizer: (model: AlexNet) => {
        for (const [name, parameter] of model.namedParameters())
          if (frozen.some((layer) => name.startsWith(layer))) parameter.requiresGrad = false;
        return new SGD(model.namedParameters(), { lr: 1e-5, momentum: 0.9 });
      },
    };
    using straight = makeRun({}, freezing);
    const before = await weightsOf(straight.model);
    await straight.trainer.fit(2);
    {
      using first = makeRun({ out }, freezing);
      await first.trainer.fit(1);
    }
    using second = makeRun({ out }, freezing);
    await second.trainer.resume(out);
    await second.trainer.fit(2);
    const after = await weightsOf(second.model);
    expectEqualWeights(after, await weightsOf(straight.model));
    expect(after.size).to.equal(16);
    for (const [name, bytes] of before) {
      const isFrozen = frozen.some((layer) => name.startsWith(layer));
      expect(after.get(name)?.equals(bytes), name).to.equal(isFrozen);
    }
    await using file = await SafetensorsFile.open(join(out, 'last.safetensors'));
    const states = [...file.tensors.keys()].filter((name) => name.startsWith('optimizer/'));
    expect(states).to.have.length(10);
    using thawed = makeRun({ out });
    const refusal = await thawed.trainer.resume(out).catch((error: unknown) => error);
    expect(refusal).to.be.instanceOf(FileFormatError);
    expect(String(refusal)).to.match(/a tensor for "optimizer\/velocity\/conv1\.weight"/);
  });

  it("finds no other run's best beside it", async () => {
    const best = join(out, 'best.safetensors');
    {
      using old = makeRun({ out, validation: new Greys(4) });
      await old.trainer.fit(1);
    }
    expect(existsSync(best)).to.equal(true);
    {
      using again = makeRun({ out, validation: new Greys(4) });
      await again.trainer.resume(out);
      await again.trainer.fit(2);
    }
    expect(existsSync(best), 'of the run that goes on').to.equal(true);
    const controller = new AbortController();
    const onEvent = () => controller.abort();
    using other = makeRun({ train: SIXTEEN(), validation: new Greys(4), out, onEvent });
    await other.trainer.fit(1, { signal: controller.signal });
    expect(existsSync(join(out, 'last.safetensors'))).to.equal(true);
    expect(existsSync(best), 'of a run that another replaces').to.equal(false);
  });

  for (const [name, extras] of [
    ['SGD', {}],
    ['Adam', adam],
  ] as const) {
    it(`in the middle of an epoch is as exact, twice: ${name}`, async () => {
      const options = () => ({
        train: SIXTEEN(),
        validation: new Noise(6),
        colourNoise: colourNoise('krizhevsky2012'),
      });
      using straight = makeRun(options(), extras);
      await straight.trainer.fit(2);

      /** Stops when the loss of `step` is known. */
      const runUntil = async (step: number, resume: boolean): Promise<number> => {
        const controller = new AbortController();
        const onEvent = (event: TrainEvent): void => {
          if (event.event === 'step' && event.step === step) controller.abort();
        };
        using run = makeRun({ ...options(), out, onEvent }, extras);
        if (resume) await run.trainer.resume(out);
        const end = await run.trainer.fit(2, { signal: controller.signal });
        expect(end).to.include({ complete: false, epoch: 0, checkpoint: join(out, 'last.safetensors') });
        expect(run.events.filter((event) => event.event === 'step').at(-1)).to.include({ step: end.step });
        expect(run.events.at(-1)).to.equal(end);
        return end.step;
      };
      const first = await runUntil(1, false);
      expect(first).to.be.within(1, 3);
      // The last step of the epoch: what is left of it is validation.
      expect(await runUntil(4, true)).to.equal(4);

      using last = makeRun({ ...options(), out }, extras);
      expect(await last.trainer.resume(out)).to.deep.equal({ epoch: 0, stepOfEpoch: 4, inexact: [] });
      const end = await last.trainer.fit(2);
      expect(end).to.include({ complete: true, epoch: 2, step: 8 });
      expect(epochsOf(last)).to.deep.equal(epochsOf(straight));
      expectEqualWeights(await weightsOf(last.model), await weightsOf(straight.model));
    });
  }

  it('is as exact where steps are passed over, stopped in one or after one', async () => {
    const options = () => ({ train: new Noise(6, [1, 4]), batchSize: 1 });
    const figures = ({ events }: Run) =>
      events.flatMap((event) =>
        event.event === 'step' ? [[event.epoch, event.step, event.images, event.loss, event.lr]] : [],
      );
    using straight = makeRun(options(), adam);
    await straight.trainer.fit(2);
    expect(figures(straight)).to.have.length(8);
    for (const last of ['skip', 'step'] as const) {
      const controller = new AbortController();
      let passedOver = false;
      const onEvent = ({ event }: TrainEvent): void => {
        passedOver ||= event === 'skip';
        if (passedOver && event === last) controller.abort();
      };
      using first = makeRun({ ...options(), out: join(out, last), onEvent }, adam);
      const end = await first.trainer.fit(2, { signal: controller.signal });
      expect(end).to.include({ complete: false });
      using second = makeRun({ ...options(), out: join(out, last) }, adam);
      if (end.checkpoint !== null) await second.trainer.resume(end.checkpoint);
      await second.trainer.fit(2);
      expect([...figures(first), ...figures(second)]).to.deep.equal(figures(straight));
      expect(epochsOf(second).at(-1)).to.deep.equal(epochsOf(straight).at(-1));
      expectEqualWeights(await weightsOf(second.model), await weightsOf(straight.model));
    }
  });

  it('goes on from the epoch before one of which nothing could be read', async () => {
    using straight = makeRun({ train: new Noise(8) });
    await straight.trainer.fit(2);
    const train = new Noise(8);
    const noneLeft = Array.from({ length: 8 }, (_, i) => i);
    const onEvent = ({ event }: TrainEvent): void => {
      if (event === 'epoch') Object.assign(train, { broken: noneLeft });
    };
    using first = makeRun({ train, out, onEvent });
    const failure = await first.trainer.fit(2).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(DataError);
    expect(String(failure)).to.match(/at least one of 8 pictures .*is broken/);
    using second = makeRun({ train: new Noise(8), out });
    expect(await second.trainer.resume(out)).to.deep.equal({ epoch: 1, stepOfEpoch: 0, inexact: [] });
    await second.trainer.fit(2);
    expectEqualWeights(await weightsOf(second.model), await weightsOf(straight.model));
  });

  it('saves nothing of an epoch that was stopped before anything was read', async () => {
    const controller = new AbortController();
    const train = new Noise(8, [0, 1, 2, 3, 4, 5, 6, 7]);
    using run = makeRun({ train, batchSize: 2, out, onEvent: () => controller.abort() });
    const end = await run.trainer.fit(1, { signal: controller.signal });
    expect(end).to.include({ complete: false, epoch: 0, step: 0, checkpoint: null });
  });

  it('keeps the figures of an epoch whole that was stopped in it', async () => {
    using straight = makeRun({ train: SIXTEEN() });
    await straight.trainer.fit(1);
    const controller = new AbortController();
    {
      using first = makeRun({ train: SIXTEEN(), out, onEvent: () => controller.abort() });
      await first.trainer.fit(1, { signal: controller.signal });
    }
    using second = makeRun({ train: SIXTEEN(), out });
    await second.trainer.resume(out);
    await second.trainer.fit(1);
    const [wanted, actual] = [straight, second].map((run) => (epochsOf(run)[0] as EpochEvent).train);
    expect(actual).to.deep.equal(wanted);
  });

  it('does nothing where the signal was aborted before', async () => {
    using run = makeRun({ out });
    const end = await run.trainer.fit(1, { signal: AbortSignal.abort() });
    expect(end).to.deep.include({ complete: false, epoch: 0, step: 0, checkpoint: null });
    expect(run.events).to.deep.equal([end]);
  });

  describe('from one checkpoint', () => {
    let folder = '';
    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'node-cudnn-resume-'));
      using run = makeRun({ out: folder, validation: new Greys(4) });
      await run.trainer.fit(1);
    });
    after(() => rmSync(folder, { recursive: true, force: true }));

    const others = (change: object): Greys => Object.assign(new Greys(8), change);
    const same = () => ({ validation: new Greys(4) });
    const refusals: readonly [string, new (message: string) => Error, RegExp, () => Run][] = [
      ['seed', ArgumentError, /Expected 5 for seed but received 6/, () => makeRun({ ...same(), seed: 6 })],
      [
        'batch size',
        ArgumentError,
        /Expected 4 for batchSize but received 2/,
        () => makeRun({ ...same(), batchSize: 2 }),
      ],
      [
        'preset',
        ArgumentError,
        /Expected "paper" for preset but received "krizhevsky2012"/,
        () => makeRun(same(), { preset: 'krizhevsky2012' }),
      ],
      [
        'dropout',
        ArgumentError,
        /Expected 0.5 for dropout but received 0/,
        () => makeRun(same(), { dropout: 0 }),
      ],
      [
        'classes',
        DataError,
        /Expected \["dark","light"\] for classes but received \["light","dark"\]/,
        () => {
          const classes = ['light', 'dark'];
          const validation = Object.assign(new Greys(4), { classes });
          return makeRun({ train: others({ classes }), validation });
        },
      ],
      [
        'number of pictures',
        DataError,
        /Expected 8 for pictures of the training data but received 12/,
        () => makeRun({ ...same(), train: new Greys(12) }),
      ],
      [
        'pictures',
        DataError,
        /Expected the same pictures, by paths and lengths, for the training data but received others/,
        () => makeRun({ ...same(), train: others({ fingerprint: 'others' }) }),
      ],
      [
        'validation',
        DataError,
        /Expected 4 for pictures of the validation data but received null/,
        () => makeRun(),
      ],
      [
        'augmentation',
        ArgumentError,
        /Expected true for augmentation\.flips but received false/,
        () => makeRun({ ...same(), augmentation: { crops: 'random', flips: false } }),
      ],
      ['optimizer', FileFormatError, /optimizer\/m\/conv1\.weight/, () => makeRun(same(), adam)],
    ];
    for (const [what, type, message, make] of refusals) {
      it(`refuses another ${what}, by name`, async () => {
        using run = make();
        const before = await weightsOf(run.model);
        const failure = await run.trainer.resume(folder).catch((error: unknown) => error);
        expect(failure).to.be.instanceOf(type);
        expect(String(failure)).to.match(message);
        expectEqualWeights(await weightsOf(run.model), before);
      });
    }

    it('refuses a model without training state', async () => {
      using run = makeRun(same());
      const file = join(folder, 'best.safetensors');
      const failure = await run.trainer.resume(file).catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(FileFormatError);
      expect(String(failure)).to.match(/Expected checkpoint for .*best\.safetensors/);
    });

    it('says that the optimizer or the schedule has other settings', async () => {
      using run = makeRun({ ...same(), schedule: new ReduceLROnPlateau() }, { lr: 2e-5 });
      const { inexact } = await run.trainer.resume(folder).catch((error) => ({ inexact: [String(error)] }));
      expect(inexact.join('\n')).to.match(/badEpochs/);
      using other = makeRun(same(), { lr: 2e-5 });
      expect((await other.trainer.resume(folder)).inexact).to.deep.equal([
        'optimizer: lr 0.00002, weightDecay 0.0005; kind SGD; momentum 0.9 instead of lr 0.00001, weightDecay 0.0005; kind SGD; momentum 0.9',
      ]);
    });

    it('refuses another preprocessing', async () => {
      const preprocessing = { resize: 232, crop: 227, mean: [1, 2, 3], scale: [1, 1, 1] } as const;
      using run = makeRun({ ...same(), preprocessing });
      const failure = await run.trainer.resume(folder).catch((error: unknown) => error);
      expect(String(failure)).to.match(/\[127,127,127\] for preprocessing\.mean but received \[1,2,3\]/);
    });

    it('stays of use after a refusal', async () => {
      using run = makeRun(same(), adam);
      await run.trainer.resume(folder).catch(() => {});
      expect((await run.trainer.fit(1)).complete).to.equal(true);
    });

    it('gives the device what autotune chose', async () => {
      const out = join(folder, 'tuned');
      using first = makeRun({ ...same(), out });
      first.model.device.choose({ 'conv2d 0 1': 'engine 5' });
      await first.trainer.fit(1);
      first.model.device.choose({ 'conv2d 0 2': 'engine 6' });
      using second = makeRun(same());
      await second.trainer.resume(out);
      await second.model.device.synchronize();
      expect(second.model.device.choices).to.deep.equal({ 'conv2d 0 1': 'engine 5' });
    });

    it('says what makes it inexact, and goes on', async () => {
      using run = makeRun(same());
      const { device } = run.model;
      const threads = Number(device.arithmetic.threads);
      device.setThreads(threads + 1);
      try {
        const { inexact } = await run.trainer.resume(folder);
        expect(inexact, 'inexact').to.deep.equal([`threads: ${threads + 1} instead of ${threads}`]);
        expect((await run.trainer.fit(2)).epoch).to.equal(2);
      } finally {
        device.setThreads(threads);
      }
    });
  });
});
