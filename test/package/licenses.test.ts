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

type Packages = [path: string, found: Package][];

/** Transitive, and of all platforms, by their paths in node_modules: what an installation brings, and what development takes beside. */
function packages(): { production: Packages; development: Packages } {
  const { packages } = readJson('package-lock.json') as { packages: Record<string, Package> };
  const all = Object.entries(packages).filter(([path]) => path !== '');
  return {
    production: all.filter(([, { dev }]) => dev !== true),
    development: all.filter(([, { dev }]) => dev === true),
  };
}

const rowsOf = (packages: Packages): string[] =>
  packages.map(
    ([path, { version, license, optional }]) =>
      `| ${path.replace(/^.*node_modules\//, '')} | ${version} | ${license}${optional ? ' | by platform |' : ' | |'}`,
  );

describe('THIRD_PARTY_LICENSES.md', () => {
  const text = readFileSync(join(root, 'THIRD_PARTY_LICENSES.md'), 'utf8');

  it('lists every package, with version and licence: those of an installation, then those of development', () => {
    const [, production = '', development = ''] = text.split(/^## npm packages.*$/m);
    const rows = (part: string) => part.split('\n').filter((line) => /^\| [^|]* \| [\d.]+ \|/.test(line));
    expect(rows(production)).to.deep.equal(rowsOf(packages().production));
    expect(rows(development)).to.deep.equal(rowsOf(packages().development));
    const { dependencies, devDependencies } = readJson('package.json') as Record<string, object>;
    for (const [part, direct = {}] of [
      [production, dependencies],
      [development, devDependencies],
    ] as const)
      for (const name of Object.keys(direct)) expect(part, name).to.include(`\n| ${name} | `);
  });

  it('agrees with what the installed packages say of themselves', () => {
    for (const [kind, list] of Object.entries(packages())) {
      let installed = 0;
      for (const [path, { version, license }] of list) {
        if (!existsSync(join(root, path, 'package.json'))) continue;
        expect(readJson(path, 'package.json'), path).to.include({ version, license });
        installed++;
      }
      expect(installed, kind).to.be.above(30);
    }
  });

  it('names the oneDNN that is fetched', () => {
    const [, version] =
      /const fetchedDir = .*'onednn-([\d.]+)'/.exec(readFileSync(join(root, 'native/deps.mjs'), 'utf8')) ??
      [];
    expect(text).to.include(`oneDNN ${version}`);
  });
});
