// Attention as one kernel: found whatever stands between the two products, right for every length, mask and kind of number,
// and without a matrix of all scores in memory.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import type { Program } from '../src/ir/program.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { scriptTarget, targets } from '../src/passes/schedule.ts';
import { arrayFrom, type TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';

interface Case {
  readonly batch?: readonly number[];
  readonly queries: number;
  readonly keys: number;
  readonly depth?: number;
  readonly channels?: number;
  /** Statements from `%s` to `%x`, given the shape of scores as text. */
  readonly mask?: (shape: string, rank: number) => string;
  readonly dtype?: 'f32' | 'f64';
  readonly parameters?: string;
}

const compared = (op: string, value: string) => (shape: string, rank: number) =>
  `
  %row = iota() {dtype=i32, shape=[${shape}], axis=${rank - 2}}
  %column = iota() {dtype=i32, shape=[${shape}], axis=${rank - 1}}
  %seen = ${op}(%column, %row)
  %hidden = constant() {dtype=f32, shape=[${shape}], data=[${value}]}
  %x = select(%seen, %s, %hidden)`;
const causal = compared('le', '-1e9');
const infinite = compared('le', '-inf');
/** The first queries see nothing at all. */
const late = (shape: string, rank: number): string => compared('lt', '-1e9')(shape, rank);
const added = (shape: string, rank: number): string => `
  %bias = broadcast(%mask) {shape=[${shape}], axes=[${rank - 2},${rank - 1}]}
  %x = add(%s, %bias)`;

function attention({
  batch = [],
  queries,
  keys,
  depth = 16,
  channels = 16,
  mask,
  dtype = 'f32',
  parameters = '',
}: Case): string {
  const type = (...shape: number[]): string => `${dtype}[${[...batch, ...shape].join()}]`;
  const rank = batch.length + 2;
  const axes = batch.map((_, i) => i).join();
  const shape = [...batch, queries, keys].join();
  const over = [...batch.map((_, i) => i), rank - 2].join();
  return `func @f(%q: ${type(queries, depth)}, %k: ${type(keys, depth)}, %v: ${type(keys, channels)}${parameters}) {
  %0 = dot(%q, %k) {contract=[[${rank - 1}],[${rank - 1}]], batch=[[${axes}],[${axes}]]}
  %half = constant() {dtype=${dtype}, shape=[${shape}], data=[0.5]}
  %s = mul(%0, %half)${mask?.(shape, rank) ?? ''}
  %m = reduce(${mask ? '%x' : '%s'}) {kind=max, axes=[${rank - 1}]}
  %1 = broadcast(%m) {shape=[${shape}], axes=[${over}]}
  %2 = sub(${mask ? '%x' : '%s'}, %1)
  %e = exp(%2)
  %t = reduce(%e) {kind=sum, axes=[${rank - 1}]}
  %3 = broadcast(%t) {shape=[${shape}], axes=[${over}]}
  %w = div(%e, %3)
  %y = dot(%w, %v) {contract=[[${rank - 1}],[${rank - 2}]], batch=[[${axes}],[${axes}]]}
  return y = %y
}`;
}

const isOneKernel = (program: Program): boolean => program.steps.length === 1 && program.arenaBytes === 0;

type Inputs = Readonly<Record<string, Float64Array>>;

function inputsOf(func: Func, seed = 3): Inputs {
  const arrays = sampleInputs(func, seed, [-1, 1]);
  return Object.fromEntries(func.parameters.map(({ name }, i) => [name, arrays[i]!.data as Float64Array]));
}

function reference(func: Func, inputs: Inputs): Float64Array {
  const arrays = func.parameters.map(({ name, value }) => ({ type: value.type, data: inputs[name]! }));
  return evaluateFunc(func, arrays)[0]!.data as Float64Array;
}

async function compiled(
  func: Func,
  inputs: Inputs,
  options: { fusion?: boolean; threads?: number } = {},
): Promise<Float32Array> {
  const run = await compile<Record<string, TypedArray>, { readonly y: Float32Array }>(
    { func, variables: [] },
    { target: 'c', ...options },
  );
  return run(Object.fromEntries(func.parameters.map(({ name, value }) => [name, arrayFrom(value.type, inputs[name]!)])))
    .y;
}

/** NaN and infinities where the other has them, other numbers within a bound. */
function expectSame(found: ArrayLike<number>, wanted: ArrayLike<number>, bound: number): void {
  for (let at = 0; at < wanted.length; at++) {
    const [a, b] = [found[at]!, wanted[at]!];
    if (!(Object.is(a, b) || Math.abs(a - b) <= bound)) expect.fail(`y[${at}]: ${b} expected, ${a} computed`);
  }
}

const cases: readonly (readonly [string, Case])[] = [
  ['of one tile', { queries: 32, keys: 64 }],
  ['with ragged queries and keys', { queries: 45, keys: 53, depth: 7, channels: 19 }],
  ['of a few queries', { queries: 9, keys: 200, depth: 8, channels: 8 }],
  ['with batch and head axes', { batch: [2, 3], queries: 40, keys: 50 }],
  ['with more keys than a block', { queries: 20, keys: 700 }],
  ['with a causal mask', { batch: [2], queries: 100, keys: 100, mask: causal }],
  ['with a causal mask of -infinity', { queries: 70, keys: 70, mask: infinite }],
  ['with a mask that leaves the first query nothing', { queries: 64, keys: 64, mask: late }],
  ['with a mask over more keys than queries', { queries: 33, keys: 130, mask: causal }],
  ['with an added mask', { queries: 50, keys: 60, mask: added, parameters: ', %mask: f32[50,60]' }],
  ['of f64', { queries: 37, keys: 64, dtype: 'f64' }],
];

describe('attention', () => {
  it.each(cases)('%s is one kernel, equal to the reference', async (_name, given) => {
    const func = parseFunc(attention(given));
    expect(isOneKernel(compileToProgram(func))).toBe(true);
    const inputs = inputsOf(func);
    const wanted = reference(func, inputs);
    for (const threads of [1, 2]) expectSame(await compiled(func, inputs, { threads }), wanted, 2 ** -20);
    for (const schedule of [...Object.values(targets), scriptTarget]) {
      const found = interpretProgram(compileToProgram(func, { schedule }), new Map(Object.entries(inputs)));
      expectSame(found.get('y')!, wanted, 1e-12);
    }
  });

  it.each([1, 2, 5, 47, 48, 49, 127, 1000, 2049, 5000])(
    'of %d queries and keys equals the kernels one by one',
    async (length) => {
      for (const mask of [undefined, causal]) {
        const func = parseFunc(attention({ queries: length, keys: length, ...(mask && { mask }) }));
        const inputs = inputsOf(func);
        const separate = await compiled(func, inputs, { fusion: false });
        expectSame(await compiled(func, inputs), separate, 2 ** -20);
      }
    },
  );

  it.each([1, 3, 7])('of %d queries against a cache of keys has no kernel of its own', async (queries) => {
    const func = parseFunc(attention({ batch: [2], queries, keys: 300 }));
    const inputs = inputsOf(func);
    expectSame(await compiled(func, inputs), reference(func, inputs), 2 ** -20);
  });

  it.each([
    ['q', Number.NaN],
    ['k', Number.NaN],
    ['v', Number.NaN],
    ['q', Number.POSITIVE_INFINITY],
    ['k', Number.NEGATIVE_INFINITY],
    ['v', Number.POSITIVE_INFINITY],
  ])('has NaN and infinity where separate kernels have them, from %s = %d', async (name, value) => {
    for (const mask of [undefined, causal, infinite, late]) {
      const func = parseFunc(attention({ queries: 96, keys: 96, ...(mask && { mask }) }));
      for (const row of [0, 40, 95]) {
        const inputs = inputsOf(func);
        inputs[name]![row * 16 + 3] = value;
        expectSame(await compiled(func, inputs), await compiled(func, inputs, { fusion: false }), 2 ** -20);
      }
    }
  });

  it('sums values of hidden keys where scores are too small to hide them', async () => {
    const func = parseFunc(attention({ queries: 96, keys: 96, mask: causal }));
    const inputs = inputsOf(func);
    inputs.q!.fill(-1e5);
    inputs.k!.fill(1e4);
    expectSame(await compiled(func, inputs), reference(func, inputs), 2 ** -18);
  });

  it('keeps scores or weights in memory that are results', () => {
    for (const name of ['s', 'w']) {
      const text = attention({ queries: 64, keys: 64 }).replace('return y', `return ${name} = %${name}, y`);
      expect(compileToProgram(parseFunc(text)).steps.length).toBeGreaterThan(1);
    }
  });

  it('copies keys and values that are computed, and nothing else', () => {
    const text = attention({ queries: 64, keys: 64 }).replace(
      '%0 = dot(%q, %k)',
      '%moved = tanh(%k)\n  %0 = dot(%q, %moved)',
    );
    const { steps, arenaBytes } = compileToProgram(parseFunc(text));
    expect(leavesOf(steps).map(({ kernel }) => kernel.parameters.length)).toHaveLength(2);
    expect(arenaBytes).toBe(64 * 16 * 4);
  });
});
