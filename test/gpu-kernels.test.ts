// Kernels for GPUs run by the interpreter, against the reference: no GPU is needed, every access is checked, and a barrier
// that not every invocation reaches is an error.

import { describe, expect, it } from 'vitest';
import { gridOf } from '../src/codegen/wgsl/statements.ts';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import { add, fixed, type IndexExpr, modulo } from '../src/ir/index-expr.ts';
import { type Buffer, type Kernel, literal, load, type Stmt } from '../src/ir/kernel.ts';
import { interpretKernel } from '../src/ir/kernel-interpreter.ts';
import type { OpName } from '../src/ir/opattrs.ts';
import { opTable } from '../src/ir/ops/index.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { workgroups } from '../src/passes/gpu/grid.ts';
import { legalize } from '../src/passes/gpu/legalize.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';

const machine = gpuMachine(defaultGpu);
const names = (Object.keys(opTable) as OpName[]).filter((name) => opTable[name].lowering.class !== 'loop');
const kernelsOf = (text: string): readonly Kernel[] =>
  leavesOf(compileToProgram(parseFunc(text), { machine }).steps).map(({ kernel }) => kernel);

function expectAgreement(func: Func, domain?: readonly [number, number]): void {
  const inputs = sampleInputs(func, 23, domain);
  const expected = evaluateFunc(func, inputs);
  const program = compileToProgram(func, { machine });
  const found = interpretProgram(program, new Map(func.parameters.map((p, i) => [p.name, inputs[i]!.data])));
  func.results.forEach((result, i) => {
    expected[i]!.data.forEach((wanted, at) => {
      const value = found.get(result.name)![at]!;
      const near = Math.abs(value - wanted) <= 1e-9 * (1 + Math.abs(wanted));
      if (!near && !Object.is(value, wanted))
        expect.fail(`${func.name} ${result.name}[${at}]: ${wanted} expected, ${value} computed`);
    });
  });
}

/** Bytes, four to a word. */
function words(data: Float64Array): Float64Array {
  const bytes = new Uint8Array(Math.ceil(data.length / 4) * 4);
  bytes.set(Uint8Array.from(data, (value) => value & 0xff));
  return Float64Array.from(new Uint32Array(bytes.buffer));
}

/** How many statements of a kind stand in a kernel. */
function count(body: readonly Stmt[], kind: Stmt['kind']): number {
  return body.reduce((sum, stmt) => {
    const inner = stmt.kind === 'loop' ? stmt.body : stmt.kind === 'if' ? [...stmt.then, ...stmt.otherwise] : [];
    return sum + (stmt.kind === kind ? 1 : 0) + count(inner, kind);
  }, 0);
}

describe('kernels for GPUs, interpreted', () => {
  it.each(names)('%s', (name) => {
    for (const { text, domain } of opTable[name].examples) expectAgreement(parseFunc(text), domain);
  });

  it.each(['i8', 'u8', 'bool'])('%s in words, packed and not', (dtype) => {
    const element = dtype === 'bool' ? 'xor' : 'mul';
    const reduction = dtype === 'bool' ? 'or' : 'sum';
    const func = parseFunc(`func @f(%x: ${dtype}[7,5], %y: ${dtype}[7,5]) {
      %0 = ${element}(%x, %y)
      %1 = reduce(%0) {kind=${reduction}, axes=[1]}
      return z = %0, r = %1
    }`);
    const inputs = sampleInputs(func, 5);
    const program = compileToProgram(func, { machine });
    const expected = evaluateFunc(func, inputs);
    const memory = new Map<string, Float64Array>();
    for (const { kernel, args } of leavesOf(program.steps)) {
      const packed = new Set(
        kernel.parameters.flatMap(({ buffer }, i) => (args[i]!.storage === 'input' ? [buffer] : [])),
      );
      const legal = legalize(kernel, packed);
      const buffers = legal.parameters.map(({ buffer }, i) => {
        const { name, storage } = args[i]!;
        const given = inputs[func.parameters.findIndex((parameter) => parameter.name === name)];
        const held = storage === 'input' ? words(given!.data) : (memory.get(name) ?? new Float64Array(buffer.size));
        memory.set(name, held);
        return [buffer, held] as const;
      });
      interpretKernel(legal, new Map(buffers));
    }
    func.results.forEach(({ name }, i) => {
      expect([...memory.get(name)!]).toEqual([...expected[i]!.data]);
    });
  });

  it.each([
    ['sums of rows', 'reduce(%x) {kind=sum, axes=[1]}', '7,300'],
    ['sums of columns', 'reduce(%x) {kind=sum, axes=[0]}', '300,70'],
    ['sums of planes', 'reduce(%x) {kind=sum, axes=[0,2]}', '3,5,70'],
    ['a long maximum in two stages', 'reduce(%x) {kind=max, axes=[0,1]}', '97,101'],
    ['long sums of few columns', 'reduce(%x) {kind=sum, axes=[0]}', '9000,3'],
    ['positions in rows', 'argreduce(%x) {kind=max, axis=1}', '5,300'],
    ['a running sum of one row', 'cumulative(%x) {kind=sum, axis=0, reverse=false, exclusive=true}', '9'],
    ['a running sum of a long row', 'cumulative(%x) {kind=sum, axis=0, reverse=false, exclusive=false}', '1000'],
    [
      'a running maximum of chunks of a row',
      'cumulative(%x) {kind=max, axis=0, reverse=true, exclusive=false}',
      '9001',
    ],
    [
      'an exclusive running sum of columns',
      'cumulative(%x) {kind=sum, axis=0, reverse=true, exclusive=true}',
      '5000,2',
    ],
    ['positions in columns', 'argreduce(%x) {kind=min, axis=0}', '300,37'],
  ])('%s', (_what, operation, shape) => {
    expectAgreement(parseFunc(`func @f(%x: f32[${shape}]) {\n  %0 = ${operation}\n  return y = %0\n}`));
  });

  it.each([
    ['ragged tiles', '70,37', '37,75', '[[1],[0]], batch=[[],[]]'],
    ['both operands along the sum', '20,40', '33,40', '[[1],[1]], batch=[[],[]]'],
    ['both operands across the sum', '40,20', '40,33', '[[0],[0]], batch=[[],[]]'],
    ['batches', '3,20,36', '3,36,24', '[[2],[1]], batch=[[0],[0]]'],
    ['a long sum in parts', '10,2600', '2600,12', '[[1],[0]], batch=[[],[]]'],
    ['a vector', '300,70', '70,1', '[[1],[0]], batch=[[],[]]'],
  ])('products with %s', (_what, lhs, rhs, attrs) => {
    const text = `func @f(%x: f32[${lhs}], %y: f32[${rhs}]) {
      %0 = dot(%x, %y) {contract=${attrs}}
      %1 = neg(%0)
      return z = %1
    }`;
    expectAgreement(parseFunc(text), [-1, 1]);
  });

  it('a convolution with what follows it', () => {
    const text = `func @f(%x: f32[2,6,9,9], %w: f32[12,6,3,3], %b: f32[12]) {
      %1 = conv(%x, %w) {strides=[2,2], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1}
      %2 = broadcast(%b) {shape=[2,12,5,5], axes=[1]}
      %3 = add(%1, %2)
      %4 = tanh(%3)
      return y = %4
    }`;
    expectAgreement(parseFunc(text), [-1, 1]);
    expect(kernelsOf(text)).toHaveLength(1);
  });

  it.each([
    ['of as many taps in every phase', '2,8,5,4', '12,8,4,4', '[[2,2],[2,2]], lhsDilation=[2,2]', '2,12,10,8'],
    [
      'with fewer taps in some phases and an odd result',
      '1,6,5,4',
      '10,6,3,3',
      '[[1,1],[1,2]], lhsDilation=[2,2]',
      '1,10,9,8',
    ],
    ['of a thin result', '1,9,4,4', '3,9,4,4', '[[2,2],[2,2]], lhsDilation=[2,2]', '1,3,8,8'],
    ['with phases without taps', '1,40,3,3', '8,40,1,1', '[[0,1],[0,1]], lhsDilation=[2,2]', '1,8,6,6'],
  ])('a transposed convolution %s is one kernel with what follows it', (_what, image, kernel, attrs, result) => {
    const text = `func @f(%x: f32[${image}], %w: f32[${kernel}], %b: f32[${result.split(',')[1]}]) {
      %1 = conv(%x, %w) {strides=[1,1], padding=${attrs}, rhsDilation=[1,1], groups=1}
      %2 = broadcast(%b) {shape=[${result}], axes=[1]}
      %3 = add(%1, %2)
      %4 = relu(%3)
      return y = %4
    }`;
    expectAgreement(parseFunc(text), [-1, 1]);
    expect(kernelsOf(text)).toHaveLength(1);
  });

  const pooled = (
    image: string,
    kernel: string,
    shape: string,
    pool: string,
  ): string => `func @f(%x: f32[${image}], %w: f32[${kernel}], %b: f32[${shape.split(',')[1]}]) {
    %c = conv(%x, %w) {strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1}
    %d = broadcast(%b) {shape=[${shape}], axes=[1]}
    %e = add(%c, %d)
    %r = relu(%e)
    %p = reduceWindow(%r) {${pool}, dilation=[1,1]}
    %y = tanh(%p)
    return y = %y
  }`;

  it.each([
    [
      'windows of few taps',
      '2,2,7,8',
      '9,2,3,3',
      '2,9,7,8',
      'kind=max, window=[2,2], strides=[2,2], padding=[[0,0],[0,0]]',
    ],
    [
      'windows with gaps',
      '1,1,8,8',
      '4,1,3,3',
      '1,4,8,8',
      'kind=sum, window=[2,1], strides=[3,2], padding=[[0,0],[0,0]]',
    ],
    [
      'windows in tiles, of images with a row more',
      '2,8,11,12',
      '10,8,3,3',
      '2,10,11,12',
      'kind=max, window=[2,2], strides=[2,2], padding=[[0,0],[0,0]]',
    ],
    [
      'windows of half a tile',
      '1,8,8,9',
      '7,8,3,3',
      '1,7,8,9',
      'kind=sum, window=[4,2], strides=[4,2], padding=[[0,0],[0,0]]',
    ],
  ])('a pool in the kernel of its convolution: %s', (_what, image, kernel, shape, pool) => {
    const text = pooled(image, kernel, shape, pool);
    expectAgreement(parseFunc(text), [-1, 1]);
    expect(kernelsOf(text)).toHaveLength(1);
  });

  it.each([
    ['overlap', '1,9,6,6', 'kind=max, window=[3,3], strides=[2,2], padding=[[0,0],[0,0]]'],
    ['are padded', '1,9,6,6', 'kind=max, window=[2,2], strides=[2,2], padding=[[1,1],[1,1]]'],
  ])('a pool whose windows %s has a kernel of its own', (_what, shape, pool) => {
    const text = pooled('1,2,6,6', '9,2,3,3', shape, pool);
    expectAgreement(parseFunc(text), [-1, 1]);
    expect(kernelsOf(text)).toHaveLength(2);
  });

  it.each([
    ['along the sum', '1,70', '48,70', '[[1],[1]]'],
    ['across the sum', '2,70', '70,48', '[[1],[0]]'],
    ['few', '1,20', '48,20', '[[1],[1]]'],
  ])('gates that are read together are computed in one kernel: weights %s', (_what, state, weights, contract) => {
    const rows = state.split(',')[0];
    const gate = (i: number): string =>
      `slice(%a) {starts=[0,${12 * i}], limits=[${rows},${12 * i + 12}], strides=[1,1]}`;
    const text = `func @f(%h: f32[${state}], %w: f32[${weights}], %b: f32[48], %c: f32[${rows},12]) {
      %d = dot(%h, %w) {contract=${contract}, batch=[[],[]]}
      %s = broadcast(%b) {shape=[${rows},48], axes=[1]}
      %a = add(%d, %s)
      %0 = ${gate(0)}
      %1 = ${gate(1)}
      %2 = ${gate(2)}
      %3 = ${gate(3)}
      %i = sigmoid(%0)
      %f = sigmoid(%1)
      %g = tanh(%2)
      %o = sigmoid(%3)
      %k = mul(%f, %c)
      %n = mul(%i, %g)
      %cell = add(%k, %n)
      %t = tanh(%cell)
      %state = mul(%o, %t)
      return cell = %cell, state = %state
    }`;
    expectAgreement(parseFunc(text), [-1, 1]);
    expect(kernelsOf(text)).toHaveLength(1);
  });

  it.each([
    ['a thin product', '3,50', '50,20', 1],
    ['tiles', '40,50', '50,20', 1],
    ['tiles in parts', '10,2600', '2600,12', 2],
  ])('an update in another order of axes is in the kernel of %s', (_what, lhs, rhs, kernels) => {
    const [m, n] = [lhs.split(',')[0], rhs.split(',')[1]];
    const text = `func @f(%x: f32[${lhs}], %y: f32[${rhs}], %w: f32[${n},${m}]) {
      %g = dot(%x, %y) {contract=[[1],[0]], batch=[[],[]]}
      %t = transpose(%g) {permutation=[1,0]}
      %n = sub(%w, %t)
      return n = %n
    }`;
    expectAgreement(parseFunc(text), [-1, 1]);
    expect(kernelsOf(text)).toHaveLength(kernels);
  });

  it.each([
    ['means of a global pool', '1,60,3,5', '2,3', 15, '60', 1],
    ['sums of few rows', '2,60,4', '2', 1, '60', 2],
  ])('a thin product computes %s itself', (_what, shape, axes, count, inner, rows) => {
    const text = `func @f(%x: f32[${shape}], %w: f32[${inner},37], %b: f32[37]) {
      %s = reduce(%x) {kind=sum, axes=[${axes}]}
      %n = constant() {dtype=f32, shape=[${rows},${inner}], data=[${count}]}
      %m = div(%s, %n)
      %d = dot(%m, %w) {contract=[[1],[0]], batch=[[],[]]}
      %c = broadcast(%b) {shape=[${rows},37], axes=[1]}
      %y = add(%d, %c)
      return y = %y
    }`;
    expectAgreement(parseFunc(text), [-1, 1]);
    expect(kernelsOf(text)).toHaveLength(1);
  });

  it('softmax is one kernel with a workgroup for each row', () => {
    const text = `func @f(%x: f32[5,100]) {
      %m = reduce(%x) {kind=max, axes=[1]}
      %n = broadcast(%m) {shape=[5,100], axes=[0]}
      %c = sub(%x, %n)
      %e = exp(%c)
      %s = reduce(%e) {kind=sum, axes=[1]}
      %t = broadcast(%s) {shape=[5,100], axes=[0]}
      %y = div(%e, %t)
      return y = %y
    }`;
    expectAgreement(parseFunc(text));
    const kernels = kernelsOf(text);
    expect(kernels).toHaveLength(1);
    expect(count(kernels[0]!.body, 'barrier')).toBeGreaterThan(0);
  });

  it('a running result of one long row is the business of whole workgroups', () => {
    const text =
      'func @f(%x: f32[100000]) {\n%0 = cumulative(%x) {kind=sum, axis=0, reverse=false, exclusive=false}\nreturn y = %0\n}';
    const [totals, results] = kernelsOf(text).map((kernel) => gridOf(kernel));
    expect(totals!.group.extent * totals!.lane.extent).toBeGreaterThanOrEqual(100_000 / 64);
    expect(results!.group.extent * results!.lane.extent).toBeGreaterThanOrEqual(100_000 / 16);
  });

  it('many reductions of a row share what a workgroup has', () => {
    const count = 40;
    const lines = Array.from({ length: count }, (_, i) => [
      `%c${i} = constant() {dtype=f32, shape=[3,512], data=[${i + 0.5}]}`,
      `%p${i} = mul(%x, %c${i})`,
      `%s${i} = reduce(%p${i}) {kind=sum, axes=[1]}`,
      ...(i === 0 ? [] : [`%t${i} = add(%${i === 1 ? 's0' : `t${i - 1}`}, %s${i})`]),
    ]);
    const func = parseFunc(`func @f(%x: f32[3,512]) {\n${lines.flat().join('\n')}\nreturn y = %t${count - 1}\n}`);
    expectAgreement(func, [-1, 1]);
    const program = compileToProgram(func, { machine });
    expect(program.steps).toHaveLength(1);
    const { shared } = gridOf(leavesOf(program.steps)[0]!.kernel);
    expect(shared.length).toBeGreaterThan(10);
    expect(shared.reduce((sum, { size }) => sum + 4 * size, 0)).toBeLessThanOrEqual(defaultGpu.sharedBytes);
  });

  it.each([
    ['few keys', 2, 10, 48, 16, 16],
    ['a ragged tile of queries', 1, 13, 70, 24, 40],
    ['few queries, many keys', 1, 3, 1000, 40, 20],
    ['one query', 3, 1, 40, 8, 12],
    ['more keys than memory has room for', 2, 5, 1100, 12, 24],
    ['one query with as many keys', 2, 1, 1100, 8, 100],
  ])('attention of %s is one kernel', (_what, heads, queries, keys, depth, channels) => {
    const func =
      parseFunc(`func @f(%q: f32[${heads},${queries},${depth}], %k: f32[${heads},${keys},${depth}], %v: f32[${heads},${keys},${channels}], %b: f32[${queries},${keys}]) {
      %s = dot(%q, %k) {contract=[[2],[2]], batch=[[0],[0]]}
      %c = broadcast(%b) {shape=[${heads},${queries},${keys}], axes=[1,2]}
      %d = add(%s, %c)
      %m = reduce(%d) {kind=max, axes=[2]}
      %n = broadcast(%m) {shape=[${heads},${queries},${keys}], axes=[0,1]}
      %e = sub(%d, %n)
      %x = exp(%e)
      %t = reduce(%x) {kind=sum, axes=[2]}
      %u = broadcast(%t) {shape=[${heads},${queries},${keys}], axes=[0,1]}
      %w = div(%x, %u)
      %o = dot(%w, %v) {contract=[[2],[1]], batch=[[0],[0]]}
      %y = neg(%o)
      return y = %y
    }`);
    expectAgreement(func, [-1, 1]);
    expect(compileToProgram(func, { machine }).steps).toHaveLength(1);
  });

  it('attention in tiles of keys passes over tiles that a mask hides', () => {
    const func = parseFunc(`func @f(%q: f32[3,8], %k: f32[1100,8], %v: f32[1100,8], %first: i32[3]) {
      %s = dot(%q, %k) {contract=[[1],[1]], batch=[[],[]]}
      %a = iota() {dtype=i32, shape=[3,1100], axis=1}
      %b = broadcast(%first) {shape=[3,1100], axes=[0]}
      %c = lt(%a, %b)
      %h = constant() {dtype=f32, shape=[3,1100], data=[-inf]}
      %d = select(%c, %h, %s)
      %m = reduce(%d) {kind=max, axes=[1]}
      %n = broadcast(%m) {shape=[3,1100], axes=[0]}
      %e = sub(%d, %n)
      %x = exp(%e)
      %t = reduce(%x) {kind=sum, axes=[1]}
      %u = broadcast(%t) {shape=[3,1100], axes=[0]}
      %w = div(%x, %u)
      %o = dot(%w, %v) {contract=[[1],[0]], batch=[[],[]]}
      return y = %o
    }`);
    const inputs = sampleInputs(func, 5, [-1, 1]).map(({ type, data }) => ({
      type,
      data: type.dtype === 'i32' ? Float64Array.of(0, 300, 1090) : data,
    }));
    const program = compileToProgram(func, { machine });
    expect(program.steps).toHaveLength(1);
    const found = interpretProgram(program, new Map(func.parameters.map((p, i) => [p.name, inputs[i]!.data])));
    evaluateFunc(func, inputs)[0]!.data.forEach((wanted, at) => {
      expect(found.get('y')![at]).toBeCloseTo(wanted, 9);
    });
  });

  it('a scatter to many columns walks its indices; one to few lets every result look for its own', () => {
    const scatter = (
      rows: number,
      columns: number,
    ): string => `func @f(%x: f32[${rows},${columns}], %i: i32[9], %u: f32[9,${columns}]) {
      %0 = scatterAdd(%x, %i, %u) {axis=0, batch=0}
      return y = %0
    }`;
    expectAgreement(parseFunc(scatter(3, 5000)));
    expectAgreement(parseFunc(scatter(50, 3)));
    expect(count(kernelsOf(scatter(3, 5000)).at(-1)!.body, 'update')).toBe(1);
    expect(count(kernelsOf(scatter(50, 3)).at(-1)!.body, 'update')).toBe(0);
  });
});

describe('races of invocations', () => {
  const out: Buffer = { name: 'out', dtype: 'f32', size: 4, space: 'global' };
  const tile: Buffer = { name: 'tile', dtype: 'f32', size: 4, space: 'shared' };
  const value = literal('f32', 1);
  const run = (stmts: (lane: IndexExpr) => readonly Stmt[]): void => {
    const kernel: Kernel = {
      name: 'k',
      parameters: [{ buffer: out, access: 'readwrite' }],
      body: workgroups(2, 4, [{ kind: 'allocate', buffer: tile }], (_group, lane) => stmts(lane)),
      summary: '',
      iterations: [],
      sources: [],
      flops: 0,
      bytes: 0,
    };
    interpretKernel(kernel, new Map([[out, new Float64Array(4)]]));
  };

  it('are found in memory that a workgroup shares, between two barriers', () => {
    const put = (lane: IndexExpr): Stmt => ({ kind: 'store', buffer: tile, offset: lane, value });
    const other = (lane: IndexExpr): Stmt => ({
      kind: 'let',
      local: { name: 'other', dtype: 'f32', lanes: 1 },
      value: load(tile, modulo(add(lane, fixed(1)), 4)),
    });
    expect(() => run((lane) => [put(lane), other(lane)])).toThrow(/two tasks touch tile\[\d\]/);
    expect(() => run((lane) => [put(lane), { kind: 'barrier' }, other(lane)])).not.toThrow();
  });

  it('are found in global memory, which no barrier orders', () => {
    const put: Stmt = { kind: 'store', buffer: out, offset: fixed(0), value };
    expect(() => run(() => [put])).toThrow(/two tasks touch out\[0\]/);
    expect(() => run((lane) => [{ ...put, offset: lane }])).toThrow(/two tasks touch out/);
  });
});
