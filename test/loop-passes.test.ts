// Graph passes on loops, in text form: what they remove, move and merge; and that no value changes by it.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func, Node } from '../src/ir/graph.ts';
import { opTable } from '../src/ir/ops/index.ts';
import type { OpTable } from '../src/ir/optable.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc, printFunc } from '../src/ir/text.ts';
import { verifyFunc } from '../src/ir/verify.ts';
import {
  type AnyTensor,
  arange,
  func,
  grad,
  hvp,
  input,
  scan,
  type Tensor,
  whileLoop,
  zeros,
} from '../src/lang/index.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu } from '../src/passes/gpu/schedule.ts';
import { optimize } from '../src/passes/graph-passes.ts';
import { hoistLoops } from '../src/passes/nested/hoist.ts';
import { knownLoops } from '../src/passes/nested/known.ts';
import { mergeScans } from '../src/passes/nested/merge.ts';
import { trimLoops } from '../src/passes/nested/trim.ts';
import { type Pass, runPasses } from '../src/passes/pass.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { expectClose } from './helpers/close.ts';
import { sampleInputs } from './helpers/samples.ts';

const normal = (text: string): string => printFunc(parseFunc(text));

function expectSameValues(before: Func, after: Func): void {
  verifyFunc(after);
  const inputs = sampleInputs(before, 3, [-1, 1]);
  const expected = evaluateFunc(before, inputs);
  evaluateFunc(after, inputs).forEach(({ data }, i) => {
    expectClose(data, expected[i]!.data, 1e-9);
  });
}

function expectPass(pass: Pass, before: string, after: string): void {
  const func = parseFunc(before);
  const result = runPasses(func, [pass], { verify: true });
  expect(printFunc(result)).toBe(normal(after));
  expectSameValues(func, result);
  expect(pass.run(result)).toBe(result);
}

const attrs = (consts: number, carries: number, length = 3): string =>
  `{body=@step, length=${length}, reverse=false, consts=${consts}, carries=${carries}, residuals=keep}`;

describe('trim-loops', () => {
  it('leaves a loop of which everything is used as it is', () => {
    const text = `
      func @step(%k: f32[], %s: f32[], %x: f32[]) { %0 = mul(%s, %k) %1 = add(%0, %x) return s = %1, y = %0 }
      func @f(%k: f32[], %s: f32[], %x: f32[3]) { %a, %b = scan(%k, %s, %x) ${attrs(1, 1)} return a = %a, b = %b }`;
    expect(printFunc(trimLoops.run(parseFunc(text)))).toBe(normal(text));
  });

  it('removes outputs, carries, constants and sequences that nothing reads', () => {
    expectPass(
      trimLoops,
      `func @step(%k: f32[], %j: f32[], %s: f32[], %t: f32[], %x: f32[], %z: f32[]) {
         %0 = mul(%s, %k) %1 = mul(%t, %j) %2 = add(%1, %z) return s = %0, t = %2, y = %2, w = %0 }
       func @f(%k: f32[], %j: f32[], %s: f32[], %t: f32[], %x: f32[3], %z: f32[3]) {
         %a, %b, %c, %d = scan(%k, %j, %s, %t, %x, %z) ${attrs(2, 2)} return d = %d }`,
      `func @step(%k: f32[], %s: f32[]) { %0 = mul(%s, %k) return result = %0, result_1 = %0 }
       func @f(%k: f32[], %j: f32[], %s: f32[], %t: f32[], %x: f32[3], %z: f32[3]) {
         %0, %1 = scan(%k, %s) ${attrs(1, 1)} return d = %1 }`,
    );
  });

  it('passes a carry that never changes as a constant, and a sequence of equal slices too', () => {
    expectPass(
      trimLoops,
      `func @step(%s: f32[2], %t: f32[2], %x: f32[2]) { %0 = mul(%s, %t) %1 = add(%0, %x) return s = %1, t = %t }
       func @f(%s: f32[2], %t: f32[2], %x: f32[2]) {
         %0 = broadcast(%x) {shape=[3,2], axes=[1]}
         %a, %b = scan(%s, %t, %0) ${attrs(0, 2)} return a = %a, b = %b }`,
      `func @step(%t: f32[2], %x: f32[2], %s: f32[2]) { %0 = mul(%s, %t) %1 = add(%0, %x) return result = %1 }
       func @f(%s: f32[2], %t: f32[2], %x: f32[2]) {
         %0 = broadcast(%x) {shape=[2], axes=[0]}
         %1 = scan(%t, %0, %s) ${attrs(2, 1)} return a = %1, b = %t }`,
    );
  });

  it('moves constants into the function, and passes once what is given twice', () => {
    expectPass(
      trimLoops,
      `func @step(%c: f32[], %k: f32[], %j: f32[], %s: f32[], %x: f32[], %y: f32[]) {
         %0 = mul(%k, %j) %1 = mul(%x, %y) %2 = add(%0, %1) %3 = add(%2, %c) %4 = add(%s, %3) return s = %4 }
       func @f(%k: f32[], %s: f32[], %x: f32[3]) {
         %0 = constant() {dtype=f32, shape=[], data=[2]}
         %a = scan(%0, %k, %k, %s, %x, %x) ${attrs(3, 1)} return a = %a }`,
      `func @step(%k: f32[], %s: f32[], %x: f32[]) {
         %0 = mul(%k, %k) %1 = mul(%x, %x) %2 = add(%0, %1) %3 = constant() {dtype=f32, shape=[], data=[2]}
         %4 = add(%2, %3) %5 = add(%s, %4) return result = %5 }
       func @f(%k: f32[], %s: f32[], %x: f32[3]) { %0 = scan(%k, %s, %x) ${attrs(1, 1)} return a = %0 }`,
    );
  });

  it('gives outputs that are known without the loop from outside of it', () => {
    expectPass(
      trimLoops,
      `func @step(%k: f32[], %s: f32[], %x: f32[]) {
         %0 = add(%s, %x) %1 = constant() {dtype=f32, shape=[2], data=[7]} return s = %0, a = %x, b = %k, c = %1, d = %0, e = %0 }
       func @f(%k: f32[], %s: f32[], %x: f32[3]) {
         %s1, %a, %b, %c, %d, %e = scan(%k, %s, %x) ${attrs(1, 1)} return a = %a, b = %b, c = %c, d = %d, e = %e }`,
      `func @step(%s: f32[], %x: f32[]) { %0 = add(%s, %x) return result = %0, result_1 = %0 }
       func @f(%k: f32[], %s: f32[], %x: f32[3]) {
         %0 = broadcast(%k) {shape=[3], axes=[]}
         %1 = constant() {dtype=f32, shape=[3,2], data=[7]}
         %2, %3 = scan(%s, %x) ${attrs(0, 1)}
         return a = %x, b = %0, c = %1, d = %3, e = %3 }`,
    );
  });

  it('trims a loop within another when the outer one needs less of it', () => {
    const before = parseFunc(`
      func @inner(%s: f32[], %t: f32[], %x: f32[]) { %0 = add(%s, %x) %1 = exp(%t) return s = %0, t = %1 }
      func @step(%s: f32[], %t: f32[], %x: f32[2]) {
        %0, %1 = scan(%s, %t, %x) {body=@inner, length=2, reverse=false, consts=0, carries=2, residuals=keep}
        return s = %0, t = %1 }
      func @f(%s: f32[], %t: f32[], %x: f32[3,2]) { %a, %b = scan(%s, %t, %x) ${attrs(0, 2)} return a = %a }`);
    const after = runPasses(before, [trimLoops, trimLoops], { verify: true });
    expect(printFunc(after)).not.toContain('exp(');
    expectSameValues(before, after);
  });

  it('trims a while, but nothing that its condition needs', () => {
    const loop = (consts: number): string => `{condition=@below, body=@step, consts=${consts}, limit=5}`;
    expectPass(
      trimLoops,
      `func @below(%k: f32[], %n: f32[], %s: f32[], %d: f32[], %c: f32[]) { %0 = lt(%n, %k) return below = %0 }
       func @step(%k: f32[], %n: f32[], %s: f32[], %d: f32[], %c: f32[]) {
         %0 = exp(%k) %1 = abs(%0) %2 = add(%n, %1) %3 = mul(%s, %c) %4 = exp(%d) return n = %2, s = %3, d = %4, c = %c }
       func @f(%k: f32[], %n: f32[], %s: f32[], %d: f32[], %c: f32[]) {
         %n1, %s1, %d1, %c1 = while(%k, %n, %s, %d, %c) ${loop(1)} return s = %s1, c = %c1 }`,
      `func @below(%k: f32[], %c: f32[], %n: f32[], %s: f32[]) { %0 = lt(%n, %k) return result = %0 }
       func @step(%k: f32[], %c: f32[], %n: f32[], %s: f32[]) {
         %0 = exp(%k) %1 = abs(%0) %2 = add(%n, %1) %3 = mul(%s, %c) return result = %2, result_1 = %3 }
       func @f(%k: f32[], %n: f32[], %s: f32[], %d: f32[], %c: f32[]) {
         %0, %1 = while(%k, %c, %n, %s) ${loop(2)} return s = %1, c = %c }`,
    );
  });

  it('trims a cond: results that nothing reads or both give alike, arguments that neither reads', () => {
    expectPass(
      trimLoops,
      `func @one(%x: f32[], %y: f32[], %z: f32[]) { %0 = exp(%x) return a = %0, b = %y, c = %z }
       func @two(%x: f32[], %y: f32[], %z: f32[]) { %0 = sin(%x) return a = %0, b = %y, c = %x }
       func @f(%p: bool[], %x: f32[], %y: f32[], %z: f32[]) {
         %a, %b, %c = cond(%p, %x, %y, %z) {then=@one, otherwise=@two, residuals=keep} return a = %a, b = %b }`,
      `func @one(%x: f32[]) { %0 = exp(%x) return result = %0 }
       func @two(%x: f32[]) { %0 = sin(%x) return result = %0 }
       func @f(%p: bool[], %x: f32[], %y: f32[], %z: f32[]) {
         %0 = cond(%p, %x) {then=@one, otherwise=@two, residuals=keep} return a = %0, b = %y }`,
    );
  });
});

describe('known-loops', () => {
  const step = 'func @step(%s: f32[2], %x: f32[2]) { %0 = mul(%s, %x) return s = %0, y = %s }';
  const main = (length: number): string =>
    `func @f(%s: f32[2], %x: f32[${length},2]) { %a, %b = scan(%s, %x) ${attrs(0, 1, length)} return a = %a, b = %b }`;

  it('a scan of no steps is its first carries', () => {
    expectPass(
      knownLoops,
      step + main(0),
      'func @f(%s: f32[2], %x: f32[0,2]) { %0 = constant() {dtype=f32, shape=[0,2], data=[0]} return a = %s, b = %0 }',
    );
  });

  it('a scan of one step is that step', () => {
    expectPass(
      knownLoops,
      step + main(1),
      `func @f(%s: f32[2], %x: f32[1,2]) {
         %0 = reshape(%x) {shape=[2]} %1 = mul(%s, %0) %2 = reshape(%s) {shape=[1,2]} return a = %1, b = %2 }`,
    );
  });

  const branches =
    'func @one(%x: f32[]) { %0 = exp(%x) return a = %0 } func @two(%x: f32[]) { %0 = sin(%x) return a = %0 }';

  it('a cond of a constant is the function that it chooses', () => {
    expectPass(
      knownLoops,
      `${branches} func @f(%x: f32[]) {
         %0 = constant() {dtype=bool, shape=[], data=[0]} %a = cond(%0, %x) {then=@one, otherwise=@two, residuals=keep} return a = %a }`,
      'func @f(%x: f32[]) { %0 = sin(%x) return a = %0 }',
    );
  });

  it('a cond of a negation chooses the other way', () => {
    expectPass(
      knownLoops,
      `${branches} func @f(%p: bool[], %x: f32[]) { %0 = not(%p) %a = cond(%0, %x) {then=@one, otherwise=@two, residuals=keep} return a = %a }`,
      `func @two(%x: f32[]) { %0 = sin(%x) return a = %0 } func @one(%x: f32[]) { %0 = exp(%x) return a = %0 }
       func @f(%p: bool[], %x: f32[]) { %0 = cond(%p, %x) {then=@two, otherwise=@one, residuals=keep} return a = %0 }`,
    );
  });

  it('a while whose condition is false takes no step', () => {
    expectPass(
      knownLoops,
      `func @never(%x: f32[]) { %0 = constant() {dtype=bool, shape=[], data=[0]} return c = %0 }
       func @step(%x: f32[]) { %0 = exp(%x) return x = %0 }
       func @f(%x: f32[]) { %y = while(%x) {condition=@never, body=@step, consts=0, limit=null} return y = %y }`,
      'func @f(%x: f32[]) { return y = %x }',
    );
  });
});

describe('merge-scans', () => {
  it('makes one of two that walk the same sequence, with one carry for carries that stay equal', () => {
    expectPass(
      mergeScans,
      `func @one(%k: f32[], %s: f32[], %x: f32[]) { %0 = mul(%s, %k) %1 = add(%0, %x) return s = %1 }
       func @two(%k: f32[], %s: f32[], %t: f32[], %x: f32[]) {
         %0 = mul(%s, %k) %1 = add(%0, %x) %2 = mul(%t, %s) return s = %1, t = %2, y = %1 }
       func @f(%k: f32[], %s: f32[], %t: f32[], %x: f32[3]) {
         %a = scan(%k, %s, %x) ${attrs(1, 1).replace('step', 'one')}
         %b, %c, %d = scan(%k, %s, %t, %x) ${attrs(1, 2).replace('step', 'two')}
         %0 = add(%a, %b)
         return a = %0, c = %c, d = %d }`,
      `func @one(%k: f32[], %s: f32[], %t: f32[], %x: f32[]) {
         %0 = mul(%s, %k) %1 = add(%0, %x) %2 = mul(%t, %s) %3 = mul(%s, %k) %4 = add(%3, %x)
         return result = %1, result_1 = %2, result_2 = %4 }
       func @f(%k: f32[], %s: f32[], %t: f32[], %x: f32[3]) {
         %0, %1, %2 = scan(%k, %s, %t, %x) ${attrs(1, 2).replace('step', 'one')}
         %3 = add(%0, %0)
         return a = %3, c = %1, d = %2 }`,
    );
  });

  it('keeps apart what reads the other, walks the other way, or shares nothing', () => {
    const two = (second: string, way = 'false'): string => `
      func @step(%s: f32[], %x: f32[]) { %0 = add(%s, %x) return s = %0, y = %0 }
      func @f(%s: f32[], %t: f32[], %x: f32[3], %z: f32[3]) {
        %a, %b = scan(%s, %x) ${attrs(0, 1)}
        %c, %d = scan(${second}) ${attrs(0, 1).replace('false', way)}
        return a = %a, b = %b, c = %c, d = %d }`;
    for (const text of [two('%a, %x'), two('%t, %x', 'true'), two('%t, %z')]) {
      const func = parseFunc(text);
      expect(mergeScans.run(func)).toBe(func);
    }
  });
});

describe('hoist-loops', () => {
  const dot = (a: string, b: string, contract = '[[1],[0]]'): string =>
    `dot(${a}, ${b}) {contract=${contract}, batch=[[],[]]}`;

  it('makes one product of those of all slices, and computes once what constants alone decide', () => {
    expectPass(
      hoistLoops,
      `func @step(%w: f32[3,4], %k: f32[4], %h: f32[2,4], %x: f32[2,3]) {
         %0 = neg(%x) %1 = ${dot('%0', '%w')} %2 = exp(%k) %3 = broadcast(%2) {shape=[2,4], axes=[1]}
         %4 = mul(%h, %3) %5 = add(%4, %1) return h = %5 }
       func @f(%w: f32[3,4], %k: f32[4], %h: f32[2,4], %x: f32[5,2,3]) {
         %r = scan(%w, %k, %h, %x) ${attrs(2, 1, 5)} return r = %r }`,
      `func @step(%captured: f32[4], %w: f32[3,4], %k: f32[4], %h: f32[2,4], %x: f32[2,3], %captured_1: f32[2,4]) {
         %0 = broadcast(%captured) {shape=[2,4], axes=[1]} %1 = mul(%h, %0) %2 = add(%1, %captured_1) return h = %2 }
       func @f(%w: f32[3,4], %k: f32[4], %h: f32[2,4], %x: f32[5,2,3]) {
         %0 = exp(%k) %1 = neg(%x) %2 = ${dot('%1', '%w', '[[2],[0]]')}
         %3 = scan(%0, %w, %k, %h, %x, %2) ${attrs(3, 1, 5)} return r = %3 }`,
    );
  });

  it('contracts steps and batch at once where products of every step are summed up, with what their operands give besides', () => {
    expectPass(
      hoistLoops,
      `func @step(%h: f32[2,4], %w: f32[3,4], %bias: f32[4], %x: f32[2,3], %d: f32[2,4]) {
         %0 = mul(%h, %d) %1 = ${dot('%x', '%0', '[[0],[0]]')} %2 = add(%w, %1)
         %3 = reduce(%0) {kind=sum, axes=[0]} %4 = add(%bias, %3) return h = %0, w = %2, bias = %4 }
       func @f(%h: f32[2,4], %w: f32[3,4], %bias: f32[4], %x: f32[5,2,3], %d: f32[5,2,4]) {
         %a, %b, %c = scan(%h, %w, %bias, %x, %d) ${attrs(0, 3, 5)} return a = %a, b = %b, c = %c }`,
      `func @step(%h: f32[2,4], %x: f32[2,3], %d: f32[2,4]) { %0 = mul(%h, %d) return result = %0, result_1 = %0 }
       func @f(%h: f32[2,4], %w: f32[3,4], %bias: f32[4], %x: f32[5,2,3], %d: f32[5,2,4]) {
         %0, %1 = scan(%h, %x, %d) ${attrs(0, 1, 5)}
         %2 = ${dot('%x', '%1', '[[0,1],[0,1]]')} %3 = add(%w, %2)
         %4 = reduce(%1) {kind=sum, axes=[0,1]} %5 = add(%bias, %4) return a = %0, b = %3, c = %5 }`,
    );
  });

  it('computes an output that is a product for all steps behind the loop, with what follows it', () => {
    expectPass(
      hoistLoops,
      `func @step(%v: f32[4,9], %h: f32[2,4], %x: f32[2,4]) {
         %0 = mul(%h, %x) %1 = ${dot('%0', '%v')} %2 = exp(%1) return h = %0, y = %2 }
       func @f(%v: f32[4,9], %h: f32[2,4], %x: f32[5,2,4]) {
         %a, %b = scan(%v, %h, %x) ${attrs(1, 1, 5)} return a = %a, b = %b }`,
      `func @step(%v: f32[4,9], %h: f32[2,4], %x: f32[2,4]) { %0 = mul(%h, %x) return result = %0, result_1 = %0 }
       func @f(%v: f32[4,9], %h: f32[2,4], %x: f32[5,2,4]) {
         %0, %1 = scan(%v, %h, %x) ${attrs(1, 1, 5)} %2 = ${dot('%1', '%v', '[[2],[0]]')} %3 = exp(%2)
         return a = %0, b = %3 }`,
    );
  });

  it('leaves in the loop what a carry waits for, and what would need a weight of its own in every step', () => {
    const text = `func @step(%u: f32[4,4], %w: f32[16], %h: f32[4,4], %x: f32[4,4]) {
         %0 = ${dot('%h', '%u')} %1 = add(%0, %x) %2 = mul(%1, %1) %3 = reshape(%2) {shape=[16]} %4 = add(%w, %3)
         return w = %4, h = %1 }
       func @f(%u: f32[4,4], %w: f32[16], %h: f32[4,4], %x: f32[5,4,4]) {
         %a, %b = scan(%u, %w, %h, %x) ${attrs(1, 2, 5)} return a = %a, b = %b }`;
    expect(printFunc(hoistLoops.run(parseFunc(text)))).toBe(normal(text));
  });

  it('stacks nothing of a scan that recomputes to save memory', () => {
    const text = `func @step(%w: f32[3,4], %h: f32[2,4], %x: f32[2,3]) { %0 = ${dot('%x', '%w')} %1 = add(%h, %0) return h = %1 }
       func @f(%w: f32[3,4], %h: f32[2,4], %x: f32[5,2,3]) { %r = scan(%w, %h, %x) ${attrs(1, 1, 5).replace('keep', 'recompute')} return r = %r }`;
    expect(printFunc(hoistLoops.run(parseFunc(text)))).toBe(normal(text));
  });

  it('computes what a while needs in every step ahead of it', () => {
    expectPass(
      hoistLoops,
      `func @below(%k: f32[], %x: f32[]) { %0 = exp(%k) %1 = lt(%x, %0) return go = %1 }
       func @step(%k: f32[], %x: f32[]) { %0 = sin(%k) %1 = abs(%0) %2 = constant() {dtype=f32, shape=[], data=[1]}
         %3 = add(%1, %2) %4 = add(%x, %3) return x = %4 }
       func @f(%k: f32[], %x: f32[]) { %y = while(%k, %x) {condition=@below, body=@step, consts=1, limit=9} return y = %y }`,
      `func @below(%ahead_0: f32[], %ahead_1: f32[], %k: f32[], %x: f32[]) { %0 = lt(%x, %ahead_0) return go = %0 }
       func @step(%ahead_0: f32[], %ahead_1: f32[], %k: f32[], %x: f32[]) {
         %0 = abs(%ahead_1) %1 = constant() {dtype=f32, shape=[], data=[1]} %2 = add(%0, %1) %3 = add(%x, %2) return x = %3 }
       func @f(%k: f32[], %x: f32[]) { %0 = exp(%k) %1 = sin(%k)
         %2 = while(%0, %1, %k, %x) {condition=@below, body=@step, consts=3, limit=9} return y = %2 }`,
    );
  });
});

describe('a recurrence with its gradient', () => {
  const x = input('x', [6, 2, 3]);
  const h = input('h', [2, 4]);
  const w = input('w', [3, 4]);
  const u = input('u', [4, 4]);
  const [last, all] = scan(h, x, (s, xt) => {
    const next = xt.matmul(w).add(s.matmul(u)).tanh();
    return [next, next];
  });
  const loss = all.square().sum().add(last.sum()) as AnyTensor;
  const scans = (of: Func): Node<'scan'>[] => of.nodes.filter(({ op }) => op === 'scan') as Node<'scan'>[];
  const model = (outputs: Record<string, AnyTensor>): Func => func({ inputs: [x, h, w, u], outputs }).func;

  it('is two scans, one in each direction, and the forward one keeps what is an output anyway', () => {
    const [g, gu] = grad(loss, [w, u] as AnyTensor[]) as AnyTensor[];
    const before = model({ loss, g: g!, gu: gu! });
    const after = optimize(before, { verify: true });
    expectSameValues(before, after);
    expect(scans(after).map(({ attrs: { reverse } }) => reverse)).toEqual([false, true]);
    // The carry before each step, which u's gradient reads, and the carry after it: nothing else is stacked.
    expect(scans(after)[0]!.results.length).toBe(3);
    // Each step has the one product that the next one waits for; x W and both gradients are one for all steps.
    const products = (of: Func): number => of.nodes.filter(({ op }) => op === 'dot').length;
    expect(scans(after).map(({ attrs: { body } }) => products(body))).toEqual([1, 1]);
    expect(products(after)).toBe(3);
  });

  it('keeps its values with second derivatives', () => {
    const before = model({ g: hvp(loss, u, u.cos()) as AnyTensor });
    const after = optimize(before, { verify: true });
    expectSameValues(before, after);
    expect(scans(after).length).toBeLessThan(scans(before).length);
  });
});

it('a bounded while whose gradient is taken runs its steps once forward', () => {
  const x = input('x', [2]);
  const y = whileLoop(
    x,
    (s) => s.sum().lt(100),
    // The exponential is next to nothing, and counted.
    (s) => s.mul(x).add(s.mul(-50).exp()),
    { limit: 50 },
  );
  const loss = y.sum() as AnyTensor;
  const before = func({ inputs: [x], outputs: { loss, g: grad(loss, x) as AnyTensor } }).func;
  const after = optimize(before, { verify: true });
  let runs = 0;
  const counting: OpTable = {
    ...opTable,
    exp: {
      ...opTable.exp,
      evaluate: (...given) => {
        runs++;
        return opTable.exp.evaluate(...given);
      },
    },
  };
  const [found, gradient] = evaluateFunc(
    after,
    [{ type: { dtype: 'f32', shape: [2] }, data: Float64Array.of(2, 3) }],
    counting,
  );
  expectClose(found!.data, [275], 1e-9);
  expectClose(gradient!.data, [5 * 2 ** 4, 5 * 3 ** 4], 1e-9);
  // Four steps are taken, and computed again in the gradient of their branch.
  expect(runs).toBe(8);
});

it('examples of every loop keep their values', () => {
  for (const name of ['scan', 'while', 'cond'] as const)
    for (const { text } of opTable[name].examples) {
      const before = parseFunc(text);
      expectSameValues(before, optimize(before, { verify: true }));
    }
});

it('loops inside each other take time by their number, not by the ways through them', () => {
  const x = input('x', [2]);
  type Pair = Tensor<[2], 'f32'>;
  const nested = (depth: number, first: Pair): Pair =>
    depth === 0
      ? first.neg()
      : scan({ value: first, steps: zeros([]) }, arange(3), ({ value, steps }) => [
          { value: nested(depth - 1, value), steps: steps.add(1) },
          null,
        ])[0].value;
  const after = optimize(func({ inputs: [x], outputs: { y: nested(24, x) } }).func);
  expect(printFunc(after).match(/= scan\(/g)).toHaveLength(24);
});

it('what a loop gives under another shape is written where the result lies', () => {
  const [x, weights] = [input('x', [5, 2, 3]), input('w', [3, 3])];
  const [last, all] = scan(zeros([2, 3]), x, (h, slice) => {
    const next = h.matmul(weights).add(slice).tanh();
    return [next, next.mul(2)];
  });
  const shaped = { last: last.reshape([1, 2, 3]), all: all.reshape([5, 1, 2, 3]) };
  for (const machine of [undefined, gpuMachine(defaultGpu)]) {
    const options = machine === undefined ? {} : { machine };
    const [plain, reshaped] = [{ last, all }, shaped].map((outputs) =>
      compileToProgram(func({ inputs: [x, weights], outputs }).func, options),
    );
    expect(leavesOf(reshaped!.steps).length).toBe(leavesOf(plain!.steps).length);
    expect(reshaped!.arenaBytes).toBe(plain!.arenaBytes);
  }
});
