import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { root } from './install.js';

interface Package {
  version: string;
  license: string;
  dev?: boolean;
  optional?: boolean;
}

function readJson(...path: string[]): unknown {
  return JSON.parse(readFileSync(join(root, ...path), 'utf8'));
}

/** What an installation brings, transitive and of all platforms, by its path in node_modules. */
function productionPackages(): [path: string, found: Package][] {
  const { packages } = readJson('package-lock.json') as { packages: Record<string, Package> };
  return Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true);
}

describe('THIRD_PARTY_LICENSES.md', () => {
  const text = readFileSync(join(root, 'THIRD_PARTY_LICENSES.md'), 'utf8');

  it('lists every package that an installation brings, with version and licence', () => {
    const rows = productionPackages().map(
      ([path, { version, license, optional }]) =>
        `| ${path.replace(/^.*node_modules\//, '')} | ${version} | ${license}${optional ? ' | by platform |' : ' | |'}`,
    );
    expect(text.split('\n').filter((line) => /^\| [^|]* \| [\d.]+ \|/.test(line))).to.deep.equal(rows);
  });

  it('agrees with what the installed packages say of themselves', () => {
    let installed = 0;
    for (const [path, { version, license }] of productionPackages()) {
      if (!existsSync(join(root, path, 'package.json'))) continue;
      expect(readJson(path, 'package.json'), path).to.include({ version, license });
      installed++;
    }
    expect(installed).to.be.above(30);
  });

  it('names the oneDNN that is fetched', () => {
    const [, version] =
      /const fetchedDir = .*'onednn-([\d.]+)'/.exec(readFileSync(join(root, 'native/deps.mjs'), 'utf8')) ??
      [];
    expect(text).to.include(`oneDNN ${version}`);
  });
});
