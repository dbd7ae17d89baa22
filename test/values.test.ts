// The ends of the range in C and JavaScript, and in constants that passes fold: NaN, infinities, the largest and smallest
// numbers, wrapping integers, division by zero, shifts beyond the width, casts that saturate. What WGSL does with them is in
// webgpu-values.test.ts. All operations on a dtype are one function over arrays, which C computes in vectors.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import { binaryRecords } from '../src/ir/ops/binary.ts';
import { unaryRecords } from '../src/ir/ops/unary.ts';
import { parseFunc } from '../src/ir/text.ts';
import type { DType } from '../src/ir/types.ts';
import { optimize } from '../src/passes/graph-passes.ts';
import { arrayFrom, type TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { seeded } from './helpers/samples.ts';
import { hasTool } from './helpers/tools.ts';
import { expectWithin, integers, numbers } from './helpers/values.ts';
import { testDevice } from './helpers/webgpu.ts';

const clang = ['clang-19', 'clang'].find((command) => hasTool(command));
const device = await testDevice();

type Numbers = readonly number[];
interface Family {
  /** Operations on `%x`, or on `%x` and `%z`. */
  readonly operations: readonly string[];
  readonly dtype: DType;
  readonly x: Numbers;
  readonly z?: Numbers;
}

const every = (table: object, fits: (dtypes: string) => boolean): string[] =>
  Object.entries(table as Readonly<Record<string, { readonly dtypes: string }>>).flatMap(([name, { dtypes }]) =>
    fits(dtypes) ? [name] : [],
  );
const ofFloats = (dtypes: string): boolean => ['float', 'number', 'any'].includes(dtypes);
const ofIntegers = (dtypes: string): boolean => dtypes !== 'float';

/** Every pair of values, as two columns. */
const pairs = (values: Numbers): { x: Numbers; z: Numbers } => ({
  x: values.flatMap((value) => values.map(() => value)),
  z: values.flatMap(() => values),
});

const dtypes: readonly DType[] = ['f32', 'i32', 'u32', 'i8', 'u8', 'bool'];
const casts = (dtype: DType, x: Numbers): Family => ({
  operations: dtypes.map((to) => `cast(%x) {dtype=${to}}`),
  dtype,
  x,
});
const unary = (names: readonly string[]): string[] => names.map((name) => `${name}(%x)`);
const binary = (names: readonly string[]): string[] => names.map((name) => `${name}(%x, %z)`);

/** `some` of the values, for pairs that are constants in the text. */
function families(some: (values: Numbers) => Numbers): [string, Family][] {
  const random = seeded(11);
  const near = Array.from({ length: some === all ? 999 : 10 }, () => Math.fround((random() - 0.5) * 20));
  const list: [string, Family][] = [
    ['unary of f32', { operations: unary(every(unaryRecords, ofFloats)), dtype: 'f32', x: [...numbers, ...near] }],
    ['binary of f32', { operations: binary(every(binaryRecords, ofFloats)), dtype: 'f32', ...pairs(some(numbers)) }],
    ['casts of f32', casts('f32', numbers)],
    ['casts of bool', casts('bool', [0, 1, 1])],
  ];
  for (const [dtype, values] of Object.entries(integers) as [DType, Numbers][]) {
    list.push([`unary of ${dtype}`, { operations: unary(every(unaryRecords, ofIntegers)), dtype, x: values }]);
    list.push([
      `binary of ${dtype}`,
      { operations: binary(every(binaryRecords, ofIntegers)), dtype, ...pairs(some(values)) },
    ]);
    list.push([`casts of ${dtype}`, casts(dtype, values)]);
  }
  return list;
}

const all = (values: Numbers): Numbers => values;
/** Enough of each kind: every seventh, and both ends. */
const few = (values: Numbers): Numbers =>
  values.length < 16 ? values : values.filter((_, i) => i % 7 === 0 || i >= values.length - 3);

const spelled = (value: number): string =>
  Number.isNaN(value)
    ? 'nan'
    : Number.isFinite(value)
      ? Object.is(value, -0)
        ? '-0'
        : String(value)
      : value > 0
        ? 'inf'
        : '-inf';

/** The function of a family, on inputs or on constants. */
function funcOf({ operations, dtype, x, z }: Family, isConstant: boolean): Func {
  const operands = Object.entries(z === undefined ? { x } : { x, z });
  const type = `${dtype}[${x.length}]`;
  const constants = operands.map(
    ([name, values]) =>
      `%${name} = constant() {dtype=${dtype}, shape=[${values.length}], data=[${values.map(spelled)}]}`,
  );
  const parameters = operands.map(([name]) => `%${name}: ${type}`);
  const body = [...(isConstant ? constants : []), ...operations.map((operation, i) => `%${i} = ${operation}`)];
  const results = operations.map((_, i) => `y${i} = %${i}`);
  return parseFunc(
    `func @f(${isConstant ? '' : parameters.join(', ')}) {\n${body.join('\n')}\nreturn ${results.join(', ')}\n}`,
  );
}

/** Functions whose results are not the correctly rounded ones; docs/numerics.md has the bound of each, 3 units at most. */
const approximate = /^(exp|log|sin|cos|tan|a(sin|cos|tan)|sinh|cosh|erf|pow|sigmoid|softplus|rsqrt|expm1|log1p)/;

type Run = (inputs: Readonly<Record<string, TypedArray>>) => Promise<Record<string, TypedArray>>;

async function expectAgreement(
  family: Family,
  isConstant: boolean,
  compiled: (func: Func) => Promise<Run>,
): Promise<void> {
  const func = funcOf(family, isConstant);
  const arrays = func.parameters.map(({ name, value }) => arrayFrom(value.type, name === 'x' ? family.x : family.z!));
  const inputs = func.parameters.map(({ value }, i) => ({
    type: value.type,
    data: Float64Array.from(arrays[i]!, Number),
  }));
  const wanted = evaluateFunc(func, inputs);
  const run = await compiled(func);
  const found = await run(Object.fromEntries(func.parameters.map(({ name }, i) => [name, arrays[i]!])));
  family.operations.forEach((operation, i) => {
    const units = family.dtype === 'f32' && approximate.test(operation) ? 4 : 0.5;
    const operands = (at: number): string =>
      [family.x[at], family.z?.[at]].filter((value) => value !== undefined).join(', ');
    expectWithin(
      units,
      Array.from(found[`y${i}`]!, Number),
      Array.from(wanted[i]!.data),
      (at) => `${operation} of ${operands(at)}`,
    );
  });
}

type Named = Readonly<Record<string, TypedArray>>;
const onTarget =
  (options: Parameters<typeof compile>[1]) =>
  async (func: Func): Promise<Run> => {
    const run = await compile<Named, Record<string, TypedArray>>({ func, variables: [] }, options);
    return async (inputs) => run(inputs);
  };

const targets: [string, (func: Func) => Promise<Run>][] = [
  ['gcc', onTarget({ compiler: 'gcc' })],
  ...(clang === undefined ? [] : [['clang', onTarget({ compiler: clang })] as [string, (func: Func) => Promise<Run>]]),
  ['JavaScript', onTarget({ target: 'js' })],
];

describe.each(targets)('values in %s', (_name, compiled) => {
  it.each(families(all))('%s', async (_title, family) => {
    await expectAgreement(family, false, compiled);
  });
});

const folding: typeof targets = [
  ['C', onTarget({ target: 'c' })],
  ['JavaScript', onTarget({ target: 'js' })],
  ...(typeof device === 'string' ? [] : [['WGSL', onTarget({ target: 'wgsl', device })] as (typeof targets)[number]]),
];

describe.each(folding)('constants in %s', (_name, compiled) => {
  it.each(families(few))('%s', async (_title, family) => {
    await expectAgreement(family, true, compiled);
  });
});

it('constants are folded: nothing is left to compute', () => {
  for (const [, family] of families(few)) {
    const left = optimize(funcOf(family, true)).nodes.filter(({ op }) => op !== 'constant');
    expect(left.map(({ op }) => op)).toEqual([]);
  }
});

describe.each(targets)('tables in %s', (_name, compiled) => {
  // gcc 12 copies a table by wide registers, and a vector of equal elements that ends in zeros came out without the zeros.
  it.each(['i64', 'f64', 'f32', 'i32'] as const)('of %s that end in zeros', async (dtype) => {
    const lanes = dtype.endsWith('64') ? 8 : 16;
    const row = (ones: number): number[] => Array.from({ length: lanes }, (_, i) => Number(i < ones));
    const rows = Array.from({ length: lanes }, (_, ones) => [5, ...Array<number>(lanes - 1).fill(7), ...row(ones)]);
    const nodes = rows.map((data, i) => `%${i} = constant() {dtype=${dtype}, shape=[${data.length}], data=[${data}]}`);
    const func = parseFunc(`func @f() {\n${nodes.join('\n')}\nreturn ${rows.map((_, i) => `y${i} = %${i}`)}\n}`);
    const found = await (await compiled(func))({});
    rows.forEach((data, i) => {
      expect(Array.from<number | bigint, number>(found[`y${i}`]!, Number)).toEqual(data);
    });
  });

  it('of i64 have their extremes among what is compared', async () => {
    const [least, greatest] = [-(2n ** 63n), 2n ** 63n - 1n];
    const func = parseFunc(`func @f(%x: i64[2,3]) {
      %0 = reduce(%x) {kind=min, axes=[1]}
      %1 = reduce(%x) {kind=max, axes=[1]}
      %2 = argreduce(%x) {kind=min, axis=1}
      return least = %0, greatest = %1, at = %2
    }`);
    const found = await (await compiled(func))({ x: BigInt64Array.of(greatest, 4n, greatest, least, 3n, least + 1n) });
    expect([...(found.least as BigInt64Array)]).toEqual([4n, least]);
    expect([...(found.greatest as BigInt64Array)]).toEqual([greatest, 3n]);
    expect([...found.at!]).toEqual([1, 0]);
  });
});
