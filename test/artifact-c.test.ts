// An exported folder of C as its users meet it: built and called from C and C++, with every misuse that can be seen
// answered, by several threads at once, and the same bytes whoever writes it.

import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { artifactName } from '../src/codegen/c/names.ts';
import { func } from '../src/lang/func.ts';
import { input } from '../src/lang/variable.ts';
import * as nn from '../src/nn/index.ts';
import { compile } from '../src/runtime/compile.ts';
import { exportC } from '../src/runtime/export-c.ts';
import {
  build,
  compilers,
  cppCaller,
  digits,
  digitsReference,
  plusPlus,
  printed,
  run,
  writeImage,
} from './helpers/artifact.ts';
import { expectClose } from './helpers/close.ts';
import { trainingStep } from './helpers/models.ts';
import { hasTool } from './helpers/tools.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ashlar-artifact-c-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const embedded = join(folder, 'embedded');
const mapped = join(folder, 'mapped');
const expected = digitsReference();

beforeAll(async () => {
  // One processor's code compiles in a quarter of the time; exported-variants.test.ts has several.
  await exportC(digits(), { directory: embedded, cpu: 'plain' });
  await exportC(digits(), { directory: mapped, weights: 'file', cpu: 'plain' });
});

const strict = ['-Wall', '-Wextra', '-pedantic', '-Werror'];

function expectDigits(stdout: string): void {
  const { label, probabilities } = printed(stdout);
  expect(label).toEqual([expected.label]);
  expectClose(probabilities!, expected.probabilities, 1e-5);
}

describe.each(compilers)('the digits network, compiled by %s', (compiler) => {
  it.each([
    ['C11 alone', ['-std=c11', '-O1', ...(compiler === 'gcc' ? ['-fno-openmp'] : [])]],
    ['GNU C with OpenMP', ['-std=gnu11', '-O2', '-fopenmp']],
  ])('answers from the example, as %s', (_title, flags) => {
    const own = build(embedded, compiler, [...strict, ...flags], ['main.c', 'digits.c'], `example-${compiler}`);
    const beside = build(mapped, compiler, [...strict, ...flags], ['main.c', 'digits.c'], `example-${compiler}`);
    const image = writeImage(folder);
    const { stdout, stderr, status } = run(own, [image]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expectDigits(stdout);
    expect(run(beside, [join(mapped, 'digits.weights'), image]).stdout).toBe(stdout);
  });

  it.runIf(hasTool(plusPlus(compiler))).each(['c++11', 'c++17'])('answers when called from %s', (standard) => {
    const source = join(mapped, 'caller.cpp');
    writeFileSync(source, cppCaller);
    execFileSync(compiler, ['-std=c11', '-O1', '-c', 'digits.c', '-o', 'digits.o'], { cwd: mapped });
    const flags = [`-std=${standard}`, ...strict];
    const binary = build(mapped, plusPlus(compiler), flags, ['caller.cpp', 'digits.o'], `caller-${compiler}`);
    const { stdout, status } = run(binary, [join(mapped, 'digits.weights'), writeImage(folder)]);
    expect(status).toBe(0);
    expectDigits(stdout);
  });
});

it.runIf(hasTool('tcc'))(
  'answers without vector extensions, OpenMP and _Pragma: the digits network, compiled by tcc',
  async () => {
    const directory = join(folder, 'tcc');
    await exportC(digits(), { directory, weights: 'file', cpu: 'scalar' });
    const binary = build(directory, 'tcc', ['-Wall'], ['main.c', 'digits.c'], 'example');
    const { stdout, stderr, status } = run(binary, [join(directory, 'digits.weights'), writeImage(folder)]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expectDigits(stdout);
  },
);

it.runIf(hasTool('musl-gcc'))('fits into 110 KB as a static executable beside its weights', async () => {
  const directory = join(folder, 'static');
  await exportC(digits(), { directory, weights: 'file' });
  const binary = build(directory, 'musl-gcc', ['-std=c11', '-O2', '-static', '-s'], ['main.c', 'digits.c'], 'example');
  expect(statSync(binary).size).toBeLessThan(110 * 1024);
  expectDigits(run(binary, [join(directory, 'digits.weights'), writeImage(folder)]).stdout);
});

describe('misuse', () => {
  it('is answered with a status that has a name', async () => {
    const directory = join(folder, 'lookup');
    const indices = input('indices', [3], 'i32');
    const small = input('small', [2], 'u8');
    const layer = nn.embedding(5, 4, { name: 'table' });
    const y = nn.sequential(nn.dense(4, 16), nn.relu, nn.dense(16, 4))(layer(indices));
    const definition = func({ name: 'lookup', inputs: [indices, small], outputs: { y, z: layer(small).exp() } });
    await exportC(definition, { directory, weights: 'file' });
    writeFileSync(join(directory, 'misuse.c'), misuse);
    const flags = ['-std=c11', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', ...strict];
    const { stdout, stderr, status } = run(build(directory, 'gcc', flags, ['misuse.c', 'lookup.c'], 'misuse'), [
      join(directory, 'lookup.weights'),
    ]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout.trim().split('\n')).toEqual([
      'bind: ok',
      'bind nothing: an argument or a buffer is NULL',
      'bind to nothing: an argument or a buffer is NULL',
      'bind misaligned: the weights are not aligned to 64 bytes',
      'bind half: the weights have another length',
      'bind others: the weights are others: their hash differs',
      'run on them: no weights were bound',
      'run: ok',
      'no weights: an argument or a buffer is NULL',
      'no inputs: an argument or a buffer is NULL',
      'no outputs: an argument or a buffer is NULL',
      'NULL input: an argument or a buffer is NULL',
      'NULL output: an argument or a buffer is NULL',
      'no workspace: an argument or a buffer is NULL',
      'misaligned workspace: the workspace is not aligned to 64 bytes',
      'small workspace: the workspace is too small',
      'misaligned input: a buffer is not aligned to its elements',
      'output over input: a buffer that is written overlaps another or the workspace',
      'output over output: a buffer that is written overlaps another or the workspace',
      'output over workspace: a buffer that is written overlaps another or the workspace',
      'index below: an index in an input is out of its range',
      'index above: an index in an input is out of its range',
      'byte above: an index in an input is out of its range',
      'no threads: the number of threads is less than 1',
      'many threads: ok',
      '-1: no status of this program',
      '13: no status of this program',
    ]);
  });
});

const misuse = `#include "lookup.h"
#include <stdio.h>
#include <stdlib.h>

static void say(const char *what, int status) { printf("%s: %s\\n", what, lookup_status_name(status)); }

int main(int argc, char **argv) {
  if (argc != 2) return 1;
  static _Alignas(64) char file[LOOKUP_WEIGHTS_BYTES + 64];
  FILE *const from = fopen(argv[1], "rb");
  if (fread(file, 1, sizeof file, from) != LOOKUP_WEIGHTS_BYTES) return 1;
  fclose(from);
  lookup_weights weights, others;
  say("bind", lookup_bind_weights(&weights, file, LOOKUP_WEIGHTS_BYTES));
  say("bind nothing", lookup_bind_weights(&others, NULL, LOOKUP_WEIGHTS_BYTES));
  say("bind to nothing", lookup_bind_weights(NULL, file, LOOKUP_WEIGHTS_BYTES));
  say("bind misaligned", lookup_bind_weights(&others, file + 4, LOOKUP_WEIGHTS_BYTES));
  say("bind half", lookup_bind_weights(&others, file, LOOKUP_WEIGHTS_BYTES / 2));
  file[5] ^= 1;
  say("bind others", lookup_bind_weights(&others, file, LOOKUP_WEIGHTS_BYTES));
  file[5] ^= 1;

  int32_t indices[3] = {0, 4, 2};
  uint8_t small[2] = {1, 4};
  static _Alignas(64) float y[64], z[16];
  static _Alignas(64) char workspace[1 << 16];
  const size_t bytes = lookup_workspace_size();
  lookup_inputs inputs = {indices, small};
  lookup_outputs outputs = {y, z};
  say("run on them", lookup_run(&others, &inputs, &outputs, workspace, bytes, 1));
  say("run", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1));
  say("no weights", lookup_run(NULL, &inputs, &outputs, workspace, bytes, 1));
  say("no inputs", lookup_run(&weights, NULL, &outputs, workspace, bytes, 1));
  say("no outputs", lookup_run(&weights, &inputs, NULL, workspace, bytes, 1));
  inputs.indices = NULL;
  say("NULL input", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1));
  inputs.indices = indices;
  outputs.z = NULL;
  say("NULL output", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1));
  outputs.z = z;
  say("no workspace", lookup_run(&weights, &inputs, &outputs, NULL, bytes, 1));
  say("misaligned workspace", lookup_run(&weights, &inputs, &outputs, workspace + 8, bytes, 1));
  say("small workspace", lookup_run(&weights, &inputs, &outputs, workspace, bytes - 1, 1));
  inputs.indices = (const int32_t *)(const void *)(small + 1 - (uintptr_t)small % 2);
  say("misaligned input", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1));
  inputs.indices = (const int32_t *)(const void *)(y + 2);
  say("output over input", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1));
  inputs.indices = indices;
  outputs.z = y + 11;
  say("output over output", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1));
  outputs.z = (float *)(void *)workspace;
  say("output over workspace", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1));
  outputs.z = z;
  indices[2] = -1;
  say("index below", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1));
  indices[2] = 5;
  say("index above", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1));
  indices[2] = 0;
  small[0] = 5;
  say("byte above", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1));
  small[0] = 0;
  say("no threads", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 0));
  say("many threads", lookup_run(&weights, &inputs, &outputs, workspace, bytes, 1 << 20));
  say("-1", -1);
  say("13", 13);
  return 0;
}
`;

describe('several threads', () => {
  const caller = `#include "digits.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static digits_weights weights;
static float image[64];
static float results[8][10];

static void *many(void *of) {
  float *const probabilities = of;
  int32_t label;
  const size_t bytes = (digits_workspace_size() + 63) / 64 * 64;
  void *const workspace = aligned_alloc(64, bytes);
  const digits_inputs inputs = {image};
  const digits_outputs outputs = {&label, probabilities};
  for (int i = 0; i < 20; i++)
    if (digits_run(&weights, &inputs, &outputs, workspace, bytes, 1) != 0) abort();
  free(workspace);
  return NULL;
}

int main(int argc, char **argv) {
  static _Alignas(64) char file[DIGITS_WEIGHTS_BYTES];
  FILE *from = fopen(argv[argc - 2], "rb");
  if (fread(file, 1, sizeof file, from) != sizeof file) return 1;
  fclose(from);
  from = fopen(argv[argc - 1], "rb");
  if (fread(image, 4, 64, from) != 64) return 1;
  fclose(from);
  if (digits_bind_weights(&weights, file, sizeof file) != 0) return 1;
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, many, results[i]);
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
  for (int i = 1; i < 8; i++)
    if (memcmp(results[i], results[0], sizeof results[0]) != 0) return 1;
  printf("probabilities: \\n");
  for (int i = 0; i < 10; i++) printf("%.9g\\n", (double)results[0][i]);
  return 0;
}
`;

  it.each(['thread', 'address,undefined'])('run on one set of weights, clean under -fsanitize=%s', (sanitizer) => {
    writeFileSync(join(mapped, 'threads.c'), caller);
    const flags = ['-std=gnu11', '-O1', '-g', `-fsanitize=${sanitizer}`, '-fno-sanitize-recover=all', '-pthread'];
    const binary = build(mapped, 'gcc', flags, ['threads.c', 'digits.c'], `threads-${sanitizer.slice(0, 4)}`);
    const { stdout, stderr, status } = run(binary, [join(mapped, 'digits.weights'), writeImage(folder)]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expectClose(printed(stdout).probabilities!, expected.probabilities, 1e-5);
  });
});

describe('a training step', () => {
  const images = Float32Array.from({ length: 8 * 64 }, (_, i) => ((i * 7919) % 13) / 13 - 0.5);
  const labels = Int32Array.from({ length: 8 }, (_, i) => i);

  it.each(['embed', 'file'] as const)('keeps its states with the caller, weights: %s', async (weights) => {
    const directory = join(folder, `step-${weights}`);
    await exportC(trainingStep(8), { directory, weights, cpu: 'plain' });
    const manifest = JSON.parse(readFileSync(join(directory, 'step.json'), 'utf8'));
    const states: { identifier: string; bytes: number }[] = manifest.states;
    const memory = states.map(({ bytes }, i) => `static _Alignas(8) unsigned char state${i}[${bytes}];`);
    const bound = weights === 'file' ? '&weights, ' : '';
    writeFileSync(
      join(directory, 'train.c'),
      `#include "step.h"
#include <stdio.h>
#include <stdlib.h>
${memory.join('\n')}
int main(void) {
  static float x[512], loss;
  static int32_t y[8];
  for (int i = 0; i < 512; i++) x[i] = (float)(((double)((i * 7919) % 13)) / 13 - 0.5);
  for (int i = 0; i < 8; i++) y[i] = i;
  const step_inputs inputs = {x, y};
  const step_outputs outputs = {&loss};
  const step_states states = {${states.map((_, i) => `(void *)state${i}`).join(', ')}};
  const size_t bytes = (step_workspace_size() + 63) / 64 * 64;
  void *const workspace = aligned_alloc(64, bytes);
${weights === 'file' ? '  step_weights weights;\n  void *const file = aligned_alloc(64, STEP_WEIGHTS_BYTES);\n  FILE *const from = fopen("step.weights", "rb");\n  if (fread(file, 1, STEP_WEIGHTS_BYTES, from) != STEP_WEIGHTS_BYTES) return 1;\n  fclose(from);\n  if (step_bind_weights(&weights, file, STEP_WEIGHTS_BYTES) != 0) return 1;\n' : ''}  if (step_initial_states(${bound}&states) != 0) return 1;
  for (int i = 0; i < 4; i++) {
    if (step_run(${bound}&inputs, &outputs, &states, workspace, bytes, 1) != 0) return 1;
    printf("%.9g\\n", (double)loss);
  }
  return 0;
}
`,
    );
    build(directory, 'gcc', ['-std=c11', '-O1', ...strict], ['train.c', 'step.c'], 'train');
    const { stdout } = spawnSync('./train', { cwd: directory, encoding: 'utf8' });
    const step = await compile(trainingStep(8), { target: 'js' });
    const losses = Array.from({ length: 4 }, () => step({ x: images, y: labels }).loss[0]!);
    expectClose(stdout.trim().split('\n').map(Number), losses, 1e-4);
  });
});

describe('names', () => {
  const hostile = [
    '*/ int evil; /*',
    '"; system("true"); //',
    'while',
    'EOF',
    'class',
    'a\nb',
    'linux',
    '$' + '{CMAKE_COMMAND}',
    '`|# x',
    '\u0000\u202e',
    '??/',
    'inputs',
    'x',
    'X',
  ];

  it('that are hostile, taken or equal make code that builds, and inject nothing', async () => {
    const directory = join(folder, 'hostile');
    const inputs = hostile.map((name) => input(name, [2]));
    const outputs = Object.fromEntries(inputs.map((x, i) => [hostile[i]!, x.exp()]));
    const definition = func({ name: '*/ system("true"); \n#', inputs, outputs });
    const { code, header, files } = await exportC(definition, { directory });
    const texts = files.map((path) => readFileSync(path, 'utf8'));
    const bare = [code, header].map((path) => readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')).join('');
    for (const word of ['int evil', 'system(', '{CMAKE', '\u0000']) expect(bare).not.toContain(word);
    expect(texts.join('')).not.toMatch(/\$\{CMAKE_COMMAND\}.*\n.*project/);
    for (const compiler of compilers) {
      const binary = build(directory, compiler, ['-std=c11', ...strict], ['main.c', code], 'hostile');
      expect(run(binary).status).toBe(0);
    }
    for (const compiler of compilers.map(plusPlus).filter(hasTool))
      execFileSync(compiler, ['-std=c++17', ...strict, '-fsyntax-only', '-x', 'c++', header]);
  });

  it('of artifacts hide no header, library or target', () => {
    expect(['math', 'main', 'test', 'm', 'CON', 'digits', 'a-b', '1x', 'int', ''].map(artifactName)).toEqual([
      ...['math_', 'main_', 'test_', 'm_', 'CON_', 'digits', 'a_b', 'v1x', 'int_', 'v'],
    ]);
  });

  it('are taken from the option, and stay in the folder', async () => {
    const { files } = await exportC(digits(), { directory: join(folder, 'named'), name: '../../up/there' });
    expect(files.map((path) => path.slice(join(folder, 'named').length + 1))).toContain('v_up_there.c');
  });
});

describe('the folder', () => {
  it('has the same bytes from another process, place, time zone and language', () => {
    const other = join(folder, 'other', 'place');
    mkdirSync(other, { recursive: true });
    const script = join(folder, 'export.mts');
    writeFileSync(
      script,
      `import { digits } from ${JSON.stringify(join(root, 'test/helpers/artifact.ts'))};
import { exportC } from ${JSON.stringify(join(root, 'src/runtime/export-c.ts'))};
await exportC(digits(), { directory: '.', weights: 'file', cpu: 'plain' });
`,
    );
    const tsx = createRequire(import.meta.url).resolve('tsx/cli');
    const { stderr } = spawnSync(process.execPath, [tsx, script], {
      cwd: other,
      encoding: 'utf8',
      env: {
        ...process.env,
        TZ: 'Asia/Kathmandu',
        LC_ALL: 'tr_TR.UTF-8',
        TSX_TSCONFIG_PATH: join(root, 'tsconfig.json'),
      },
    });
    expect(stderr).toBe('');
    for (const file of readdirSync(other))
      expect(readFileSync(join(other, file)).equals(readFileSync(join(mapped, file))), file).toBe(true);
    expect(readdirSync(other).length).toBe(10);
  });

  it.runIf(hasTool('cmake'))('builds with CMake', () => {
    const built = join(folder, 'cmake');
    execFileSync('cmake', ['-S', mapped, '-B', built], { stdio: 'pipe' });
    execFileSync('cmake', ['--build', built], { stdio: 'pipe' });
    expectDigits(run(join(built, 'digits_example'), [join(mapped, 'digits.weights'), writeImage(folder)]).stdout);
  });

  it('is as it was when a file cannot be written', async () => {
    const directory = join(folder, 'blocked');
    mkdirSync(join(directory, 'main.c', 'taken'), { recursive: true });
    await expect(exportC(digits(), { directory })).rejects.toThrow(/the artifact cannot be written/);
    expect(readdirSync(directory)).toEqual(['main.c']);
    expect(existsSync(join(directory, 'digits.json'))).toBe(false);
  });

  it('holds no weights that are too large for code', async () => {
    const x = input('x', [1, 4096]);
    const definition = func({ name: 'large', inputs: [x], outputs: { y: nn.dense(4096, 4097)(x) } });
    await expect(exportC(definition, { directory: folder })).rejects.toThrow(/ask for weights: 'file'/);
    await expect(exportC(definition, { directory: folder, weights: 'both' as never })).rejects.toThrow(
      /'embed' or 'file' expected/,
    );
  });
});
