import { backward } from '../../lib/autograd.js';
import { Device } from '../../lib/device.js';
import { type Conv2dOptions, conv2d } from '../../lib/ops/index.js';
import { tidy } from '../../lib/scope.js';
import { full } from '../../lib/tensor.js';

/** A convolution of `[n, size, size, channels]` by `filters` of kernel × kernel. */
export interface Convolution extends Conv2dOptions {
  readonly n: number;
  readonly size: number;
  readonly channels: number;
  readonly filters: number;
  readonly kernel: number;
}
/** By which implementation each pass is computed. */
export interface Chosen {
  readonly forward: string;
  readonly data: string;
  readonly filter: string;
}

/** A program: [CONVOLUTIONS as JSON] prints `{instructionSet, chosen}`, which implementations compute them. */
if (process.argv[2] !== undefined) {
  const device = Device.get();
  const chosen: Chosen[] = [];
  device.trace(true);
  for (const { n, size, channels, filters, kernel, ...options } of JSON.parse(
    process.argv[2],
  ) as Convolution[]) {
    tidy(() => {
      const x = full([n, size, size, channels], 1, { requiresGrad: true });
      const weight = full([filters, kernel, kernel, channels / (options.groups ?? 1)], 1, {
        requiresGrad: true,
      });
      const y = conv2d(x, weight, options);
      backward(y, y);
    });
    const spans = await device.takeSpans();
    const of = (op: string) => spans.find((span) => span.op === op)?.implementation ?? 'none';
    chosen.push({
      forward: of('conv2d'),
      data: of('conv2dBackwardData'),
      filter: of('conv2dBackwardFilter'),
    });
  }
  console.log(JSON.stringify({ instructionSet: device.arithmetic.instructionSet, chosen }));
}
