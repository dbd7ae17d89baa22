// The emitted C itself: no warning under -Wall -Wextra -Werror with either compiler, with and without OpenMP; clean under
// AddressSanitizer and UndefinedBehaviorSanitizer; our own f32 functions within their bounds.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { printProgram } from '../src/codegen/c/program.ts';
import { makeFunc, type Parameter, parameter, type Result } from '../src/ir/graph.ts';
import type { OpName } from '../src/ir/opattrs.ts';
import { builder, opTable } from '../src/ir/ops/index.ts';
import { erf } from '../src/ir/ops/special.ts';
import type { Program } from '../src/ir/program.ts';
import { parseFunc } from '../src/ir/text.ts';
import { sizeOf } from '../src/ir/types.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { compile } from '../src/runtime/compile.ts';
import { trainingStep } from './helpers/models.ts';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-c-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const installed = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const clang = ['clang-19', 'clang'].find(installed);
const compilers = ['gcc', ...(clang === undefined ? [] : [clang])];

/** Every example of the operation table, in one function. */
function everyOperation(): Program {
  const funcs = (Object.keys(opTable) as OpName[]).flatMap((name) =>
    opTable[name].examples.map(({ text }) => parseFunc(text)),
  );
  const parameters = funcs.flatMap((func, i) =>
    func.parameters.map((p): Parameter => ({ ...p, name: `c${i}_${p.name}` })),
  );
  const results = funcs.flatMap((func, i) => func.results.map((r): Result => ({ ...r, name: `c${i}_${r.name}` })));
  return compileToProgram(makeFunc('everything', parameters, results));
}

/** Attention with a causal mask, queries and keys that fill no tile. */
function maskedAttention(): Program {
  return compileToProgram(
    parseFunc(`func @attention(%q: f32[3,70,9], %k: f32[3,75,9], %v: f32[3,75,13]) {
  %s = dot(%q, %k) {contract=[[2],[2]], batch=[[0],[0]]}
  %row = iota() {dtype=i32, shape=[3,70,75], axis=1}
  %column = iota() {dtype=i32, shape=[3,70,75], axis=2}
  %seen = le(%column, %row)
  %hidden = constant() {dtype=f32, shape=[3,70,75], data=[-1e9]}
  %x = select(%seen, %s, %hidden)
  %m = reduce(%x) {kind=max, axes=[2]}
  %0 = broadcast(%m) {shape=[3,70,75], axes=[0,1]}
  %1 = sub(%x, %0)
  %e = exp(%1)
  %t = reduce(%e) {kind=sum, axes=[2]}
  %2 = broadcast(%t) {shape=[3,70,75], axes=[0,1]}
  %w = div(%e, %2)
  %y = dot(%w, %v) {contract=[[2],[1]], batch=[[0],[0]]}
  return y = %y
}`),
  );
}

/** A main that fills inputs and states with small numbers and runs the program twice. */
function mainFor(program: Program, name: string): string {
  const bytes = (list: Program['inputs']): number[] => list.map(({ type }) => Math.max(8, sizeOf(type.shape) * 8));
  const allocate = (kind: string, list: Program['inputs']): string[] =>
    bytes(list).map((count, i) => `  ${kind}[${i}] = calloc(1, ${count});`);
  const release = (kind: string, list: Program['inputs']): string[] => list.map((_, i) => `  free(${kind}[${i}]);`);
  const fill = program.inputs.flatMap(({ type }, i) =>
    type.dtype === 'f32'
      ? [
          `  for (int i = 0; i < ${sizeOf(type.shape)}; i++) ((float *)inputs[${i}])[i] = (float)(i % 7) * 0.25f - 0.5f;`,
        ]
      : [],
  );
  const lists = [
    ['inputs', program.inputs],
    ['outputs', program.outputs],
    ['states', program.states],
  ] as const;
  return [
    `#include "${name}.h"`,
    '#include <stdlib.h>',
    'int main(void) {',
    ...lists.map(([kind, list]) => `  void *${kind}[${list.length + 1}] = {0};`),
    ...lists.flatMap(([kind, list]) => allocate(kind, list)),
    ...fill,
    `  void *workspace = aligned_alloc(64, (${name}_workspace_size() + 127) / 64 * 64);`,
    `  int status = ${name}_run(workspace, states, (const void *const *)inputs, outputs, 2);`,
    `  status |= ${name}_run(workspace, states, (const void *const *)inputs, outputs, 1);`,
    ...lists.flatMap(([kind, list]) => release(kind, list)),
    '  free(workspace);',
    '  return status;',
    '}',
    '',
  ].join('\n');
}

function writeProgram(program: Program): { name: string; code: string; main: string } {
  const { name, code, header } = printProgram(program);
  const paths = { name, code: join(folder, `${name}.c`), main: join(folder, `${name}_main.c`) };
  writeFileSync(paths.code, code);
  writeFileSync(join(folder, `${name}.h`), header);
  writeFileSync(paths.main, mainFor(program, name));
  return paths;
}

const programs = (): readonly (readonly [string, Program])[] => [
  ['every operation', everyOperation()],
  ['a training step', compileToProgram(trainingStep().func)],
  ['attention', maskedAttention()],
];

describe.each(compilers)('%s', (compiler) => {
  it.each(programs())('compiles %s without a warning', (_title, program) => {
    const { code } = writeProgram(program);
    const strict = [
      '-std=gnu11',
      '-O2',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-fno-math-errno',
      '-fno-trapping-math',
      '-c',
      code,
      '-o',
      join(folder, 'strict.o'),
    ];
    execFileSync(compiler, [...strict, '-fopenmp', '-march=native']);
    execFileSync(compiler, strict);
  });

  it.each(programs())('runs %s clean under the sanitizers', (_title, program) => {
    const { code, main, name } = writeProgram(program);
    const binary = join(folder, `${name}-${compiler}`);
    execFileSync(compiler, [
      '-std=gnu11',
      '-O1',
      '-g',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=all',
      main,
      code,
      '-o',
      binary,
      '-lm',
    ]);
    const run = spawnSync(binary, [], {
      encoding: 'utf8',
      env: { ...process.env, ASAN_OPTIONS: 'detect_stack_use_after_return=0' },
    });
    expect(run.stderr).toBe('');
    expect(run.status).toBe(0);
  });
});

describe('names', () => {
  it('cannot inject code through names', () => {
    const x = parameter('*/ int evil; /*', { dtype: 'f32', shape: [2] });
    const func = makeFunc(
      'x"; system("true"); //',
      [x],
      [{ name: 'while(1);', role: 'output', value: builder.exp(x.value) }],
    );
    const { code, header, name } = printProgram(compileToProgram(func));
    expect(name).toMatch(/^[A-Za-z]\w*$/);
    expect(code + header).not.toContain('int evil;\n');
    expect(code + header).not.toContain('*/ int evil');
    expect(`${code}${header}`.replace(/\/\*[\s\S]*?\*\//g, '')).not.toContain('system(');
    execFileSync('gcc', ['-fsyntax-only', '-Wall', '-Werror', '-x', 'c', '-'], {
      input: code.replace(`#include "${name}.h"`, header),
    });
  });

  it('emits identical kernels once', () => {
    const x = parameter('x', { dtype: 'f32', shape: [64, 64] });
    const y = parameter('y', { dtype: 'f32', shape: [64, 64] });
    const product = (p: Parameter) => builder.dot(p.value, p.value, { contract: [[1], [0]], batch: [[], []] });
    const func = makeFunc(
      'twice',
      [x, y],
      [x, y].map((p) => ({ name: `out_${p.name}`, role: 'output' as const, value: product(p) })),
    );
    const { code } = printProgram(compileToProgram(func));
    expect(code.match(/^ASH_KERNEL kernel_dot\(/gm)).toHaveLength(1);
    expect(code.match(/^ {2}kernel_dot\(/gm)).toHaveLength(2);
  });
});

describe('f32 functions', () => {
  const unit = (value: number): number => {
    const magnitude = Math.max(Math.abs(Math.fround(value)), 2 ** -126);
    return 2 ** (Math.floor(Math.log2(magnitude)) - 23);
  };

  it.each([
    ['exp', Math.exp, -103, 88.7, 2],
    ['log', Math.log, 1e-38, 3e38, 2],
    ['tanh', Math.tanh, -10, 10, 4],
    ['sigmoid', (x: number) => 1 / (1 + Math.exp(-x)), -80, 80, 4],
    ['erf', erf, -5, 5, 4],
  ] as const)('%s stays within its bound in units of the last place', async (op, reference, low, high, bound) => {
    const count = 200_000;
    const x = parameter('x', { dtype: 'f32', shape: [count] });
    const run = await compile<{ x: Float32Array }, { y: Float32Array }>(
      {
        func: makeFunc(`sweep_${op}`, [x], [{ name: 'y', role: 'output', value: builder[op](x.value) }]),
        variables: [],
      },
      { target: 'c' },
    );
    const at = (i: number): number =>
      op === 'log' ? low * (high / low) ** (i / (count - 1)) : low + ((high - low) * i) / (count - 1);
    const inputs = Float32Array.from({ length: count }, (_, i) => at(i));
    const { y } = run({ x: inputs });
    let worst = 0;
    inputs.forEach((input, i) => {
      const wanted = reference(input);
      worst = Math.max(worst, Math.abs(y[i]! - wanted) / unit(wanted));
    });
    expect(worst).toBeLessThan(bound);
  });

  it('handles the ends of the range', async () => {
    const x = parameter('x', { dtype: 'f32', shape: [6] });
    const results = (['exp', 'log', 'tanh', 'sigmoid'] as const).map((op) => ({
      name: op,
      role: 'output' as const,
      value: builder[op](x.value),
    }));
    const run = await compile<{ x: Float32Array }, Record<string, Float32Array>>(
      {
        func: makeFunc('ends', [x], results),
        variables: [],
      },
      { target: 'c' },
    );
    const found = run({
      x: Float32Array.from([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 0, 200, -200]),
    });
    expect([...found.exp!]).toEqual([Number.POSITIVE_INFINITY, 0, Number.NaN, 1, Number.POSITIVE_INFINITY, 0]);
    expect([...found.log!].slice(0, 4)).toEqual([
      Number.POSITIVE_INFINITY,
      Number.NaN,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
    ]);
    expect([...found.tanh!]).toEqual([1, -1, Number.NaN, 0, 1, -1]);
    expect([...found.sigmoid!]).toEqual([1, 0, Number.NaN, 0.5, 1, 0]);
  });
});
