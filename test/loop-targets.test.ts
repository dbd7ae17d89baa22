// Loops as programs on every target against the float64 reference: what the operation table has as examples, and loops in loops,
// swapped roles of carries, packed constants, and ends that values decide. All are one function, so that they share an arena.

import { afterAll, describe, it } from 'vitest';
import { parseFunc } from '../src/ir/text.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import type { WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { arraysOf, type Case, casesOf, expectReference, together } from './helpers/differential.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

type Arrays = Record<string, TypedArray>;

const caseOf = (...functions: readonly string[]): Case => {
  const func = parseFunc(functions.join('\n'));
  return { func, inputs: sampleInputs(func, 31, [-0.2, 0.2]) };
};

const scan = (operands: string, attrs: string): string => `scan(${operands}) {${attrs}, residuals=keep}`;

/** Long short-term memory: one product, gates, two carries, both stacked. */
const memory = (hidden: number, batch = 1, length = 6): string[] => [
  `func @cell(%w: f32[${hidden},${4 * hidden}], %h: f32[${batch},${hidden}], %c: f32[${batch},${hidden}], %x: f32[${batch},${4 * hidden}]) {
  %0 = dot(%h, %w) {contract=[[1],[0]], batch=[[],[]]}
  %1 = add(%0, %x)
  %2 = slice(%1) {starts=[0,0], limits=[${batch},${hidden}], strides=[1,1]}
  %3 = slice(%1) {starts=[0,${hidden}], limits=[${batch},${2 * hidden}], strides=[1,1]}
  %4 = slice(%1) {starts=[0,${2 * hidden}], limits=[${batch},${3 * hidden}], strides=[1,1]}
  %5 = slice(%1) {starts=[0,${3 * hidden}], limits=[${batch},${4 * hidden}], strides=[1,1]}
  %i = tanh(%2)
  %f = tanh(%3)
  %g = tanh(%4)
  %o = tanh(%5)
  %6 = mul(%f, %c)
  %7 = mul(%i, %g)
  %next = add(%6, %7)
  %8 = tanh(%next)
  %y = mul(%o, %8)
  return h = %y, c = %next, y = %y
}`,
  `func @f(%w: f32[${hidden},${4 * hidden}], %h: f32[${batch},${hidden}], %c: f32[${batch},${hidden}], %x: f32[${length},${batch},${4 * hidden}]) {
  %h1, %c1, %all = ${scan('%w, %h, %c, %x', `body=@cell, length=${length}, reverse=false, consts=1, carries=2`)}
  return h = %h1, c = %c1, all = %all
}`,
];

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
  %4 = cond(%3, %n) {then=@half, otherwise=@triple}
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
  caseOf(...memory(32)),
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
    const wide = together([...cases, caseOf(...memory(160, 8, 5))]);
    const run = await compile<Arrays, Arrays>({ func: wide.func, variables: [] }, { target: 'c', threads });
    for (let turn = 0; turn < 3; turn++) expectReference(wide, run(arraysOf(wide)));
  });
});

const device = await testDevice();
const gpu = device as WebGpuDevice;

describe.skipIf(typeof device === 'string')(titleOf('loops in WGSL', device), () => {
  afterAll(() => gpu.destroy());

  it('give what the reference gives, call after call', async () => {
    const run = await compileForWebGpu<Arrays, Arrays>({ func: all.func, variables: [] }, { device: gpu });
    const calls = await Promise.all([run(arraysOf(all)), run(arraysOf(all))]);
    for (const results of calls) expectReference(all, results);
    run.destroy();
  });
});
