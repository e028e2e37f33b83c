import '../../../dist/index.js';
