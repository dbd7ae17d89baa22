// Loops as one kernel on a device: which are, in which form, what the kernel is, and that it gives what the reference and a
// sequence of dispatches give.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { printWgsl } from '../src/codegen/wgsl/program.ts';
import { func, input, nn, scan, variable, whileLoop, zeros } from '../src/index.ts';
import { printKernelText } from '../src/ir/kernel-text.ts';
import type { Program } from '../src/ir/program.ts';
import { isLoop, leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { walkStmts } from '../src/passes/expr-rewrite.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu, type GpuTarget, softwareGpu } from '../src/passes/gpu/schedule.ts';
import type { LoopCosts } from '../src/passes/gpu/schedule-loops.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import { openDevice, type WebGpuDevice } from '../src/runtime/webgpu/device.ts';
import { webModule } from '../src/runtime/webgpu/module.ts';
import { nodeGpu } from '../src/runtime/webgpu/node-gpu.ts';
import { arraysOf, type Case, casesOf, expectReference, together } from './helpers/differential.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { memoryCell } from './helpers/loop-texts.ts';
import { sampleInputs } from './helpers/samples.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

type Arrays = Record<string, TypedArray>;

const device = await testDevice();

/** Dispatches that cost nothing, or so much that whatever fits is one kernel. */
const withCosts = (target: GpuTarget, costs: Partial<LoopCosts>): GpuTarget => ({
  ...target,
  loops: { ...target.loops, ...costs },
});
const apart = withCosts(defaultGpu, { dispatch: 0 });
const workgroups = withCosts(defaultGpu, { dispatch: 1e9, invocationBytes: 0 });
const invocations = withCosts({ ...softwareGpu }, { dispatch: 1e9 });

const programOf = (target: GpuTarget, ...functions: readonly string[]): Program =>
  compileToProgram(parseFunc(functions.join('\n')), { machine: gpuMachine(target) });
const isApart = ({ steps }: Program): boolean => steps.some(isLoop);
const loopKernel = ({ steps }: Program) => {
  const loops = leavesOf(steps).flatMap(({ kernel }) => (/^(scan|while)$/.test(kernel.name) ? [kernel] : []));
  expect(loops).toHaveLength(1);
  return loops[0]!;
};

const caseOf = (...functions: readonly string[]): Case => {
  const made = parseFunc(functions.join('\n'));
  return { func: made, inputs: sampleInputs(made, 31, [-0.2, 0.2]) };
};

const scanOf = (operands: string, attrs: string): string => `scan(${operands}) {${attrs}, residuals=keep}`;

/** Rows of a batch through a matrix, with a softmax over each row. */
const rowsOf = (batch: number, hidden: number, length: number): string[] => [
  `func @step(%w: f32[${hidden},${hidden}], %h: f32[${batch},${hidden}], %x: f32[${batch},${hidden}]) {
  %0 = dot(%h, %w) {contract=[[1],[0]], batch=[[],[]]}
  %1 = add(%0, %x)
  %2 = exp(%1)
  %3 = reduce(%2) {kind=sum, axes=[1]}
  %4 = broadcast(%3) {shape=[${batch},${hidden}], axes=[0]}
  %5 = div(%2, %4)
  return h = %5, y = %3
}`,
  `func @f(%w: f32[${hidden},${hidden}], %h: f32[${batch},${hidden}], %x: f32[${length},${batch},${hidden}]) {
  %h1, %ys = ${scanOf('%w, %h, %x', `body=@step, length=${length}, reverse=true, consts=1, carries=1`)}
  return h = %h1, ys = %ys
}`,
];

/** The mean over the batch is in every row: rows depend on one another. */
const mixing = [
  `func @step(%h: f32[6,5], %x: f32[6,5]) {
  %0 = reduce(%h) {kind=sum, axes=[0]}
  %1 = broadcast(%0) {shape=[6,5], axes=[1]}
  %2 = sub(%x, %1)
  %3 = tanh(%2)
  return h = %3, y = %3
}`,
  `func @f(%h: f32[6,5], %x: f32[4,6,5]) {
  %h1, %ys = ${scanOf('%h, %x', 'body=@step, length=4, reverse=false, consts=0, carries=1')}
  return h = %h1, ys = %ys
}`,
];

/** Newton's iteration until it stays, with a limit. */
const newton = [
  'func @moves(%a: f32[], %x: f32[], %before: f32[]) { %0 = sub(%x, %before)\n %1 = abs(%0)\n %2 = constant() {dtype=f32, shape=[], data=[0.000001]}\n %3 = gt(%1, %2)\n return go = %3 }',
  'func @next(%a: f32[], %x: f32[], %before: f32[]) { %0 = div(%a, %x)\n %1 = add(%x, %0)\n %2 = constant() {dtype=f32, shape=[], data=[0.5]}\n %3 = mul(%1, %2)\n return x = %3, before = %x }',
  `func @f(%a: f32[]) {
  %c = constant() {dtype=f32, shape=[], data=[2]}
  %b = mul(%a, %a)
  %p = add(%b, %c)
  %z = sub(%p, %p)
  %x, %before = while(%p, %p, %z) {condition=@moves, body=@next, consts=1, limit=50}
  return root = %x
}`,
];

/** A choice in each step, and inner steps whose number depends on what is carried. */
const choosing = [
  'func @twice(%x: f32[3,4]) { %0 = add(%x, %x)\n return x = %0 }',
  'func @sine(%x: f32[3,4]) { %0 = sin(%x)\n return x = %0 }',
  'func @few(%n: i32[], %k: i32[], %x: f32[3,4]) { %0 = lt(%k, %n)\n return go = %0 }',
  `func @one(%n: i32[], %k: i32[], %x: f32[3,4]) {
  %0 = constant() {dtype=i32, shape=[], data=[1]}
  %1 = add(%k, %0)
  %2 = cos(%x)
  return k = %1, x = %2
}`,
  `func @step(%n: i32[], %x: f32[3,4], %y: f32[3,4]) {
  %0 = constant() {dtype=i32, shape=[], data=[2]}
  %1 = rem(%n, %0)
  %2 = constant() {dtype=i32, shape=[], data=[0]}
  %3 = eq(%1, %2)
  %4 = cond(%3, %x) {then=@twice, otherwise=@sine, residuals=keep}
  %k, %5 = while(%n, %2, %4) {condition=@few, body=@one, consts=1, limit=9}
  %6 = constant() {dtype=i32, shape=[], data=[1]}
  %7 = add(%n, %6)
  %8 = mul(%5, %y)
  return n = %7, x = %8, seen = %4
}`,
  `func @f(%x: f32[3,4], %ys: f32[5,3,4]) {
  %0 = constant() {dtype=i32, shape=[], data=[0]}
  %n, %last, %seen = ${scanOf('%0, %x, %ys', 'body=@step, length=5, reverse=false, consts=0, carries=2')}
  return n = %n, last = %last, seen = %seen
}`,
];

/** Operations with loops of their own, long sums of few results, and rows that are concatenated. */
const sorting = [
  `func @step(%t: f32[40,5], %x: f32[40,5]) {
  %0 = concat(%x, %t) {axis=1}
  %1, %2 = sort(%0) {axis=1, descending=false}
  %3 = slice(%1) {starts=[0,2], limits=[40,7], strides=[1,1]}
  %4 = cumulative(%3) {kind=sum, axis=1, reverse=false, exclusive=false}
  %5 = tanh(%4)
  return t = %5, order = %2
}`,
  `func @f(%t: f32[40,5], %x: f32[3,40,5]) {
  %t1, %order = ${scanOf('%t, %x', 'body=@step, length=3, reverse=false, consts=0, carries=1')}
  return t = %t1, order = %order
}`,
];
const longSums = [
  `func @step(%s: f32[], %x: f32[300]) {
  %0 = broadcast(%s) {shape=[300], axes=[]}
  %1 = mul(%x, %0)
  %2 = sub(%x, %1)
  %3 = reduce(%2) {kind=sum, axes=[0]}
  return s = %3, best = %3
}`,
  `func @f(%s: f32[], %x: f32[4,300]) {
  %s1, %best = ${scanOf('%s, %x', 'body=@step, length=4, reverse=false, consts=0, carries=1')}
  return s = %s1, best = %best
}`,
];

/** An inner scan, whose results go on under other shapes. */
const nesting = [
  'func @inner(%a: f32[4,3], %b: f32[4,3]) { %0 = sin(%a)\n %1 = add(%0, %b)\n return a = %1, seen = %0 }',
  `func @step(%h: f32[12], %x: f32[2,4,3]) {
  %0 = reshape(%h) {shape=[4,3]}
  %e = exp(%h)
  %a, %seen = ${scanOf('%0, %x', 'body=@inner, length=2, reverse=false, consts=0, carries=1')}
  %1 = reshape(%a) {shape=[12]}
  %2 = add(%1, %e)
  %3 = reduce(%2) {kind=sum, axes=[0]}
  %4 = broadcast(%3) {shape=[12], axes=[]}
  %5 = div(%2, %4)
  %6 = reshape(%seen) {shape=[24]}
  return h = %5, seen = %6, last = %1
}`,
  `func @f(%h: f32[12], %x: f32[3,2,4,3]) {
  %h1, %seen, %last = ${scanOf('%h, %x', 'body=@step, length=3, reverse=false, consts=0, carries=1')}
  return h = %h1, seen = %seen, last = %last
}`,
];

/** A row reads its neighbour where there is one: no rows, though every index looks like that of a row. */
const shifting = [
  `func @step(%h: f32[4,3]) {
  %0 = slice(%h) {starts=[1,0], limits=[4,3], strides=[1,1]}
  %1 = pad(%0) {low=[0,0], high=[1,0], interior=[0,0], value=0.25}
  %2 = sin(%1)
  return h = %2
}`,
  `func @f(%h: f32[4,3]) {
  %0 = ${scanOf('%h', 'body=@step, length=3, reverse=false, consts=0, carries=1')}
  return h = %0
}`,
];

const cases: readonly Case[] = [
  ...casesOf(['scan', 'while', 'cond']),
  ...[
    memoryCell(16, 3, 5),
    rowsOf(4, 6, 7),
    rowsOf(5, 40, 3),
    mixing,
    newton,
    choosing,
    sorting,
    longSums,
    nesting,
    shifting,
  ].map((texts) => caseOf(...texts)),
];
const all = together(cases);
const interpreted = ({ func: made, inputs }: Case, target: GpuTarget): Arrays => {
  const memory = new Map(made.parameters.map(({ name }, i) => [name, Float64Array.from(inputs[i]!.data)]));
  const program = compileToProgram(made, { machine: gpuMachine(target) });
  return Object.fromEntries(interpretProgram(program, memory)) as unknown as Arrays;
};

describe('loops in one kernel', () => {
  it.each([
    ['by workgroups', workgroups],
    ['by a workgroup for each row', withCosts(workgroups, { operation: 400 })],
    ['by invocations', invocations],
    ['none', apart],
  ])('give what the reference gives, %s', (_name, target) => expectReference(all, interpreted(all, target)));

  it('are loops with barriers over memory of the workgroup, a workgroup for each row', () => {
    const kernel = loopKernel(programOf(workgroups, ...rowsOf(4, 40, 7)));
    expect(
      printKernelText(kernel),
    ).toBe(`kernel scan(read h: f32[160], read w: f32[1600], read x: f32[1120], write ys: f32[28], write h1: f32[160]) {
  workgroup group < 4 {
    shared h1_1: f32[40]
    shared exp: f32[40]
    shared reduce: f32[1]
    invocation lane < 64 {
      part first {
        if lt(lane, 40) {
          i1 = lane
          h1_1[int(i1)] = h[40*group + int(i1)]
        }
      }
      serial step < 7 {
        barrier
        part dot, add, exp {
          if lt(lane, 40) {
            n0 = lane
            var sum = 0
            serial k0 < 40 {
              sum sum= mul(h1_1[k0], w[40*k0 + int(n0)])
            }
            v0 = add(sum, x[-160*step + 40*group + int(n0) + 960])
            v1 = exp(v0)
            exp[int(n0)] = v1
          }
        }
        barrier
        part reduce, reshape {
          if lt(lane, 1) {
            var sum = 0
            serial r0 < 40 {
              sum sum= exp[r0]
            }
            reduce[0] = sum
            v0 = sum
            ys[-4*step + group + 24] = v0
          }
        }
        barrier
        part div {
          if lt(lane, 40) {
            i1 = lane
            v0 = div(exp[int(i1)], reduce[0])
            h1_1[int(i1)] = v0
          }
        }
      }
      barrier
      part last {
        if lt(lane, 40) {
          i1 = lane
          h1[40*group + int(i1)] = h1_1[int(i1)]
        }
      }
    }
  }
}`);
  });

  it('of few numbers are loops of an invocation for each row, without barriers', () => {
    const texts = [
      'func @step(%s: f32[100], %x: f32[100]) { %0 = mul(%s, %x)\n %1 = tanh(%0)\n return s = %1, y = %0 }',
      `func @f(%s: f32[100], %x: f32[9,100]) {\n %0, %1 = ${scanOf('%s, %x', 'body=@step, length=9, reverse=false, consts=0, carries=1')}\n return s = %0, y = %1 }`,
    ];
    for (const target of [defaultGpu, softwareGpu]) {
      const { body } = loopKernel(programOf(target, ...texts));
      const kinds = new Set<string>();
      walkStmts(body, ({ kind }) => kinds.add(kind));
      expect(kinds).not.toContain('barrier');
    }
    expect(printKernelText(loopKernel(programOf(defaultGpu, ...texts)))).toContain('stack carry: f32[1]');
  });

  it('read what decides about steps together', () => {
    const text = printKernelText(loopKernel(programOf(workgroups, ...newton)));
    expect(text).toMatch(/serial round < 50 \{\n +barrier\n[\s\S]+holds = uniform gt\[0\]\n +while holds\n/);
  });

  it('keep rows apart only where no row reads another', () => {
    const groups = (texts: readonly string[]): number => {
      const [outer] = loopKernel(programOf(workgroups, ...texts)).body;
      return outer?.kind === 'loop' ? outer.axis.extent : 0;
    };
    expect(groups(rowsOf(4, 40, 7))).toBe(4);
    expect(groups(sorting)).toBe(40);
    expect(groups(mixing)).toBe(1);
    expect(groups(shifting)).toBe(1);
  });

  it('share memory among what is not needed at the same time', () => {
    const chain = (count: number): string =>
      Array.from(
        { length: count },
        (_, i) => `%r${i} = reduce(%d${i}) {kind=sum, axes=[0]}
  %b${i} = broadcast(%r${i}) {shape=[1000], axes=[]}
  %d${i + 1} = sub(%d${i}, %b${i})`,
      ).join('\n  ');
    const texts = [
      `func @step(%d0: f32[1000]) {\n  ${chain(6)}\n  return d = %d6\n}`,
      `func @f(%d: f32[1000]) {\n  %0 = ${scanOf('%d', 'body=@step, length=50, reverse=false, consts=0, carries=1')}\n  return d = %0\n}`,
    ];
    expect(isApart(programOf(workgroups, ...texts))).toBe(false);
  });
});

describe('which loops are one kernel', () => {
  const cell = (hidden: number, batch: number, target: GpuTarget): boolean =>
    !isApart(programOf(target, ...memoryCell(hidden, batch, 50)));

  it('small recurrences on cards; not those whose weights one processor reads slower than all of them', () => {
    expect([16, 32, 64].map((hidden) => cell(hidden, 16, defaultGpu))).toEqual([true, true, true]);
    expect([128, 256, 512].map((hidden) => cell(hidden, 16, defaultGpu))).toEqual([false, false, false]);
  });

  it('smaller ones on processors, where an invocation does all of a row', () => {
    expect([6, 32, 64].map((hidden) => cell(hidden, 8, softwareGpu))).toEqual([true, false, false]);
  });

  it('none whose state does not fit the memory of a workgroup', () => {
    const wide = rowsOf(2, 2500, 4);
    const free = withCosts(workgroups, { operation: 0, bytes: 1e9 });
    expect(isApart(programOf(free, ...wide))).toBe(true);
    expect(isApart(programOf({ ...free, loopBytes: 32_768 }, ...wide))).toBe(false);
  });

  it('none without a bound, and none that would take long enough for a system to call the device dead', () => {
    const endless = newton.map((text) => text.replace('limit=50', 'limit=null'));
    expect(isApart(programOf(workgroups, ...endless))).toBe(true);
    const long = newton.map((text) => text.replace('limit=50', 'limit=100000000'));
    expect(isApart(programOf(workgroups, ...long))).toBe(true);
  });
});

/** The training step of a recurrent network over sequences of different lengths: loops in both directions. */
function trainingStep() {
  nn.setSeed(3);
  const x = input('x', [7, 5, 3]);
  const lengths = input('lengths', [5], 'i32');
  const y = input('y', [5, 1]);
  const network = nn.rnn(3, 6);
  const answer = nn.dense(6, 1);
  const { last } = network.unroll(x, { lengths });
  const loss = answer(last.h).sub(y).square().mean();
  const variables = [...network.variables, ...answer.variables];
  return func({
    name: 'step',
    inputs: [x, lengths, y],
    outputs: { loss },
    updates: nn.sgd(loss, variables, { lr: 0.1 }),
  });
}

/** Elementwise steps, so that no sum has an order: every form gives the same bits. */
function ordered() {
  const x = input('x', [30, 8, 4]);
  const w = variable('w', [4]);
  const [last, seen] = scan(zeros([8, 4]), x, (h, xt) => {
    const next = h.mul(w).add(xt).mul(0.5);
    return [next, next];
  });
  const [count] = whileLoop(
    [last.mul(0).sum(), last.sum().mul(0)],
    ([k]) => k.lt(5),
    ([k, s]) => [k.add(1), s],
    { limit: 20 },
  );
  return func({ name: 'ordered', inputs: [x], outputs: { last, seen, count } });
}

describe.skipIf(typeof device === 'string')(titleOf('loops in one kernel on a device', device), () => {
  const card = device as WebGpuDevice;
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-loop-kernels-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(['card', 'software'] as const)('give what the reference gives, call after call, on a %s', async (kernels) => {
    const own = kernels === 'card' ? card : await openDevice(await nodeGpu(), { kernels });
    const run = await compileForWebGpu<Arrays, Arrays>({ func: all.func, variables: [] }, { device: own });
    const calls = await Promise.all([run(arraysOf(all)), run(arraysOf(all))]);
    for (const results of calls) expectReference(all, results);
    run.destroy();
  });

  it('give the bits of a sequence of dispatches where sums have no order', async () => {
    const x = Float32Array.from({ length: 960 }, (_, i) => Math.sin(i));
    const results = [];
    for (const fusion of [true, false]) {
      const run = await compileForWebGpu(ordered(), { device: card, fusion });
      expect(run.program.steps.some(isLoop)).toBe(!fusion);
      results.push(await run({ x }));
    }
    expect(results[0]).toEqual(results[1]);
  });

  it('train: a step that was some hundred dispatches is a few', async () => {
    const inputs = {
      x: Float32Array.from({ length: 105 }, (_, i) => Math.cos(i)),
      lengths: Int32Array.from([7, 3, 1, 4, 7]),
      y: Float32Array.from([1, 0, -1, 0.5, 0.2]),
    };
    const run = await compileForWebGpu(trainingStep(), { device: card });
    expect(run.program.steps.some(isLoop)).toBe(false);
    expect(run.program.steps.length).toBeLessThan(20);
    const reference = await compile(trainingStep(), { target: 'js' });
    for (let i = 0; i < 3; i++) expect((await run(inputs)).loss[0]).toBeCloseTo(reference(inputs).loss[0]!, 4);
  });

  it('are one dispatch of a module for a page', async () => {
    const given = together([caseOf(...memoryCell(16, 3, 5)), caseOf(...newton)]);
    const { code, weights, programs } = await webModule('loops', { run: { func: given.func, variables: [] } });
    expect(programs.run!.steps.some(isLoop)).toBe(false);
    writeFileSync(join(folder, 'loops.mjs'), code);
    const { load } = await import(join(folder, 'loops.mjs'));
    const { run } = await load(card.device, { weights });
    expectReference(given, await run(arraysOf(given)));
  });

  it('name the user’s line at each of their parts', () => {
    const machine = gpuMachine(workgroups);
    const { modules } = printWgsl(compileToProgram(ordered().func, { machine }), () => ({
      block: 'states',
      offset: 0,
      bytes: 16,
    }));
    const kernel = modules.find(({ name }) => name === 'scan')!;
    expect(kernel.code).toMatch(/workgroupBarrier\(\);\n {4}\/\/ mul, add, mul.* — loop-kernels\.test\.ts:\d+/);
  });
});
