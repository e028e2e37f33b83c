import { expect } from 'chai';
import { Device } from '../lib/device.js';
import * as ops from '../lib/ops/index.js';
import { tables } from './cases/index.js';
import { testBadArguments } from './support/bad_arguments.js';

describe('bad arguments', () => {
  it('are tested for every operation', () => {
    const tested = tables.filter(({ composed }) => !composed).map(({ op }) => op);
    expect(tested).to.include.members(Object.keys(ops));
  });

  testBadArguments(
    () => Device.get('cpu'),
    () => Device.get('cpu:1'),
  );
});
