// Loops as programs on every target against the float64 reference: what the operation table has as examples, and loops in loops,
// swapped roles of carries, packed constants, and ends that values decide. All are one function, so that they share an arena.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { printProgramText } from '../src/ir/program-text.ts';
import { parseFunc } from '../src/ir/text.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { loadArtifact } from '../src/runtime/artifact/load.ts';
import { compile } from '../src/runtime/compile.ts';
import { exportC } from '../src/runtime/export-c.ts';
import { exportJs } from '../src/runtime/export-js.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import type { WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { webModule } from '../src/runtime/webgpu/module.ts';
import { arraysOf, type Case, casesOf, expectReference, together } from './helpers/differential.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { decidedRounds, memoryCell } from './helpers/loop-texts.ts';
import { sampleInputs } from './helpers/samples.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

type Arrays = Record<string, TypedArray>;

const device = await testDevice();
const gpu = device as WebGpuDevice;

/** Inputs are small, so that a recurrence does not enlarge what rounding does. */
const caseOf = (...functions: readonly string[]): Case => {
  const func = parseFunc(functions.join('\n'));
  return { func, inputs: sampleInputs(func, 31, [-0.2, 0.2]) };
};

const scan = (operands: string, attrs: string): string => `scan(${operands}) {${attrs}, residuals=keep}`;

/** Collatz: how long it takes depends on the number, and each step is one of two. */
const collatz = [
  'func @half(%n: i32[]) { %0 = constant() {dtype=i32, shape=[], data=[2]}\n %1 = div(%n, %0)\n return n = %1 }',
  `func @triple(%n: i32[]) {
  %0 = constant() {dtype=i32, shape=[], data=[3]}
  %1 = constant() {dtype=i32, shape=[], data=[1]}
  %2 = mul(%n, %0)
  %3 = add(%2, %1)
  return n = %3
}`,
  'func @above(%n: i32[], %k: i32[]) { %0 = constant() {dtype=i32, shape=[], data=[1]}\n %1 = gt(%n, %0)\n return go = %1 }',
  `func @next(%n: i32[], %k: i32[]) {
  %0 = constant() {dtype=i32, shape=[], data=[2]}
  %1 = rem(%n, %0)
  %2 = constant() {dtype=i32, shape=[], data=[0]}
  %3 = eq(%1, %2)
  %4 = cond(%3, %n) {then=@half, otherwise=@triple, residuals=keep}
  %5 = constant() {dtype=i32, shape=[], data=[1]}
  %6 = add(%k, %5)
  return n = %4, k = %6
}`,
  `func @count(%n: i32[]) {
  %0 = constant() {dtype=i32, shape=[], data=[0]}
  %end, %k = while(%n, %0) {condition=@above, body=@next, consts=0, limit=null}
  return k = %k
}`,
];

const cases: readonly Case[] = [
  ...casesOf(['scan', 'while', 'cond']),
  caseOf(...memoryCell(32)),
  // A scan whose steps are loops that values end: 19 steps for 9, none for 1.
  caseOf(
    ...collatz,
    `func @f(%seed: i32[]) {
  %numbers = constant() {dtype=i32, shape=[6], data=[1,2,7,9,3,4]}
  %counts = ${scan('%numbers', 'body=@count, length=6, reverse=true, consts=0, carries=0')}
  return counts = %counts
}`,
  ),
  // A loop that values end around a scan, with a constant that each step multiplies by.
  caseOf(
    'func @small(%m: f32[8,8], %xs: f32[3,2,8], %x: f32[2,8], %k: i32[]) { %0 = constant() {dtype=i32, shape=[], data=[21]}\n %1 = lt(%k, %0)\n return go = %1 }',
    `func @apply(%m: f32[8,8], %x: f32[2,8], %bias: f32[2,8]) {
  %0 = dot(%x, %m) {contract=[[1],[0]], batch=[[],[]]}
  %1 = add(%0, %bias)
  %2 = tanh(%1)
  return x = %2
}`,
    `func @rounds(%m: f32[8,8], %xs: f32[3,2,8], %x: f32[2,8], %k: i32[]) {
  %0 = ${scan('%m, %x, %xs', 'body=@apply, length=3, reverse=false, consts=1, carries=1')}
  %1 = constant() {dtype=i32, shape=[], data=[1]}
  %2 = add(%k, %1)
  return x = %0, k = %2
}`,
    `func @f(%m: f32[8,8], %xs: f32[3,2,8], %x: f32[2,8]) {
  %0 = constant() {dtype=i32, shape=[], data=[0]}
  %y, %k = while(%m, %xs, %x, %0) {condition=@small, body=@rounds, consts=2, limit=40}
  return y = %y, k = %k
}`,
  ),
  // Outputs of operations with loops of their own, slices of a transposed sequence, a constant of the body in memory.
  caseOf(
    `func @sorted(%total: f32[5], %x: f32[5]) {
  %0 = constant() {dtype=f32, shape=[5], data=[3,1,4,1,5]}
  %1 = mul(%x, %0)
  %2, %3 = sort(%1) {axis=0, descending=false}
  %4 = cumulative(%2) {kind=sum, axis=0, reverse=false, exclusive=false}
  %5 = add(%total, %4)
  return total = %5, sorted = %2, order = %3, sums = %4
}`,
    `func @f(%x: f32[5,4]) {
  %0 = constant() {dtype=f32, shape=[5], data=[0]}
  %1 = transpose(%x) {permutation=[1,0]}
  %total, %sorted, %order, %sums = ${scan('%0, %1', 'body=@sorted, length=4, reverse=true, consts=0, carries=1')}
  %2 = neg(%sums)
  return total = %total, sorted = %sorted, order = %order, sums = %2
}`,
  ),
  // Three carries that change places, one that stays as it is.
  caseOf(
    'func @turn(%a: f32[3], %b: f32[3], %c: f32[3], %d: f32[3]) { %0 = add(%a, %d)\n return a = %b, b = %c, c = %0, d = %d }',
    `func @f(%a: f32[3], %b: f32[3], %c: f32[3], %d: f32[3]) {
  %p, %q, %r, %s = ${scan('%a, %b, %c, %d', 'body=@turn, length=7, reverse=false, consts=0, carries=4')}
  return p = %p, q = %q, r = %r, s = %s
}`,
  ),
  // Convolutions of an image that is carried.
  caseOf(
    `func @blur(%k: f32[8,8,3,3], %image: f32[1,8,6,6]) {
  %0 = conv(%image, %k) {strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1}
  %1 = tanh(%0)
  return image = %1, seen = %1
}`,
    `func @f(%k: f32[8,8,3,3], %image: f32[1,8,6,6]) {
  %last, %seen = ${scan('%k, %image', 'body=@blur, length=4, reverse=false, consts=1, carries=1')}
  return last = %last, seen = %seen
}`,
  ),
];

const all = together(cases);

describe('loops', () => {
  const interpreted = (program: ReturnType<typeof compileToProgram>): Arrays => {
    const memoryOf = new Map(all.func.parameters.map(({ name }, i) => [name, Float64Array.from(all.inputs[i]!.data)]));
    return Object.fromEntries(interpretProgram(program, memoryOf)) as unknown as Arrays;
  };

  it('interpreted, as a CPU and a GPU run them', () => {
    expectReference(all, interpreted(compileToProgram(all.func)));
    expectReference(all, interpreted(compileToProgram(all.func, { machine: gpuMachine(defaultGpu) })));
    expectReference(all, interpreted(compileToProgram(all.func, { fusion: false })));
  });

  it('in JavaScript', async () => {
    expectReference(
      all,
      (await compile<Arrays, Arrays>({ func: all.func, variables: [] }, { target: 'js' }))(arraysOf(all)),
    );
  });

  it.each([1, 8])('in C with %d threads', async (threads) => {
    const wide = together([...cases, caseOf(...memoryCell(160, 8, 5)), caseOf(...decidedRounds)]);
    const run = await compile<Arrays, Arrays>({ func: wide.func, variables: [] }, { target: 'c', threads });
    for (let turn = 0; turn < 3; turn++) expectReference(wide, run(arraysOf(wide)));
  });
});

describe('artifacts with loops', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-loops-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const given = together([caseOf(...memoryCell(32)), ...casesOf(['while', 'cond'])]);
  const definition = { func: given.func, variables: [] };
  const loaded = async (place: string): Promise<Arrays> => {
    const { functions, close } = await loadArtifact(place);
    const results = await Object.values(functions)[0]!(arraysOf(given));
    close();
    return results as Arrays;
  };

  it('in C for several processors', async () => {
    const directory = join(folder, 'c');
    const { programs } = await exportC(definition, { directory });
    expect(programs.length).toBeGreaterThan(1);
    expectReference(given, await loaded(directory));
  });

  it('in JavaScript', async () => {
    const directory = join(folder, 'js');
    exportJs({ run: definition }, { name: 'loops', directory });
    expectReference(given, await loaded(directory));
  });

  it.skipIf(typeof device === 'string')('for pages', async () => {
    const { code, weights } = await webModule('loops', { run: definition });
    writeFileSync(join(folder, 'loops.mjs'), code);
    const { load } = await import(join(folder, 'loops.mjs'));
    const { run } = await load(gpu.device, { weights });
    for (const results of await Promise.all([run(arraysOf(given)), run(arraysOf(given))]))
      expectReference(given, results);
  });
});

it('indices that a loop reads slice by slice are checked as inputs are', async () => {
  const { func } = caseOf(
    'func @row(%table: f32[5,2], %at: i32[3]) { %0 = gather(%table, %at) {axis=0, batch=0}\n return y = %0 }',
    `func @f(%table: f32[5,2], %at: i32[4,3]) {
  %y = ${scan('%table, %at', 'body=@row, length=4, reverse=false, consts=1, carries=0')}
  return y = %y
}`,
  );
  const run = await compile<Arrays, Arrays>({ func, variables: [] }, { target: 'js' });
  const table = Float32Array.from({ length: 10 }, (_, i) => i);
  expect(() => run({ table, at: new Int32Array(12).fill(5) })).toThrow(/at.*0.*4.*5/s);
  expect([...run({ table, at: new Int32Array(12).fill(4) }).y!.slice(0, 2)]).toEqual([8, 9]);
});

describe('plans of loops', () => {
  const plan = (functions: readonly string[]): string[] => {
    const lines = printProgramText(compileToProgram(parseFunc(functions.join('\n')))).split('\n');
    return lines.slice(lines.indexOf('  run') + 1, -1).map((line) => line.slice(4));
  };

  it('carries are updated in place where a state would be; outputs are written where their slice lies', () => {
    expect(plan(memoryCell(16))).toEqual([
      'copy(read input h, write output h)',
      'copy(read input c, write output c)',
      'loop step < 6',
      '  dot_add(read output h, read input w, read input x, write arena+0 f32[1,64]; step)',
      '  tanh_mul_tanh_and_7_more(read arena+0 f32[1,64], readwrite output c, write output h, write output all; step)',
    ]);
  });

  it('a constant is packed once, in front of the loop', () => {
    const lines = plan(memoryCell(96, 8));
    const pack = lines.findIndex((line) => line.startsWith('dot_add_pack(read input w'));
    expect(pack).toBeGreaterThanOrEqual(0);
    expect(pack).toBeLessThan(lines.findIndex((line) => line.startsWith('loop')));
    expect(lines.filter((line) => line.includes('_pack'))).toHaveLength(1);
  });

  it('a state that is carried stays where it is', () => {
    const [body] = ['func @step(%s: f32[4], %x: f32[4]) { %0 = add(%s, %x)\n return s = %0 }'];
    const text = `func @f(state %s: f32[4], %x: f32[9,4]) {
  %0 = scan(%s, %x) {body=@step, length=9, reverse=true, consts=0, carries=1, residuals=keep}
  return update s = %0
}`;
    expect(plan([body!, text])).toEqual(['loop step < 9', '  add(readwrite state s, read input x; step)']);
  });

  it('on a GPU a carry that is read as a whole has two places, which take turns', () => {
    const text = printProgramText(
      compileToProgram(parseFunc(memoryCell(128).join('\n')), { machine: gpuMachine(defaultGpu) }),
    );
    const [before, inside] = text.split('loop step < 6');
    expect(inside!.split('\n').filter((line) => line.startsWith('      '))).toHaveLength(1);
    expect(inside!.match(/copy\(/g)).toHaveLength(1);
    expect(before).toContain('copy(read output h, write arena');
  });

  it('what a loop reads again in its next iteration keeps its place', () => {
    const body = `func @step(%c: f32[64], %h: f32[64]) {
  %0 = add(%h, %c)
  %1 = reduce(%0) {kind=sum, axes=[0]}
  %2 = broadcast(%1) {shape=[64], axes=[]}
  %3 = div(%0, %2)
  return h = %3
}`;
    const lines = plan([
      body,
      `func @f(%x: f32[64]) {
  %0 = exp(%x)
  %1 = reduce(%0) {kind=max, axes=[0]}
  %2 = broadcast(%1) {shape=[64], axes=[]}
  %c = sub(%0, %2)
  %h = scan(%c, %x) {body=@step, length=5, reverse=false, consts=1, carries=1, residuals=keep}
  return h = %h
}`,
    ]);
    const places = lines.join('\n').match(/arena\+\d+ f32\[64\]/g)!;
    expect(new Set(places).size).toBeGreaterThan(0);
    const inside = lines.slice(lines.findIndex((line) => line.startsWith('loop')));
    const written = inside.flatMap((line) => [...line.matchAll(/write (arena\+\d+)/g)].map(([, place]) => place));
    const constant = lines.join('\n').match(/write (arena\+\d+) f32\[64\]/)![1];
    expect(written).not.toContain(constant);
  });
});

describe.skipIf(typeof device === 'string')(titleOf('loops in WGSL', device), () => {
  it('give what the reference gives, call after call', async () => {
    const run = await compileForWebGpu<Arrays, Arrays>({ func: all.func, variables: [] }, { device: gpu });
    const calls = await Promise.all([run(arraysOf(all)), run(arraysOf(all))]);
    for (const results of calls) expectReference(all, results);
    run.destroy();
  });
});
