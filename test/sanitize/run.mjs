// npm run test:sanitize -- asan [TEST …]: the addon under AddressSanitizer and UndefinedBehaviorSanitizer, with its
// tests. npm run test:sanitize -- tsan [TEST …]: under ThreadSanitizer. npm run test:sanitize -- core: native/core alone,
// under the first two, then under ThreadSanitizer.
// They work in build-sanitize/, on copies: build/ and dist/ stay as they are. They need g++ and its libasan, libubsan and
// libtsan.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PASSED_OVER } from './passed_over.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const here = fileURLToPath(new URL('./', import.meta.url));
const [what = '', ...tests] = process.argv.slice(2);
const copy = join(root, 'build-sanitize', what);

const MEMORY =
  '-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g ' +
  // With these g++ takes no function's address for a constant, as node-addon-api does; a null pointer that is
  // followed AddressSanitizer reports.
  '-fno-sanitize=null,nonnull-attribute,returns-nonnull-attribute';
const THREADS = '-fsanitize=thread -O1 -g';
/** The linker's. Node exports code of std::shared_ptr, not instrumented, which would count the addon's references unseen. */
const BOUND = '-Wl,-Bsymbolic-functions';

/** What runs where nothing else is named: whatever reaches the addon and ends in a few minutes. */
const THREAD_TESTS = ['test/autograd.test.ts', 'test/stream.test.ts', 'test/environment/*.test.ts'];
const MEMORY_TESTS = [
  'test/ops.test.ts',
  'test/ops_forced.test.ts',
  'test/bad_tensors.test.ts',
  'test/tensor.test.ts',
  'test/tidy.test.ts',
  'test/random.test.ts',
  ...THREAD_TESTS,
];

/** Where the sanitizers' runtimes write, and what they pass over. */
const ENVIRONMENT = {
  // Node and V8 leave memory to the end of the process; what the addon leaks the tests of memory find.
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:allocator_may_return_null=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  // Node, oneDNN and OpenMP's library are not instrumented.
  TSAN_OPTIONS: 'halt_on_error=1:ignore_noninstrumented_modules=1',
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

/**
 * @param {string} sanitize the compiler's flags
 * @param {string} library the runtime, which has to be in the process before Node
 * @param {string[]} files
 * @param {NodeJS.ProcessEnv} [env]
 */
function addon(sanitize, library, files, env) {
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', 'tsconfig.build.json']);
  run(process.execPath, ['native/install.mjs'], {
    CXX: 'g++',
    NODE_CUDNN_WERROR: '', // instrumented code draws warnings of its own
    CXXFLAGS: sanitize,
    LDFLAGS: [/-fsanitize=\S+/.exec(sanitize)?.[0], BOUND].join(' '),
  });
  const runtime = spawnSync('g++', [`-print-file-name=${library}`], { encoding: 'utf8' }).stdout.trim();
  const passedOver = PASSED_OVER.map((title) => title.replaceAll(/[().]/g, '\\$&')).join('|');
  const options = ['--timeout', '600000', '--grep', passedOver, '--invert'];
  run(process.execPath, [join(root, 'node_modules/mocha/bin/mocha.js'), ...options, ...files], {
    LD_PRELOAD: runtime,
    ...env,
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

if (!['asan', 'tsan', 'core'].includes(what)) {
  console.error('Expected asan, tsan or core for what to run');
  process.exit(1);
}
makeCopy();
if (what === 'asan') addon(MEMORY, 'libasan.so', tests.length > 0 ? tests : MEMORY_TESTS);
// ThreadSanitizer does not see how OpenMP's threads wait for each other: one thread a device.
if (what === 'tsan')
  addon(THREADS, 'libtsan.so', tests.length > 0 ? tests : THREAD_TESTS, { OMP_NUM_THREADS: '1' });
if (what === 'core') core();
