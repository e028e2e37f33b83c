import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { PASSED_OVER } from './passed_over.mjs';

const tests = fileURLToPath(new URL('../', import.meta.url));

describe('sanitizers', () => {
  const sources = readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(tests, name), 'utf8'));

  for (const title of PASSED_OVER) {
    it(`pass over a test of that title: ${title}`, () => {
      expect(sources.filter((source) => source.includes(`it('${title}'`))).to.have.length(1);
    });
  }
});
