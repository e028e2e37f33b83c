// npm run test:sanitize -- asan [TEST …]: the addon under AddressSanitizer and UndefinedBehaviorSanitizer, with its
// tests. npm run test:sanitize -- core: native/core alone, under these two, then under ThreadSanitizer.
// Both work in build-sanitize/, on a copy: build/ and dist/ stay as they are. They need g++ and its libasan, libubsan
// and libtsan.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const here = fileURLToPath(new URL('./', import.meta.url));
const copy = join(root, 'build-sanitize');

const MEMORY =
  '-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g ' +
  // With these g++ takes no function's address for a constant, as node-addon-api does; a null pointer that is
  // followed AddressSanitizer reports.
  '-fno-sanitize=null,nonnull-attribute,returns-nonnull-attribute';
const THREADS = '-fsanitize=thread -O1 -g';

/** What runs under `asan` where nothing else is named: whatever reaches the addon and ends in a few minutes. */
const TESTS = [
  'test/ops.test.ts',
  'test/ops_forced.test.ts',
  'test/bad_tensors.test.ts',
  'test/autograd.test.ts',
  'test/tensor.test.ts',
  'test/tidy.test.ts',
  'test/random.test.ts',
  'test/stream.test.ts',
  'test/environment/*.test.ts',
];

/**
 * Tests of what AddressSanitizer changes: the allocator uses no block again (native/core/allocator.cc), and what is freed
 * stays resident for a while.
 */
const PASSED_OVER = 'is used again at once|memory that is resident|memory of 50 models';

/** Where the sanitizers' runtimes write, and what they pass over. */
const ENVIRONMENT = {
  // Node and V8 leave memory to the end of the process; what the addon leaks the tests of memory find.
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:allocator_may_return_null=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  TSAN_OPTIONS: 'halt_on_error=1',
};

/**
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
function run(command, args, env = {}) {
  const { status, signal, error } = spawnSync(command, args, {
    cwd: copy,
    stdio: 'inherit',
    env: { ...process.env, ...ENVIRONMENT, ...env },
  });
  if (error) throw error;
  if (status !== 0) {
    console.error(`${command} ${args.join(' ')}: ${signal ?? `exit status ${status}`}`);
    process.exit(1);
  }
}

/** The package as it is, but for what was built: its addon is its own. */
function makeCopy() {
  mkdirSync(copy, { recursive: true });
  for (const part of ['lib', 'native', 'test']) {
    rmSync(join(copy, part), { recursive: true, force: true });
    cpSync(join(root, part), join(copy, part), {
      recursive: true,
      preserveTimestamps: true, // make compiles what has changed only
      filter: (source) => !source.endsWith('.deps'),
    });
  }
  for (const file of [
    'package.json',
    'binding.gyp',
    'tsconfig.json',
    'tsconfig.build.json',
    '.mocharc.json',
  ]) {
    cpSync(join(root, file), join(copy, file), { preserveTimestamps: true });
  }
  symlinkSync(join(root, 'native/.deps'), join(copy, 'native/.deps'));
  if (!existsSync(join(copy, 'node_modules')))
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
}

/** @param {string[]} tests */
function addon(tests) {
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', 'tsconfig.build.json']);
  run(process.execPath, ['native/install.mjs'], {
    CXX: 'g++',
    NODE_CUDNN_WERROR: '', // instrumented code draws warnings of its own
    CXXFLAGS: MEMORY,
    LDFLAGS: '-fsanitize=address,undefined',
  });
  const runtime = spawnSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim();
  const files = tests.length > 0 ? tests : TESTS;
  const options = ['--timeout', '600000', '--grep', PASSED_OVER, '--invert'];
  run(process.execPath, [join(root, 'node_modules/mocha/bin/mocha.js'), ...options, ...files], {
    LD_PRELOAD: runtime,
  });
}

/** native/core has no other part than its own, so that everything is instrumented. */
function core() {
  const sources = readdirSync(join(copy, 'native/core'))
    .filter((name) => name.endsWith('.cc'))
    .map((name) => join('native/core', name));
  for (const flags of [MEMORY, THREADS]) {
    const [kind = ''] = /address|thread/.exec(flags) ?? [];
    const program = `core_${kind}`;
    const options = [
      '-std=gnu++17',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-pthread',
      '-Inative',
      ...flags.split(' '),
    ];
    run('g++', [...options, '-o', program, join(here, 'core.cc'), ...sources]);
    run(`./${program}`, [], { ASAN_OPTIONS: 'detect_leaks=1' });
  }
}

const [what, ...tests] = process.argv.slice(2);
makeCopy();
if (what === 'asan') addon(tests);
else if (what === 'core') core();
else {
  console.error('Expected asan or core for what to run');
  process.exit(1);
}
