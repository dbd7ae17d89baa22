// Contractions at sizes that reach every branch of the schedule (ragged tiles, several blocks of k and of rows, swapped
// operands, outer columns, thin ones as reductions), in C against the reference.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { walkStmts } from '../src/passes/expr-rewrite.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { arrayFrom, type TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { sampleInputs } from './helpers/samples.ts';

async function expectClose(text: string, threads: number): Promise<void> {
  const func = parseFunc(text);
  const inputs = sampleInputs(func, 5, [-1, 1]);
  const expected = evaluateFunc(func, inputs);
  const run = await compile<Record<string, TypedArray>, Record<string, TypedArray>>(
    { func, variables: [] },
    { target: 'c', threads },
  );
  const results = run(
    Object.fromEntries(func.parameters.map(({ name, value }, i) => [name, arrayFrom(value.type, inputs[i]!.data)])),
  );
  func.results.forEach(({ name }, i) => {
    const largest = expected[i]!.data.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    expected[i]!.data.forEach((wanted, at) => {
      const found = Number(results[name]![at]);
      if (!(Math.abs(found - wanted) <= largest * 2 ** -18))
        expect.fail(`${name}[${at}]: ${wanted} expected, ${found} computed`);
    });
  });
}

const dot = (
  x: string,
  y: string,
  contract: string,
  batch = '[[],[]]',
  dtype = 'f32',
): string => `func @f(%x: ${dtype}[${x}], %y: ${dtype}[${y}]) {
  %0 = dot(%x, %y) {contract=${contract}, batch=${batch}}
  return z = %0
}`;
const conv = (x: string, w: string, attrs: string): string => `func @f(%x: f32[${x}], %w: f32[${w}]) {
  %0 = conv(%x, %w) {${attrs}}
  %2 = tanh(%0)
  return y = %2
}`;
const plain2d = 'strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1';

const cases: (readonly [string, string])[] = [
  ['square', dot('64,64', '64,64', '[[1],[0]]')],
  ['ragged everywhere', dot('37,53', '53,71', '[[1],[0]]')],
  ['several blocks of k', dot('24,700', '700,40', '[[1],[0]]')],
  ['several blocks of rows', dot('1100,20', '20,33', '[[1],[0]]')],
  ['shared columns, ragged everywhere', dot('101,43', '43,77', '[[1],[0]]')],
  ['shared columns in several strips', dot('61,24', '24,1100', '[[1],[0]]')],
  ['shared columns in several blocks of k', dot('53,700', '700,40', '[[1],[0]]')],
  ['shared columns of a few slices', dot('2,50,40', '2,40,50', '[[2],[1]]', '[[0],[0]]')],
  ['rows side by side in ragged tiles', dot('40,500', '40,60', '[[0],[0]]')],
  ['both operands transposed', dot('45,30', '50,45', '[[0],[1]]')],
  ['few columns, swapped', dot('96,40', '40,5', '[[1],[0]]')],
  ['one row', dot('1,300', '300,200', '[[1],[0]]')],
  ['one row, streamed by two tasks', dot('1,303', '303,1000', '[[1],[0]]')],
  ['three rows, streamed', dot('3,302', '302,70', '[[1],[0]]')],
  ['few rows of several batches, streamed', dot('2,2,130', '2,130,75', '[[2],[1]]', '[[0],[0]]')],
  ['one row of i32, streamed', dot('1,130', '130,75', '[[1],[0]]', '[[],[]]', 'i32')],
  ['one column', dot('300,200', '200,1', '[[1],[0]]')],
  ['a vector on the left', dot('300', '300,70', '[[0],[0]]')],
  ['batched', dot('3,40,30', '3,30,50', '[[2],[1]]', '[[0],[0]]')],
  ['two contracted axes', dot('20,6,8', '6,30,8', '[[1,2],[0,2]]')],
  ['f64', dot('40,50', '50,60', '[[1],[0]]', '[[],[]]', 'f64')],
  ['i32', dot('40,50', '50,60', '[[1],[0]]', '[[],[]]', 'i32')],
  ['convolution', conv('2,3,14,14', '8,3,3,3', plain2d)],
  ['convolution of one small image', conv('1,16,7,7', '20,16,3,3', plain2d)],
  [
    'strided',
    conv(
      '2,4,15,13',
      '6,4,3,3',
      'strides=[2,2], padding=[[0,1],[1,0]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1',
    ),
  ],
  [
    'dilated',
    conv(
      '2,4,15,13',
      '6,4,3,3',
      'strides=[1,1], padding=[[0,1],[1,0]], lhsDilation=[1,1], rhsDilation=[2,3], groups=1',
    ),
  ],
  [
    'transposed',
    conv('2,6,7,6', '8,6,3,3', 'strides=[1,1], padding=[[2,2],[2,2]], lhsDilation=[2,2], rhsDilation=[1,1], groups=1'),
  ],
  [
    'grouped',
    conv(
      '2,8,12,12',
      '12,4,3,3',
      'strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=2',
    ),
  ],
  [
    'depthwise',
    conv(
      '2,16,12,12',
      '16,1,3,3',
      'strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=16',
    ),
  ],
  ['direct: features in whole panels, pixels ragged', conv('2,8,9,9', '32,8,3,3', plain2d)],
  ['direct: features ragged, one result row-major', conv('1,5,10,10', '50,5,3,3', plain2d)],
  [
    'direct: no padding, read where it lies',
    conv('2,12,7,7', '24,12,1,1', plain2d.replaceAll('[1,1],[1,1]', '[0,0],[0,0]')),
  ],
  [
    'direct: two layers with channels last between them, strided',
    `func @f(%x: f32[2,3,15,15], %w: f32[16,3,3,3], %v: f32[24,16,3,3], %b: f32[24]) {
      %0 = conv(%x, %w) {strides=[2,2], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1}
      %1 = relu(%0)
      %2 = conv(%1, %v) {${plain2d}}
      %3 = broadcast(%b) {shape=[2,24,8,8], axes=[1]}
      %4 = add(%2, %3)
      %5 = transpose(%4) {permutation=[0,2,3,1]}
      %6 = exp(%5)
      %7 = reduce(%2) {kind=max, axes=[2,3]}
      %8 = reshape(%4) {shape=[2,1536]}
      %9 = neg(%8)
      return y = %6, z = %7, f = %9
    }`,
  ],
  [
    'direct: weights in several blocks',
    `func @f(%x: f32[1,700,4,4], %w: f32[40,700,3,3]) {\n%0 = conv(%x, %w) {${plain2d}}\nreturn y = %0\n}`,
  ],
  [
    'direct: gradients of both operands',
    `func @f(%x: f32[3,16,9,9], %w: f32[32,16,3,3], %c: f32[3,32,9,9]) {
      %0 = transpose(%x) {permutation=[1,0,2,3]}
      %1 = transpose(%c) {permutation=[1,0,2,3]}
      %2 = conv(%0, %1) {${plain2d}}
      %3 = transpose(%2) {permutation=[1,0,2,3]}
      %4 = transpose(%w) {permutation=[1,0,2,3]}
      %5 = reverse(%4) {axes=[2,3]}
      %6 = conv(%c, %5) {${plain2d}}
      return w = %3, x = %6
    }`,
  ],
  [
    'direct: grouped, dilated, in three dimensions',
    conv(
      '1,8,6,6,5',
      '32,4,2,2,2',
      'strides=[1,1,2], padding=[[1,1],[0,1],[0,0]], lhsDilation=[1,1,1], rhsDilation=[2,1,1], groups=2',
    ),
  ],
];

for (const [what, channels, attrs] of [
  ['strided', 24, 'strides=[2,2], padding=[[1,1],[0,1]], lhsDilation=[1,1]'],
  ['of a spread image', 16, 'strides=[1,1], padding=[[1,2],[2,1]], lhsDilation=[2,2]'],
  ['with few channels', 20, 'strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1]'],
  ['with channels that fill no vector', 18, 'strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1]'],
] as const) {
  cases.push([
    `depthwise ${what}, after another layer`,
    `func @f(%x: f32[2,${channels},11,13], %w: f32[${channels},1,3,3], %v: f32[${channels},1,3,3]) {
      %0 = conv(%x, %w) {${plain2d.replace('groups=1', `groups=${channels}`)}}
      %1 = exp(%0)
      %2 = conv(%1, %v) {${attrs}, rhsDilation=[1,1], groups=${channels}}
      return y = %2
    }`,
  ]);
}

describe('few rows times a matrix that changes', () => {
  it('are one kernel that reads the matrix where it lies, whatever its width', () => {
    for (const width of [1000, 1024, 4096]) {
      const { steps } = compileToProgram(parseFunc(dot('1,300', `300,${width}`, '[[1],[0]]')));
      expect(leavesOf(steps).map(({ kernel }) => kernel.name)).toEqual(['dot']);
    }
  });
});

describe('taps of few channels', () => {
  // gcc's time grows with the square of what is written out.
  it.each([
    ['3 × 3', 3, ['unroll', 'unroll']],
    ['4 × 4', 4, ['serial', 'unroll']],
    ['5 × 5', 5, ['serial', 'serial']],
  ] as const)('%s of one channel are written out while they are few', (_name, taps, kinds) => {
    const func = parseFunc(`func @f(%x: f32[8,1,32,32], %w: f32[32,1,${taps},${taps}]) {
      %0 = conv(%x, %w) {strides=[2,2], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1}
      return y = %0
    }`);
    const kernel = leavesOf(compileToProgram(func).steps).at(-1)!.kernel;
    const found: string[] = [];
    walkStmts(kernel.body, (stmt) => {
      if (stmt.kind === 'loop' && stmt.axis.name.startsWith('tap')) found.push(stmt.axisKind);
    });
    expect(found).toEqual(kinds);
  });
});

describe('contractions in C', () => {
  it.each(cases)('%s', async (_name, text) => {
    await expectClose(text, 1);
    await expectClose(text, 2);
  });
});
