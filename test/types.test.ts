// Shapes in types: what the compiler knows of results, and what it refuses before anything runs. The claims of the first
// part are checked by the compiler, so the second part compiles this file too, with snippets that must fail at their line.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import type { DType } from '../src/ir/types.ts';
import {
  arange,
  concat,
  constant,
  conv,
  expandDims,
  func,
  gather,
  grad,
  input,
  logSumExp,
  maxPool,
  narrow,
  norm,
  oneHot,
  pad,
  slice,
  softmax,
  sort,
  split,
  squeeze,
  stack,
  type Tensor,
  takeAlong,
  topk,
  variable,
  vmap,
  where,
  zeros,
} from '../src/lang/index.ts';
import type { Plain, Shape } from '../src/lang/shape-types.ts';

/** A tensor's shape as the compiler knows it, without readonly; when run, what it really is. */
const shapeOf = <S extends Shape>(tensor: Tensor<S, DType>): Plain<S> => [...tensor.shape] as unknown as Plain<S>;

const size: number = 2;
const axis: number = 1;
const a = input('a', [2, 3]);
const b = input('b', [3, 4]);
const row = input('row', [3]);
const scalar = input('scalar', []);
const batch = input('batch', [5, 2, 3]);
const open = input('open', [size, 3]);
const anyRank = input('anyRank', [1, 3] as readonly number[]);
const index = input('index', [6, 2], 'i32');
const cube = input('cube', [2, 3, 4]);
const image = input('image', [8, 3, 28, 28]);

describe('the static shape is the shape', () => {
  it('of leaves', () => {
    expectTypeOf(shapeOf(a)).toEqualTypeOf<[2, 3]>();
    expectTypeOf(shapeOf(open)).toEqualTypeOf<[number, 3]>();
    expectTypeOf(shapeOf(variable('w', [4]))).toEqualTypeOf<[4]>();
    expectTypeOf(shapeOf(arange(9))).toEqualTypeOf<[9]>();
    expectTypeOf(shapeOf(constant([1, 2, 3, 4], { shape: [2, 2] }))).toEqualTypeOf<[2, 2]>();
    const rows = [1, 2, 3];
    expectTypeOf(shapeOf(constant(2))).toEqualTypeOf<[]>();
    expectTypeOf(shapeOf(constant([[1, 2, 3], [4, 5, 6]]))).toEqualTypeOf<[2, 3]>(); // biome-ignore format: rows
    expectTypeOf(shapeOf(constant(rows))).toEqualTypeOf<[number]>();
    expectTypeOf(shapeOf(constant(Float32Array.of(1, 2), { dtype: 'f64' }))).toEqualTypeOf<[number]>();
    expectTypeOf(constant([rows, rows]).shape).toEqualTypeOf<[2, number]>();
    expectTypeOf(a.dtype).toEqualTypeOf<'f32'>();
    expectTypeOf(index.dtype).toEqualTypeOf<'i32'>();
  });

  it('of functions along a new axis', () => {
    const scaled = vmap((x: Tensor<[3], 'f32'>, y: Tensor<[], 'f32'>) => ({ all: x.mul(y), sum: x.sum() }), {
      axes: [-1, null],
    });
    expectTypeOf(shapeOf(scaled(b, scalar).all)).toEqualTypeOf<[4, 3]>();
    expectTypeOf(shapeOf(scaled(b, scalar).sum)).toEqualTypeOf<[4]>();
    expectTypeOf(shapeOf(scaled(input('c', [3, size]), scalar).sum)).toEqualTypeOf<[number]>();
    const pairs = vmap((x: Tensor<[3], 'f32'>) => vmap((y: Tensor<[3], 'f32'>) => x.mul(y).sum())(a));
    expectTypeOf(shapeOf(pairs(a))).toEqualTypeOf<[2, 2]>();
    const slopes = vmap((x: Tensor<[3], 'f32'>) => grad(x.square().sum(), [x]))(a);
    expectTypeOf(shapeOf(slopes[0])).toEqualTypeOf<[2, 3]>();
    expect(shapeOf(scaled(b, scalar).all)).toEqual([4, 3]);
    expect(shapeOf(pairs(a))).toEqual([2, 2]);
  });

  it('of broadcasts', () => {
    expectTypeOf(shapeOf(a.add(1))).toEqualTypeOf<[2, 3]>();
    expectTypeOf(shapeOf(a.add(row))).toEqualTypeOf<[2, 3]>();
    expectTypeOf(shapeOf(row.sub(batch))).toEqualTypeOf<[5, 2, 3]>();
    expectTypeOf(shapeOf(scalar.mul(a))).toEqualTypeOf<[2, 3]>();
    expectTypeOf(shapeOf(input('c', [4, 1]).div(input('r', [1, 5])))).toEqualTypeOf<[4, 5]>();
    expectTypeOf(shapeOf(open.add(row))).toEqualTypeOf<[number, 3]>();
    expectTypeOf(shapeOf(open.add(a))).toEqualTypeOf<[2, 3]>();
    expectTypeOf(shapeOf(a.broadcastTo([7, 2, 3]))).toEqualTypeOf<[7, 2, 3]>();
    expectTypeOf(shapeOf(where(a.gt(0), row, 0))).toEqualTypeOf<[2, 3]>();
    expectTypeOf(shapeOf(where(row.gt(0), 0, batch))).toEqualTypeOf<[5, 2, 3]>();
    expectTypeOf(a.add(anyRank).shape).toEqualTypeOf<readonly number[]>();
    expect(shapeOf(where(a.gt(0), row, 0))).toEqual([2, 3]);
  });

  it('of comparisons and casts, whose dtype changes', () => {
    expectTypeOf(a.lt(row).dtype).toEqualTypeOf<'bool'>();
    expectTypeOf(a.isNaN().dtype).toEqualTypeOf<'bool'>();
    expectTypeOf(a.cast('i32').dtype).toEqualTypeOf<'i32'>();
    expectTypeOf(a.argmax(1).dtype).toEqualTypeOf<'i32'>();
    expectTypeOf(where(a.gt(0), 1, index.sum(0).sum()).dtype).toEqualTypeOf<'i32'>();
  });

  it('of matrix products', () => {
    expectTypeOf(shapeOf(a.matmul(b))).toEqualTypeOf<[2, 4]>();
    expectTypeOf(shapeOf(a.matmul(row))).toEqualTypeOf<[2]>();
    expectTypeOf(shapeOf(row.matmul(b))).toEqualTypeOf<[4]>();
    expectTypeOf(shapeOf(row.matmul(row))).toEqualTypeOf<[]>();
    expectTypeOf(shapeOf(batch.matmul(b))).toEqualTypeOf<[5, 2, 4]>();
    expectTypeOf(shapeOf(a.matmul(input('k', [6, 1, 3, 9])))).toEqualTypeOf<[6, 1, 2, 9]>();
    expectTypeOf(shapeOf(batch.matmul(input('k', [6, 1, 3, 9])))).toEqualTypeOf<[6, 5, 2, 9]>();
    expectTypeOf(shapeOf(row.matmul(input('k', [7, 3, 9])))).toEqualTypeOf<[7, 9]>();
    expectTypeOf(shapeOf(open.matmul(b))).toEqualTypeOf<[number, 4]>();
    expect(shapeOf(batch.matmul(input('k', [6, 1, 3, 9])))).toEqual([6, 5, 2, 9]);
  });

  it('of reductions, with and without the reduced axes', () => {
    expectTypeOf(shapeOf(a.sum())).toEqualTypeOf<[]>();
    expectTypeOf(shapeOf(a.sum(0))).toEqualTypeOf<[3]>();
    expectTypeOf(shapeOf(a.mean(-1))).toEqualTypeOf<[2]>();
    expectTypeOf(shapeOf(cube.max([0, 2]))).toEqualTypeOf<[3]>();
    expectTypeOf(shapeOf(cube.min([-1, -3]))).toEqualTypeOf<[3]>();
    expectTypeOf(shapeOf(cube.prod(1, { keepDims: true }))).toEqualTypeOf<[2, 1, 4]>();
    expectTypeOf(shapeOf(cube.variance([0, -1], { keepDims: true }))).toEqualTypeOf<[1, 3, 1]>();
    expectTypeOf(shapeOf(a.sum(undefined, { keepDims: true }))).toEqualTypeOf<[1, 1]>();
    expectTypeOf(shapeOf(a.sum(1, { keepDims: false }))).toEqualTypeOf<[2]>();
    expectTypeOf(a.sum(axis).shape).toEqualTypeOf<readonly number[]>();
    expectTypeOf(shapeOf(cube.argmax(-2))).toEqualTypeOf<[2, 4]>();
    expectTypeOf(shapeOf(logSumExp(a, 1))).toEqualTypeOf<[2]>();
    expectTypeOf(shapeOf(norm(a))).toEqualTypeOf<[]>();
    expectTypeOf(shapeOf(softmax(cube, 1))).toEqualTypeOf<[2, 3, 4]>();
    expect(shapeOf(cube.min([-1, -3]))).toEqual([3]);
    expect(shapeOf(cube.variance([0, -1], { keepDims: true }))).toEqual([1, 3, 1]);
  });

  it('of reshapes and transposes', () => {
    expectTypeOf(shapeOf(a.reshape([3, 2]))).toEqualTypeOf<[3, 2]>();
    expectTypeOf(shapeOf(a.reshape([-1, 2]))).toEqualTypeOf<[number, 2]>();
    expectTypeOf(shapeOf(image.reshape([8, 2352]))).toEqualTypeOf<[8, 2352]>();
    expectTypeOf(shapeOf(open.reshape([3, 2]))).toEqualTypeOf<[3, 2]>();
    expectTypeOf(shapeOf(scalar.reshape([1, 1]))).toEqualTypeOf<[1, 1]>();
    expectTypeOf(shapeOf(cube.flatten())).toEqualTypeOf<[24]>();
    expectTypeOf(shapeOf(image.flatten(1))).toEqualTypeOf<[8, 2352]>();
    expectTypeOf(shapeOf(image.flatten(-2))).toEqualTypeOf<[8, 3, 784]>();
    expectTypeOf(shapeOf(cube.transpose())).toEqualTypeOf<[4, 3, 2]>();
    expectTypeOf(shapeOf(a.T)).toEqualTypeOf<[3, 2]>();
    expectTypeOf(shapeOf(cube.transpose([1, 2, 0]))).toEqualTypeOf<[3, 4, 2]>();
    expectTypeOf(shapeOf(cube.transpose([0, -1, -2]))).toEqualTypeOf<[2, 4, 3]>();
    expect(shapeOf(cube.transpose([0, -1, -2]))).toEqual([2, 4, 3]);
    expect(shapeOf(image.flatten(-2))).toEqual([8, 3, 784]);
  });

  it('of added and dropped axes', () => {
    expectTypeOf(shapeOf(expandDims(a, 0))).toEqualTypeOf<[1, 2, 3]>();
    expectTypeOf(shapeOf(expandDims(a, -1))).toEqualTypeOf<[2, 3, 1]>();
    expectTypeOf(shapeOf(expandDims(a, -2))).toEqualTypeOf<[2, 1, 3]>();
    expectTypeOf(shapeOf(squeeze(input('s', [1, 2, 1])))).toEqualTypeOf<[2]>();
    expectTypeOf(shapeOf(squeeze(input('s', [1, 2, 1]), -1))).toEqualTypeOf<[1, 2]>();
    expectTypeOf(shapeOf(stack([a, a, a], 1))).toEqualTypeOf<[2, number, 3]>();
    expect(shapeOf(expandDims(a, -2))).toEqual([2, 1, 3]);
  });

  it('of joined and cut tensors', () => {
    expectTypeOf(shapeOf(concat([a, a], 0))).toEqualTypeOf<[4, 3]>();
    expectTypeOf(shapeOf(concat([a, input('w', [2, 5])], -1))).toEqualTypeOf<[2, 8]>();
    expectTypeOf(shapeOf(concat([row, row, row], 0))).toEqualTypeOf<[9]>();
    expectTypeOf(shapeOf(concat([open, a], 0))).toEqualTypeOf<[number, 3]>();
    expectTypeOf(shapeOf(concat([input('p', [784]), input('q', [512])], 0))).toEqualTypeOf<[1296]>();
    expectTypeOf(shapeOf(narrow(cube, 1, 0, 2))).toEqualTypeOf<[2, 2, 4]>();
    expectTypeOf(shapeOf(narrow(cube, -1, 1, 3))).toEqualTypeOf<[2, 3, 3]>();
    expectTypeOf(shapeOf(narrow(cube, 0, 0, size))).toEqualTypeOf<[number, 3, 4]>();
    expectTypeOf(shapeOf(slice(a, [0, 0], [1, 1]))).toEqualTypeOf<[number, number]>();
    expectTypeOf(shapeOf(pad(row, [[1, 1]]))).toEqualTypeOf<[number]>();
    expectTypeOf(shapeOf(split(cube, 2, 0)[0]!)).toEqualTypeOf<[number, 3, 4]>();
    expect(shapeOf(narrow(cube, -1, 1, 3))).toEqual([2, 3, 3]);
  });

  it('of what is indexed and sorted', () => {
    expectTypeOf(shapeOf(gather(cube, index))).toEqualTypeOf<[6, 2, 3, 4]>();
    expectTypeOf(shapeOf(gather(cube, index, 1))).toEqualTypeOf<[2, 6, 2, 4]>();
    expectTypeOf(shapeOf(gather(cube, arange(5), -1))).toEqualTypeOf<[2, 3, 5]>();
    expectTypeOf(shapeOf(takeAlong(a, zeros([2, 1], 'i32'), 1))).toEqualTypeOf<[2, 1]>();
    expectTypeOf(shapeOf(oneHot(index, 10))).toEqualTypeOf<[6, 2, 10]>();
    expectTypeOf(oneHot(index, 10, 'u8').dtype).toEqualTypeOf<'u8'>();
    expectTypeOf(shapeOf(topk(cube, 2).values)).toEqualTypeOf<[2, 3, 2]>();
    expectTypeOf(topk(cube, 2).indices.dtype).toEqualTypeOf<'i32'>();
    expectTypeOf(shapeOf(sort(cube).indices)).toEqualTypeOf<[2, 3, 4]>();
    expect(shapeOf(gather(cube, index, 1))).toEqual([2, 6, 2, 4]);
    expect(shapeOf(oneHot(index, 10))).toEqual([6, 2, 10]);
  });

  it('of convolutions and pooling', () => {
    const kernels = input('kernels', [16, 3, 5, 5]);
    expectTypeOf(shapeOf(conv(image, kernels))).toEqualTypeOf<[8, 16, 24, 24]>();
    expectTypeOf(shapeOf(conv(image, kernels, { padding: 'same' }))).toEqualTypeOf<[8, 16, 28, 28]>();
    expectTypeOf(shapeOf(conv(image, kernels, { strides: 2 }))).toEqualTypeOf<[8, 16, number, number]>();
    expectTypeOf(shapeOf(conv(image, input('d', [3, 1, 3, 3]), { groups: 3 }))).toEqualTypeOf<[8, 3, 26, 26]>();
    expectTypeOf(shapeOf(conv(input('t', [1, 2, 9]), input('u', [4, 2, 3])))).toEqualTypeOf<[1, 4, 7]>();
    expectTypeOf(shapeOf(maxPool(image, 2))).toEqualTypeOf<[8, 3, number, number]>();
    expect(shapeOf(conv(image, kernels))).toEqual([8, 16, 24, 24]);
  });

  it('of what is generic in a dimension', () => {
    const rowSums = <N extends number>(x: Tensor<[N, 3], 'f32'>) => x.square().sum(1, { keepDims: true });
    const product = <N extends number>(x: Tensor<[N, 3], 'f32'>) =>
      x
        .matmul(b)
        .add(input('bias', [4]))
        .relu();
    expectTypeOf(shapeOf(rowSums(a))).toEqualTypeOf<[2, 1]>();
    expectTypeOf(shapeOf(product(a))).toEqualTypeOf<[2, 4]>();
  });

  it('of annotated tensors, which need no readonly', () => {
    let sum: Tensor<[2, 3], 'f32'> = a;
    sum = sum.add(variable('v', [2, 3])).mul(2);
    sum = zeros([3]).broadcastTo([2, 3]);
    expectTypeOf(sum.shape).toEqualTypeOf<[2, 3]>();
    const any: Tensor = sum;
    expectTypeOf(any.shape).toEqualTypeOf<Shape>();
  });

  it('of gradients, which have the shape of what they are by', () => {
    const loss = a.matmul(b).sum();
    expectTypeOf(shapeOf(grad(loss, a))).toEqualTypeOf<[2, 3]>();
    expectTypeOf(shapeOf(grad(loss, [a, b])[1])).toEqualTypeOf<[3, 4]>();
  });

  it('and functions know the arrays of their inputs and outputs by name', () => {
    const { signature } = func({ inputs: [a, index], outputs: { total: a.sum(), rows: index.sum(0) } });
    type Signature = NonNullable<typeof signature>;
    expectTypeOf<Signature['inputs']['a']>().toEqualTypeOf<Float32Array>();
    expectTypeOf<Signature['inputs']['index']>().toEqualTypeOf<Int32Array>();
    expectTypeOf<Signature['outputs']['rows']>().toEqualTypeOf<Int32Array>();
    expectTypeOf<keyof Signature['outputs']>().toEqualTypeOf<'total' | 'rows'>();
  });
});

/** A line that must not compile, and what the compiler must say there. */
type Refusal = readonly [line: string, ...says: readonly string[]];

const refusals: readonly Refusal[] = [
  ['a.matmul(a)', 'cannot multiply [2,3] by [2,3]'],
  ['a.matmul(row5)', 'cannot multiply [2,3] by [5]'],
  ['row5.matmul(a)', 'cannot multiply [5] by [2,3]'],
  ['batch.matmul(other)', 'cannot multiply [5,2,3] by [4,3,2]'],
  ['a.add(b)', 'cannot broadcast [2,3] with [3,4]'],
  ['cube.mul(a)', 'cannot broadcast [2,3,4] with [2,3]'],
  ['a.lt(row5)', 'cannot broadcast [2,3] with [5]'],
  ['where(a.gt(0), row5, 0)', 'cannot broadcast [2,3] with [5]'],
  ['where(a.gt(0), 0, b)', 'cannot broadcast [2,3] with [3,4]'],
  ['a.broadcastTo([3, 3])', 'cannot stretch [2,3] to [3,3]'],
  ['a.broadcastTo([3])', 'cannot stretch [2,3] to [3]'],
  ['a.reshape([4, 2])', 'cannot reshape [2,3] of 6 elements to [4,2] of 8'],
  ['image.reshape([8, 2353])', 'cannot reshape [8,3,28,28] of 18816 elements to [8,2353] of 18824'],
  ['a.reshape([-2, -3])', 'cannot reshape [2,3] to [-2,-3]'],
  ['a.reshape([1.5, 4])', 'cannot reshape [2,3] to [1.5,4]', '1.5 is no dimension'],
  ['concat([a, b], 0)', 'cannot concatenate [2,3], [3,4] along axis 0'],
  ['concat([a, a, cube], 1)', 'cannot concatenate [2,3], [2,3], [2,3,4] along axis 1'],
  ['concat([a, a], 2)', 'axis 2 of [2,3] does not exist'],
  ['cube.transpose([0, 1])', 'the permutation [0,1] of [2,3,4] must name every axis once'],
  ['cube.transpose([0, 1, 3])', 'axis 3 of [2,3,4] does not exist'],
  ['cube.transpose([0, 1, 1])', 'the permutation [0,1,1] of [2,3,4] names an axis twice'],
  ['each(b.transpose([1, 0]), row4)', 'a slice [4] of [4,3] is not what the function takes'],
  ['each(b, row5)', '5 elements along axis 0 of [5], another argument has 4'],
  ['vmap((x) => x, { axes: [2] })(a)', 'axis 2 of [2,3] does not exist'],
  ['a.sum(2)', 'axis 2 of [2,3] does not exist'],
  ['a.mean(-3)', 'axis -3 of [2,3] does not exist'],
  ['cube.max([0, 3], { keepDims: true })', 'axis 3 of [2,3,4] does not exist'],
  ['a.argmax(2)', 'axis 2 of [2,3] does not exist'],
  ['norm(a, 2)', 'axis 2 of [2,3] does not exist'],
  ['narrow(a, 2, 0, 1)', 'axis 2 of [2,3] does not exist'],
  ['split(a, 2, 3)', 'axis 3 of [2,3] does not exist'],
  ['expandDims(a, 3)', 'axis 3 of [2,3,1] does not exist'],
  ['squeeze(a, 2)', 'axis 2 of [2,3] does not exist'],
  ['a.flatten(3)', 'axis 3 of [2,3,1] does not exist'],
  ['gather(a, index, 2)', 'axis 2 of [2,3] does not exist'],
  ['conv(image, input("k", [16, 4, 5, 5]))', 'images [8,3,28,28] have 3 channels, kernels [16,4,5,5] take 4'],
  ['constant([[1, 2], [3, 4]]).add(row)', 'cannot broadcast [2,2] with [3]'],
  ['scan(row, a, (h, xt) => [h.add(xt).sum(), null])', '[3] expected as at the beginning, [] given'],
  ['scan(row, { a, b }, (h) => [h, null])', 'scan: sequences of one length expected, their first axes differ'],
  ['a.add(index)', '"i32"', '"f32"'],
  ['a.matmul(b.cast("f64"))', '"f64"', '"f32"'],
  ['where(a, a, 0)', '"bool"'],
  ['where(a.gt(0), row, arange(3))', 'values of f32 and i32; cast one of them'],
  ['a.cast("f31")', '\'"f31"\''],
  ['func({ outputs: { total: 3 } })', "'number'"],
];

const accepted: readonly string[] = [
  'a.matmul(b).add(row4).relu().sum(1)',
  'open.matmul(b).reshape([4, size])',
  'anyRank.matmul(anyRank).sum(7).transpose([3, 1])',
  'image.reshape([64, 294]).reshape([-1])',
  'input("huge", [60000, 784]).reshape([47040000])',
  'input("empty", [0, 5]).reshape([0])',
  'concat([anyRank, a], 1)',
  'conv(open4, input("k", [16, 3, 5, 5]))',
  'where(a.gt(0), a, 0).maximum(row).minimum(2)',
];

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const snippetFile = join(root, 'test', 'snippets-in-memory.ts');
const preamble = [
  "import { arange, concat, constant, conv, expandDims, func, gather, input, narrow, norm, scan, split, squeeze, type Tensor, vmap, where } from '../src/lang/index.ts';",
  "const a = input('a', [2, 3]); const b = input('b', [3, 4]); const row = input('row', [3]); const row4 = input('row4', [4]);",
  "const row5 = input('row5', [5]); const batch = input('batch', [5, 2, 3]); const other = input('other', [4, 3, 2]);",
  "const cube = input('cube', [2, 3, 4]); const image = input('image', [8, 3, 28, 28]); const index = input('i', [6], 'i32');",
  "const size: number = 7; const open = input('open', [size, 3]); const open4 = input('open4', [size, 3, size, size]);",
  "const anyRank = input('anyRank', [1, 3] as readonly number[]);",
  'void [arange, concat, constant, conv, expandDims, func, gather, narrow, norm, scan, split, squeeze, where, anyRank, open4];',
  "const each = vmap((x: Tensor<[3], 'f32'>, y: Tensor<[], 'f32'>) => x.mul(y), { axes: [-1, 0] });",
  'void [a, b, row, row4, row5, batch, other, cube, image, index, size, open];',
];

/** An error at the first product alone: what is made of its result is of no known shape. */
const followed =
  'scan(row, cube, (h, x) => { const p = a.matmul(a); return [h.add(p.sum(0).reshape([3])).add(conv(image, p).sum()), x]; })';

/** Every diagnostic of a program of this file and of the snippets, each on a line of its own, by file and line. */
function diagnose(): { readonly own: string[]; readonly byLine: Map<number, string> } {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  const text = [...preamble, ...refusals.map(([line]) => line), ...accepted, followed]
    .map((line) => `${line}\n`)
    .join('');
  const host = ts.createCompilerHost({ ...options, incremental: false });
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (name, target, ...rest) =>
    name === snippetFile ? ts.createSourceFile(name, text, target) : getSourceFile(name, target, ...rest);
  host.fileExists = (name) => name === snippetFile || fileExists(name);
  host.readFile = (name) => (name === snippetFile ? text : readFile(name));
  const self = fileURLToPath(import.meta.url);
  const settings = { ...options, incremental: false, tsBuildInfoFile: undefined };
  const program = ts.createProgram([self, snippetFile], settings, host);
  const diagnosticsOf = (name: string) => {
    const file = program.getSourceFile(name)!;
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
  };
  const textOf = ({ messageText }: ts.Diagnostic): string => ts.flattenDiagnosticMessageText(messageText, '\n');
  const byLine = new Map<number, string>();
  for (const diagnostic of diagnosticsOf(snippetFile)) {
    const { line } = diagnostic.file!.getLineAndCharacterOfPosition(diagnostic.start!);
    byLine.set(line, `${byLine.get(line) ?? ''}${textOf(diagnostic)}\n`);
  }
  return { own: diagnosticsOf(self).map(textOf), byLine };
}

describe('the compiler', () => {
  let found: ReturnType<typeof diagnose>;
  beforeAll(() => {
    found = diagnose();
  });

  it.each(refusals.map(([line, ...says], at) => ({ line, says, at })))('refuses $line', ({ says, at }) => {
    const message = found.byLine.get(preamble.length + at) ?? 'no error';
    for (const part of says) expect(message).toContain(part);
  });

  it('says nothing against what follows from an error', () => {
    const line = preamble.length + refusals.length + accepted.length;
    expect(found.byLine.get(line)?.match(/shape error/g)).toHaveLength(1);
    expect(found.byLine.get(line)).toContain('cannot multiply [2,3] by [2,3]');
  });

  it.each(accepted.map((line, at) => ({ line, at })))('accepts $line', ({ at }) => {
    expect(found.byLine.get(preamble.length + refusals.length + at)).toBeUndefined();
  });

  it('says nothing against the preamble, nor against the claims of this file', () => {
    expect(preamble.map((_, line) => found.byLine.get(line)).filter((text) => text !== undefined)).toEqual([]);
    expect(found.own).toEqual([]);
  });
});
