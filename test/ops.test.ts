import { expect } from 'chai';
import { tables } from './cases/index.js';
import { readGolden } from './support/golden.js';
import { testOperations } from './support/operations.js';

describe('operations', () => {
  for (const { op, cases } of tables) {
    it(`${op} has golden numbers of its cases and no others (golden/make_golden.py)`, async () => {
      const golden = await readGolden(op);
      const names = new Set([...golden.keys()].map((key) => key.replace(/\/\w+$/, '')));
      expect([...names]).to.have.members(cases.map(({ name }) => name));
    });
  }

  testOperations(() => 'cpu');
});
