import type { Command } from 'commander';
import { examples } from './options.js';
import { writeLine } from './output.js';

interface ExportOptions {
  model: string;
  out: string;
}

export function addExport(program: Command): void {
  program
    .command('export')
    .summary('give weights to PyTorch')
    .description(
      "Writes a model's weights as a safetensors file under PyTorch's names, bit for bit. Of the presets that PyTorch " +
        'has: torchvision and dansuh17.',
    )
    .requiredOption('--model <path>', 'model file, or folder of checkpoints: its last one')
    .requiredOption('--out <file>', 'the safetensors file')
    .option('--verbose', 'stack trace of errors')
    .addHelpText(
      'after',
      examples([
        'alexnet export --model runs/photos --out photos.safetensors',
        "for model.load_state_dict(safetensors.torch.load_file('photos.safetensors'))",
      ]),
    )
    .action(async ({ model, out }: ExportOptions) => {
      const { exportTorch } = await import('../train/torch_files.js');
      await exportTorch(model, out);
      writeLine(`Saved ${out}`);
    });
}
