import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { expectWorking, installed, pack, root, run } from './install.js';

const NEEDS = 'needs a package registry, else skipped; builds the addon';

describe('the tarball, installed in an empty folder', function () {
  this.timeout(600_000);
  let folder = '';
  let tarball = '';

  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'node-cudnn-install-')));
    tarball = pack(folder);
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it(`by npm, compiles, trains and can be required (${NEEDS})`, function () {
    const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--fetch-retries=0'];
    if (!installed(run(folder, 'npm', ['install', ...flags, tarball]))) this.skip();
    expectWorking(folder);
  });

  it(`by pnpm, which skips install scripts: the error's command builds the addon (${NEEDS})`, function () {
    const pnpm = join(root, 'node_modules/pnpm/bin/pnpm.cjs');
    const flags = ['--ignore-scripts', '--prefer-offline', '--config.fetch-retries=0'];
    if (!installed(run(folder, process.execPath, [pnpm, 'add', ...flags, tarball]))) this.skip();
    const unbuilt = run(folder, process.execPath, ['--input-type=module', '-e', "import 'node-cudnn'"]);
    expect(unbuilt.status).to.equal(1);
    const [, command = ''] =
      /AddonError: addon not built: install scripts were skipped\. This builds it: (.*)/.exec(
        unbuilt.stderr,
      ) ?? [];
    const build = run(folder, 'sh', ['-c', command]);
    expect(build.status, build.stderr).to.equal(0);
    expectWorking(folder);
  });
});
