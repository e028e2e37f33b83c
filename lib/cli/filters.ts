import type { Command } from 'commander';
import { MODEL } from './model.js';
import { examples, fileEndingIn } from './options.js';
import { writeLine } from './output.js';

export function addFilters(program: Command): void {
  program
    .command('filters')
    .summary('a picture of what the first convolution looks for')
    .description(
      "Draws the filters of the first convolution, as the paper's figure 3 does: where a network has two columns, the " +
        "first's above, the second's below.",
    )
    .requiredOption(...MODEL)
    .requiredOption('--out <file>', '.png', fileEndingIn('.png'))
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples(['alexnet filters --model runs/photos --out filters.png', 'of the last checkpoint']),
    )
    .action(async ({ model, out }: { model: string; out: string }) => {
      const { expectWritable } = await import('./folder.js');
      const { openModel } = await import('./model.js');
      const { filtersPicture } = await import('../report/filters.js');
      const { readWhole } = await import('../models/parameters.js');
      const { writeAtomically } = await import('../io/atomic.js');
      await expectWritable({ '--out': out });
      using classifier = await openModel(model, {});
      const { weight, columns } = classifier.model.firstConvolution;
      const picture = await filtersPicture(await readWhole(weight), weight.shape, { columns });
      await writeAtomically(out, (file) => file.writeFile(picture));
      writeLine(`Saved ${out}`);
    });
}
