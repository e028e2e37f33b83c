#!/usr/bin/env node
import { inspect } from 'node:util';
import { Command, CommanderError } from 'commander';
import { NodeCudnnError } from '../errors.js';
import { packageVersion } from '../version.js';
import { remember } from './autotune.js';
import { addBench } from './bench.js';
import { addDoctor } from './doctor.js';
import { addEval } from './eval.js';
import { addExport } from './export.js';
import { addFeatures, addNeighbours } from './features.js';
import { addFilters } from './filters.js';
import { addImport } from './import.js';
import { examples } from './options.js';
import { printable } from './output.js';
import { addPredict } from './predict.js';
import { addPrepare } from './prepare.js';
import { addSetup } from './setup.js';
import { addStats } from './stats.js';
import { requestStop } from './stop.js';
import { addTrain } from './train.js';

/** 128 + SIGPIPE: what programs end with whose reader has gone. */
const STATUS_READER_GONE = 141;

function program(): Command {
  const alexnet = new Command('alexnet')
    .description('Trains AlexNet and uses it, on oneDNN (CPU) or cuDNN (CUDA).')
    .version(packageVersion())
    .exitOverride();
  addTrain(alexnet);
  addEval(alexnet);
  addPredict(alexnet);
  addImport(alexnet);
  addExport(alexnet);
  addDoctor(alexnet);
  addFilters(alexnet);
  addFeatures(alexnet);
  addNeighbours(alexnet);
  addStats(alexnet);
  addPrepare(alexnet);
  addBench(alexnet);
  addSetup(alexnet);
  return alexnet.addHelpText(
    'after',
    examples(
      ['alexnet train', 'learn ten classes of drawn shapes: needs no data'],
      ['alexnet train --data photos/train --val photos/val --out runs/photos', 'learn your own'],
      ['alexnet predict --model runs/photos cat.jpg', 'use what was learnt'],
      ['alexnet help train', 'all options of a command'],
    ),
  );
}

/** @returns the exit status: 0, 1 for a failure, 2 for wrong usage */
async function run(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync(args);
    await remember();
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // commander has written its message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`error: ${describe(error, args.includes('--verbose'))}\n`);
    return 1;
  }
}

function describe(error: unknown, verbose: boolean): string {
  if (verbose || !(error instanceof Error)) return inspect(error);
  const message = printable(error.message);
  return error instanceof NodeCudnnError ? message : `${message} (--verbose shows where)`;
}

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (!requestStop(STATUS_READER_GONE)) process.exit(STATUS_READER_GONE);
  });
}
run(process.argv).then((status) => {
  process.exitCode = status;
});
