// One team of threads for a whole program: which loops it shares, where it waits, and that neither the number of threads nor
// who calls changes a bit of the result. Races are looked for twice: by the interpreter in every kernel that tests run, and
// by ThreadSanitizer here.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { printProgram } from '../src/codegen/c/program.ts';
import { axis, fixed, of } from '../src/ir/index-expr.ts';
import { type Buffer, type Kernel, literal, load, type Stmt } from '../src/ir/kernel.ts';
import { interpretKernel } from '../src/ir/kernel-interpreter.ts';
import type { Program, ProgramBuffer } from '../src/ir/program.ts';
import { printProgramText } from '../src/ir/program-text.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { bytesPerElement, sizeOf } from '../src/ir/types.ts';
import { func } from '../src/lang/func.ts';
import { input } from '../src/lang/variable.ts';
import * as nn from '../src/nn/index.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { defaultTarget, directSchedule } from '../src/passes/schedule.ts';
import { isShared } from '../src/passes/team.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { arraysOf, type Case, expectReference, together } from './helpers/differential.ts';
import { decidedRounds, memoryCell } from './helpers/loop-texts.ts';
import { trainingStep } from './helpers/models.ts';
import { sampleInputs } from './helpers/samples.ts';

type Arrays = Record<string, TypedArray>;

const program = (text: string): Program => compileToProgram(parseFunc(text));
/** One word a launch: whether it waits, and whether a team shares it. */
const outline = ({ steps }: Program): string[] =>
  leavesOf(steps).map(({ kernel, waits }) => `${waits ? 'wait ' : ''}${isShared(kernel) ? 'shared' : 'single'}`);

describe('the plan of a team', () => {
  it('has one thread for a program with little work', () => {
    const small = program(
      'func @f(%x: f32[64,64]) {\n%0 = exp(%x)\n%1 = dot(%0, %x) {contract=[[1],[0]], batch=[[],[]]}\nreturn y = %1\n}',
    );
    expect(outline(small).every((line) => line === 'single')).toBe(true);
    expect(printProgram(small).code).not.toContain('ash_worker');
  });

  it('waits before a kernel that reads what another one writes, and not between independent ones', () => {
    const text = `func @f(%x: f32[500,512], %y: f32[512,500]) {
%0 = cumulative(%x) {kind=sum, axis=1, exclusive=false, reverse=false}
%1 = cumulative(%y) {kind=sum, axis=1, exclusive=false, reverse=false}
%2 = transpose(%1) {permutation=[1,0]}\n%3 = add(%0, %2)\n%4 = cumulative(%3) {kind=sum, axis=0, exclusive=false, reverse=false}
return a = %0, b = %1, c = %4\n}`;
    expect(outline(program(text))).toEqual(['shared', 'shared', 'wait shared', 'wait shared']);
  });

  it('waits before memory of the arena is used again', () => {
    const sums = (x: string): string => `cumulative(${x}) {kind=sum, axis=1, exclusive=false, reverse=false}`;
    const across = (x: string): string => `cumulative(${x}) {kind=sum, axis=0, exclusive=false, reverse=false}`;
    const text = `func @f(%x: f32[512,512]) {
%0 = ${sums('%x')}\n%1 = ${across('%0')}\n%2 = ${sums('%1')}\n%3 = ${across('%2')}\n%4 = ${sums('%3')}\nreturn y = %4\n}`;
    const { steps } = program(text);
    const places = leavesOf(steps).map(({ args }) => args.at(-1)!.offset);
    expect(new Set(places).size).toBeLessThan(places.length);
    expect(steps.slice(1).every(({ waits }) => waits)).toBe(true);
  });

  it('lets small kernels follow one another on one thread', () => {
    const text = `func @f(%x: f32[256,256], %s: f32[4]) {
%0 = exp(%s)\n%1 = reduce(%0) {kind=sum, axes=[0]}\n%2 = dot(%x, %x) {contract=[[1],[0]], batch=[[],[]]}
%3 = broadcast(%1) {shape=[4], axes=[]}\n%4 = sub(%0, %3)\nreturn y = %2, z = %4, e = %0, s = %1\n}`;
    const plan = outline(program(text));
    expect(plan.filter((line) => line.endsWith('single')).length).toBeGreaterThan(1);
    expect(plan.some((line) => line.startsWith('wait') && line.endsWith('single'))).toBe(false);
  });
});

describe('a loop that is shared', () => {
  const pieces = ({ steps }: Program): number =>
    Math.max(
      ...leavesOf(steps).flatMap(({ kernel }) =>
        kernel.body.map((stmt) =>
          stmt.kind === 'tasks' ? Math.ceil(stmt.axes.reduce((all, { extent }) => all * extent, 1) / stmt.grain) : 0,
        ),
      ),
    );

  it('has many pieces, so that two threads or three end together', () => {
    const conv = `func @f(%x: f32[1,64,16,16], %w: f32[64,64,2,2]) {
%0 = conv(%x, %w) {strides=[1,1], padding=[[0,0],[0,0]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1}\nreturn y = %0\n}`;
    expect(pieces(program(conv))).toBeGreaterThanOrEqual(16);
  });

  it('has a panel for each of two threads where one row reads its weights', () => {
    const { lanes, vectors } = directSchedule(128, 1, 4, defaultTarget);
    expect(128 / (lanes * vectors)).toBe(2);
  });
});

describe('a loop whose iterations read the same again', () => {
  const printed = (functions: readonly string[]): string =>
    printProgramText(compileToProgram(parseFunc(functions.join('\n'))));

  it('takes its tasks there and back where that is more than a cache holds', () => {
    expect(printed(memoryCell(160, 8))).toMatch(/loop step\w* < 6 alternating/);
    expect(printed(memoryCell(64, 8))).not.toContain('alternating');
  });

  it('keeps its order where every iteration reads another slice', () => {
    const text = `func @f(%h: f32[256,256], %x: f32[6,256,256]) {
  %y = scan(%h, %x) {body=@add, length=6, reverse=false, consts=0, carries=1, residuals=keep}
  return y = %y
}`;
    const add =
      'func @add(%h: f32[256,256], %x: f32[256,256]) {\n%0 = exp(%h)\n%1 = sin(%x)\n%2 = add(%0, %1)\nreturn h = %2\n}';
    const plan = printed([add, text]);
    expect(plan).toContain('loop');
    expect(plan).not.toContain('alternating');
  });

  it.each([1, 2, 3])('gives what the reference gives, on %d threads', async (threads) => {
    const parsed = parseFunc(memoryCell(160, 8, 5).join('\n'));
    const given: Case = { func: parsed, inputs: sampleInputs(parsed, 7, [-0.1, 0.1]) };
    const run = await compile<Arrays, Arrays>({ func: parsed, variables: [] }, { threads, target: 'c' });
    expectReference(given, run(arraysOf(given)));
  });
});

describe('the interpreter', () => {
  const y: Buffer = { name: 'y', dtype: 'f32', size: 8, space: 'global' };
  const i = axis('i', 8);
  const kernel = (body: readonly Stmt[]): Kernel => ({
    name: 'k',
    parameters: [{ buffer: y, access: 'readwrite' }],
    body,
    summary: '',
    iterations: [],
    sources: [],
    flops: 0,
    bytes: 0,
  });
  const run = (body: readonly Stmt[]) => () => interpretKernel(kernel(body), new Map([[y, new Float64Array(8)]]));
  const store = (offset: number): Stmt => ({
    kind: 'store',
    buffer: y,
    offset: fixed(offset),
    value: literal('f32', 1),
  });
  const each: Stmt = { kind: 'store', buffer: y, offset: of(i), value: literal('f32', 1) };
  const parallel = (body: Stmt): Stmt => ({ kind: 'loop', axis: i, axisKind: 'parallel', body: [body] });

  it('finds tasks that write one element', () => {
    expect(run([parallel(store(3))])).toThrow('two tasks touch y[3]');
    expect(run([{ kind: 'tasks', axes: [i], grain: 2, body: [store(3)] }])).toThrow('two tasks touch y[3]');
  });

  it('finds a task that reads what another writes', () => {
    const next: Stmt = { kind: 'store', buffer: y, offset: of(i), value: load(y, fixed(0)) };
    expect(run([parallel(next)])).toThrow('two tasks touch y[0]');
  });

  it('finds statements that depend on a parallel loop without a barrier', () => {
    expect(run([parallel(each), store(5)])).toThrow('two tasks touch y[5]');
    expect(run([parallel(each), { kind: 'barrier' }, store(5)])).not.toThrow();
  });
});

/** Two convolutions, one by Winograd's form, pooling and a dense layer. */
function convNet() {
  nn.resetNames();
  nn.setSeed(3);
  const x = input('x', [2, 3, 32, 32]);
  const network = nn.sequential(
    nn.conv2d(3, 32, 3, { padding: 'same' }),
    nn.relu,
    nn.conv2d(32, 64, 3, { padding: 'same' }),
    nn.relu,
    nn.maxPool(2),
    nn.flatten(),
    nn.dense(64 * 256, 40),
    nn.softmax,
  );
  return func({ name: 'net', inputs: [x], outputs: { y: network(x) } });
}

const sequence = (length: number): Float32Array => Float32Array.from({ length }, (_, k) => ((k * 7919) % 101) / 101);

describe('compiled C', () => {
  it.each([2, 3, 8])('computes with %d threads what it computes with one', async (threads) => {
    const net = { x: sequence(2 * 3 * 32 * 32) };
    const apply = async (count: number) => (await compile(convNet(), { target: 'c', threads: count }))(net).y;
    expect(await apply(threads)).toEqual(await apply(1));
    const batch = { x: sequence(64 * 64), y: Int32Array.from({ length: 64 }, (_, k) => k % 10) };
    const train = async (count: number) => {
      const step = await compile(trainingStep(64), { target: 'c', threads: count });
      const losses = Array.from({ length: 5 }, () => step(batch).loss[0]);
      return { losses, states: step.state.names().map((name) => step.state.get(name)) };
    };
    expect(await train(threads)).toEqual(await train(1));
  });
});

/** Runs the program twice on memory of its own and gives a sum of all bytes of outputs and states. */
function driver(name: string, { inputs, outputs, states }: Program): string {
  const bytes = ({ type }: ProgramBuffer): number => Math.max(8, sizeOf(type.shape) * bytesPerElement[type.dtype]);
  const lists = [
    ['inputs', inputs],
    ['outputs', outputs],
    ['states', states],
  ] as const;
  const made = lists.flatMap(([kind, list]) =>
    list.flatMap((buffer, i) => [
      `  ${kind}[${i}] = calloc(1, ${bytes(buffer)});`,
      ...(buffer.type.dtype === 'f32' && kind !== 'outputs'
        ? [
            `  for (int i = 0; i < ${sizeOf(buffer.type.shape)}; i++) ((float *)${kind}[${i}])[i] = (float)(i % 11) * 0.01f;`,
          ]
        : []),
    ]),
  );
  const summed = lists
    .slice(1)
    .flatMap(([kind, list]) =>
      list.flatMap((buffer, i) => [
        `  for (int i = 0; i < ${bytes(buffer)}; i++) sum = (sum ^ ((unsigned char *)${kind}[${i}])[i]) * 1099511628211ull;`,
      ]),
    );
  return `#include "${name}.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static uint64_t result(int threads) {
${lists.map(([kind, list]) => `  void *${kind}[${list.length + 1}] = {0};`).join('\n')}
  uint64_t sum = 14695981039346656037ull;
  void *workspace = aligned_alloc(64, (${name}_workspace_size() + 127) / 64 * 64);
${made.join('\n')}
  for (int i = 0; i < 2; i++) sum += (uint64_t)${name}_run(workspace, states, (const void *const *)inputs, outputs, threads);
${summed.join('\n')}
${lists.flatMap(([kind, list]) => list.map((_, i) => `  free(${kind}[${i}]);`)).join('\n')}
  free(workspace);
  return sum;
}
static void *call(void *sum) {
  *(uint64_t *)sum = result(2);
  return NULL;
}
int main(void) {
  const uint64_t expected = result(1);
  int wrong = 0;
  for (int threads = 2; threads <= 9; threads++) wrong += result(threads) != expected;
  if (wrong > 0) printf("%d numbers of threads\\n", wrong);
  pthread_t callers[4];
  uint64_t sums[4];
  for (int i = 0; i < 4; i++) pthread_create(&callers[i], NULL, call, &sums[i]);
  for (int i = 0; i < 4; i++) {
    pthread_join(callers[i], NULL);
    if (sums[i] != expected) printf("caller %d\\n", i);
  }
#pragma omp parallel for num_threads(3)
  for (int i = 0; i < 3; i++) {
    if (result(4) != expected) printf("inside a region\\n");
  }
  return 0;
}
`;
}

/** OpenMP's regions on POSIX threads, which ThreadSanitizer knows; what libgomp does for them it cannot see. */
const regions = `#include <pthread.h>
typedef struct { void (*body)(void *); void *given; int thread, threads; } member;
static _Thread_local int thread = 0, threads = 1;
static void *run(void *given) {
  const member *const self = given;
  thread = self->thread;
  threads = self->threads;
  self->body(self->given);
  return NULL;
}
void GOMP_parallel(void (*body)(void *), void *given, unsigned count, unsigned flags) {
  (void)flags;
  member members[64];
  pthread_t others[64];
  const int outer_thread = thread, outer_threads = threads;
  for (unsigned i = 0; i < count; i++) members[i] = (member){body, given, (int)i, (int)count};
  for (unsigned i = 1; i < count; i++) pthread_create(&others[i], NULL, run, &members[i]);
  run(&members[0]);
  for (unsigned i = 1; i < count; i++) pthread_join(others[i], NULL);
  thread = outer_thread;
  threads = outer_threads;
}
int omp_get_thread_num(void) { return thread; }
int omp_get_num_threads(void) { return threads; }
`;

/** Loops of steps that the team shares, one whose end a value decides, and branches. */
const loops = (): Program => {
  const texts = [memoryCell(160, 8, 5), decidedRounds].map((functions) => parseFunc(functions.join('\n')));
  return compileToProgram(together(texts.map((text) => ({ func: text, inputs: [] }))).func);
};

describe.each([
  ['a training step', () => compileToProgram(trainingStep(64).func)],
  ['loops', loops],
])('a team in C: %s', (_title, make) => {
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-team-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const step = make();
  const { name, code, header } = printProgram(step);
  writeFileSync(join(folder, `${name}.h`), header);
  writeFileSync(join(folder, `${name}.c`), code);
  writeFileSync(join(folder, 'main.c'), driver(name, step));
  writeFileSync(join(folder, 'regions.c'), regions);
  const strict = ['-std=gnu11', '-O1', '-g', '-Wall', '-Wextra', '-Werror', '-fno-math-errno', '-pthread'];
  const at = (file: string): string => join(folder, file);
  const build = (compiler: string, flags: readonly string[], ...more: readonly string[]): string => {
    const binary = at('program');
    execFileSync(compiler, [...strict, ...flags, at('main.c'), at(`${name}.c`), ...more, '-o', binary, '-lm']);
    return binary;
  };
  const output = (binary: string, env: Record<string, string> = {}): string => {
    const { stdout, stderr, status } = spawnSync(binary, [], { encoding: 'utf8', env: { ...process.env, ...env } });
    // clang's library says that it grants fewer threads than asked for.
    const errors = stderr.replace(/^OMP: .*\n|^\n/gm, '');
    return `${stdout}${errors}${status === 0 ? '' : `status ${status}`}`;
  };
  const compilers = ['gcc', 'clang-19', 'clang'].filter((command) => spawnSync(command, ['--version']).status === 0);

  it('has something to share, something for one thread, and fewer waits than kernels', () => {
    const plan = outline(step);
    expect(plan.some((line) => line.endsWith('shared'))).toBe(true);
    expect(plan.some((line) => line.endsWith('single'))).toBe(true);
    expect(plan.filter((line) => line.startsWith('wait')).length).toBeLessThan(plan.length - 1);
  });

  it.each(compilers)(
    'gives the same for many callers, inside a region and with fewer threads than asked for: %s',
    (compiler) => {
      const binary = build(compiler, ['-fopenmp']);
      expect(output(binary)).toBe('');
      expect(output(binary, { OMP_THREAD_LIMIT: '2' })).toBe('');
      expect(output(binary, { OMP_MAX_ACTIVE_LEVELS: '3' })).toBe('');
    },
  );

  it('is plain C without OpenMP', () => {
    const binary = build('gcc', ['-Wno-unknown-pragmas']);
    expect(output(binary)).toBe('');
    expect(execFileSync('nm', ['-u', binary], { encoding: 'utf8' })).not.toMatch(/omp|GOMP|atomic|sched_yield/);
  });

  it.runIf(process.platform === 'linux')('has no race that ThreadSanitizer finds', () => {
    execFileSync('gcc', [...strict, '-fsanitize=thread', '-fopenmp', '-c', at(`${name}.c`), '-o', at('kernels.o')]);
    const binary = at('sanitized');
    const sources = [at('main.c'), at('regions.c'), at('kernels.o')];
    execFileSync('gcc', [...strict, '-Wno-unknown-pragmas', '-fsanitize=thread', ...sources, '-o', binary, '-lm']);
    expect(output(binary)).toBe('');
  });
});
