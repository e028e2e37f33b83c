export { Generator, type GeneratorState, manualSeed } from './generator.js';
export { he, type Initializer, type ParameterOptions, torchDefault } from './init.js';
export * from './layers.js';
export { Module } from './module.js';
export { Sequential } from './sequential.js';
