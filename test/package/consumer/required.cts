import cudnn = require('node-cudnn');

async function main(): Promise<void> {
  const y = cudnn.relu(cudnn.tensor([-1, 2]));
  console.log(JSON.stringify(Array.from(await y.data())));
}

void main();
