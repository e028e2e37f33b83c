import {
  AlexNet,
  type AlexNetOptions,
  ArgumentError,
  backward,
  Conv2d,
  Flatten,
  Linear,
  MaxPool2d,
  randn,
  Sequential,
  SGD,
  softmaxCrossEntropy,
  type Tensor,
  tensor,
  tidy,
} from 'node-cudnn';

// Inferred types of exported things must be nameable: `declaration` is on.
export const model = new Sequential({
  conv: new Conv2d(3, 4, { kernelSize: 3, relu: true }),
  pool: new MaxPool2d({ kernelSize: 2 }),
  flatten: new Flatten(),
  fc: new Linear(4 * 3 * 3, 2),
});
export const optimizer = new SGD(model.namedParameters(), { lr: 0.05, momentum: 0.9, weightDecay: 0 });

const images: Tensor = randn([8, 8, 8, 3], { seed: 1 });
const labels = tensor(Int32Array.of(0, 1, 0, 1, 0, 1, 0, 1));

export async function step(): Promise<number> {
  const loss = tidy(() => {
    const loss = softmaxCrossEntropy(model.forward(images), labels);
    backward(loss);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  try {
    return await loss.item();
  } finally {
    loss.dispose();
  }
}

const losses: number[] = [];
for (let i = 0; i < 30; i++) losses.push(await step());
const options: AlexNetOptions = { classes: 0, preset: 'paper', init: 'he' };
try {
  new AlexNet(options);
} catch (error) {
  if (!(error instanceof ArgumentError)) throw error;
  console.log(JSON.stringify({ first: losses[0], last: losses.at(-1), refusal: error.message }));
}
