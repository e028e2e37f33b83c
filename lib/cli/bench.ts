import type { Command } from 'commander';
import { addDeviceOptions, type DeviceOptions } from './device.js';
import { examples, positiveInteger, positiveIntegers, positiveNumber } from './options.js';

export interface BenchOptions extends DeviceOptions {
  batch: number[];
  rounds: number;
  seconds: number;
  json?: boolean;
}

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .summary('measure how fast this machine trains and uses AlexNet')
    .description(
      'Measures training steps and inference of the paper preset, 227 pixels, 1000 classes, on random numbers: images a ' +
        'second, latency, memory, and where the time of a step goes. Each trial has a process of its own. About three minutes.',
    )
    .option('--batch <sizes>', 'pictures a step, with commas between', positiveIntegers, [128, 32, 1])
    .option('--rounds <n>', 'trials of each', positiveInteger, 3)
    .option('--seconds <s>', 'at most so long a trial measures after its first steps', positiveNumber, 3);
  addDeviceOptions(command)
    .option('--json', 'one JSON object: {machine, train, infer}')
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples(
        ['alexnet bench', 'the whole network on this processor'],
        ['alexnet bench --device cuda --batch 128 --json > bench.json', 'on a GPU, as JSON'],
      ),
    )
    .action(async (options: BenchOptions) => {
      const { runBench } = await import('./benchmark.js');
      await runBench(options);
    });
}
