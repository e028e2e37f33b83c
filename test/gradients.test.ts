import { testGradients } from './support/gradients.js';

describe('gradients against central differences', () => {
  testGradients(() => 'cpu');
});
