// The passes that are not tables of rules: common subexpressions, folding, inlining, dead code; the verifier that watches
// them; and the memory plan's promises about states.

import { describe, expect, it } from 'vitest';
import { type Func, makeFunc, type Node, parameter, Value } from '../src/ir/graph.ts';
import { builder } from '../src/ir/ops/index.ts';
import { parseFunc, printFunc } from '../src/ir/text.ts';
import { tensorType } from '../src/ir/types.ts';
import { verifyFunc } from '../src/ir/verify.ts';
import { commonSubexpressions } from '../src/passes/cse.ts';
import { foldConstants } from '../src/passes/fold.ts';
import { graphPasses, optimize } from '../src/passes/graph-passes.ts';
import { widenHalves } from '../src/passes/halves.ts';
import { inlineCalls } from '../src/passes/inline.ts';
import { type Pass, runPasses } from '../src/passes/pass.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { simplify } from '../src/passes/simplify.ts';
import { interpretProgram } from './helpers/interpret-program.ts';

const normal = (text: string): string => printFunc(parseFunc(text));

function expectPass(pass: Pass, before: string, after: string): void {
  const result = pass.run(parseFunc(before));
  verifyFunc(result);
  expect(normal(printFunc(result))).toBe(normal(after));
}

describe('common subexpressions', () => {
  it('computes equal operations once', () => {
    expectPass(
      commonSubexpressions,
      `func @f(%x: f32[2]) { %a = exp(%x) %b = exp(%x) %c = mul(%a, %b) return c = %c }`,
      `func @f(%x: f32[2]) { %a = exp(%x) %c = mul(%a, %a) return c = %c }`,
    );
  });

  it('sees through operands that have become equal', () => {
    expectPass(
      commonSubexpressions,
      `func @f(%x: f32[2]) { %a = exp(%x) %b = exp(%x) %c = neg(%a) %d = neg(%b) %e = sub(%c, %d) return e = %e }`,
      `func @f(%x: f32[2]) { %a = exp(%x) %c = neg(%a) %e = sub(%c, %c) return e = %e }`,
    );
  });

  const different: readonly [string, string][] = [
    ['attributes', '%a = reduce(%x) {kind=sum, axes=[0]} %b = reduce(%x) {kind=max, axes=[0]} %c = add(%a, %b)'],
    ['the order of operands', '%a = sub(%x, %y) %b = sub(%y, %x) %c = add(%a, %b)'],
    [
      'zeros of different signs',
      '%a = constant() {dtype=f32, shape=[2], data=[0]} %b = constant() {dtype=f32, shape=[2], data=[-0]} %c = atan2(%a, %b)',
    ],
  ];
  for (const [what, body] of different) {
    it(`keeps operations apart by ${what}`, () => {
      const func = parseFunc(`func @f(%x: f32[2], %y: f32[2]) { ${body} return c = %c }`);
      expect(printFunc(commonSubexpressions.run(func))).toBe(printFunc(func));
    });
  }

  it('makes both results of one sort of two equal sorts', () => {
    const func = parseFunc(`func @f(%x: f32[4]) {
      %a, %i = sort(%x) {axis=0, descending=false}
      %b, %j = sort(%x) {axis=0, descending=false}
      return a = %a, j = %j
    }`);
    expect(commonSubexpressions.run(func).nodes.map(({ op }) => op)).toEqual(['sort']);
  });
});

describe('constant folding', () => {
  it('computes what depends on constants alone', () => {
    expectPass(
      foldConstants,
      `func @f(%x: f32[2]) {
        %a = constant() {dtype=f32, shape=[2], data=[1,2]}
        %b = constant() {dtype=f32, shape=[2], data=[10]}
        %c = mul(%a, %b)
        %d = add(%x, %c)
        return d = %d
      }`,
      `func @f(%x: f32[2]) { %0 = constant() {dtype=f32, shape=[2], data=[10,20]} %d = add(%x, %0) return d = %d }`,
    );
  });

  it('rounds to the dtype', () => {
    const func = parseFunc(
      `func @f() { %a = constant() {dtype=f32, shape=[], data=[0.1]} %b = add(%a, %a) return b = %b }`,
    );
    const [node] = foldConstants.run(func).nodes as [Node<'constant'>];
    expect(node.attrs.data[0]).toBe(Math.fround(0.2));
  });

  it('folds filled tensors of any size, and leaves large others to the kernels', () => {
    const folded = (data: string, shape: string): string[] =>
      foldConstants
        .run(
          parseFunc(`func @f() {
            %a = ${data}
            %b = cast(%a) {dtype=f32}
            %c = reshape(%b) {shape=${shape}}
            %d = neg(%c)
            return d = %d
          }`),
        )
        .nodes.map(({ op }) => op);
    expect(folded('constant() {dtype=i32, shape=[1000,1000], data=[3]}', '[1000,1000]').at(-1)).not.toBe('constant');
    expect(folded('constant() {dtype=i32, shape=[3], data=[3,4,5]}', '[3]')).toEqual(['constant']);
    expect(folded('iota() {dtype=i32, shape=[1000,1000], axis=0}', '[1000,1000]')).toContain('neg');
  });
});

describe('inlining', () => {
  it('replaces a call by the operations of its callee, calls within it too', () => {
    expectPass(
      inlineCalls,
      `func @square(%x: f32[2]) { %0 = mul(%x, %x) return y = %0 }
       func @both(%x: f32[2]) { %0 = call(%x) {callee=@square} %1 = neg(%0) return p = %0, n = %1 }
       func @f(%a: f32[2], %b: f32[2]) {
         %p, %n = call(%a) {callee=@both}
         %q, %m = call(%b) {callee=@both}
         %r = add(%p, %m)
         return r = %r
       }`,
      `func @f(%a: f32[2], %b: f32[2]) {
         %0 = mul(%a, %a)
         %1 = mul(%b, %b)
         %2 = neg(%1)
         %r = add(%0, %2)
         return r = %r
       }`,
    );
  });
});

describe('the list of passes', () => {
  it('drops what no result needs', () => {
    const func = parseFunc(
      `func @f(%x: f32[2], %y: f32[2]) { %a = exp(%y) %b = neg(%x) %c = mul(%a, %b) return b = %b }`,
    );
    expect(optimize(func).nodes.map(({ op }) => op)).toEqual(['neg']);
  });

  it('returns the function itself where there is nothing to do', () => {
    const func = parseFunc(`func @f(%x: f32[2], %y: f32[2]) { %a = atan2(%x, %y) return a = %a }`);
    expect(optimize(func)).toBe(func);
  });

  it('comes to rest: a second run changes nothing', () => {
    const once = optimize(
      parseFunc(
        `func @f(%x: f32[4,3], %w: f32[5,3]) {
        %e = exp(%x)
        %s = reduce(%e) {kind=sum, axes=[1]}
        %b = broadcast(%s) {shape=[4,3], axes=[0]}
        %q = div(%e, %b)
        %l = log(%q)
        %t = transpose(%l) {permutation=[1,0]}
        %d = dot(%t, %w) {contract=[[0],[1]], batch=[[],[]]}
        %n = neg(%d)
        %m = neg(%n)
        return m = %m
      }`.replace('f32[3,5]', 'f32[5,4]'),
      ),
    );
    expect(printFunc(optimize(once))).toBe(printFunc(once));
  });

  it('keeps roles, names and source positions', () => {
    const func = parseFunc(`func @f(state %w: f32[2], %x: f32[2]) {
      %0 = neg(%x) @ "model.ts":7:3
      %1 = sub(%w, %0) @ "model.ts":8:5
      return update w = %1, twice = %0
    }`);
    const result = optimize(func);
    expect(result.parameters.map(({ name, role }) => [name, role])).toEqual([
      ['w', 'state'],
      ['x', 'input'],
    ]);
    expect(result.results.map(({ name, role }) => [name, role])).toEqual([
      ['w', 'update'],
      ['twice', 'output'],
    ]);
    expect(result.results[0]!.value.producer!.op).toBe('add');
    expect(result.results[0]!.value.producer!.source).toEqual({ file: 'model.ts', line: 8, column: 5 });
  });

  it('says of every pass what it guarantees and needs', () => {
    for (const { name, guarantees, needs } of graphPasses) {
      expect(`${name}: ${guarantees}: ${needs}`).toMatch(/^[a-z-]+: .{5,}: .{5,}$/);
    }
  });
});

describe('the verifier', () => {
  const x = parameter('x', tensorType('f32', [2]), 'input');
  const good = builder.exp(x.value);
  const producer = good.producer!;
  const withNode = (node: Node, value: Value): Func => ({
    ...makeFunc('f', [x], [{ name: 'y', role: 'output', value }]),
    nodes: [node],
  });

  it('passes a good function', () => {
    expect(() => verifyFunc(makeFunc('f', [x], [{ name: 'y', role: 'output', value: good }]))).not.toThrow();
  });

  it('finds a wrong result type', () => {
    const results: Value[] = [];
    const node: Node = { ...producer, results };
    results.push(new Value(tensorType('f32', [3]), node, 0, null));
    expect(() => verifyFunc(withNode(node, results[0]!))).toThrow('node 0 (exp) of @f has result type f32[3]');
  });

  it('finds a value used before it is defined', () => {
    const stranger = parameter('z', tensorType('f32', [2]), 'input').value;
    const lost = builder.exp(stranger);
    expect(() => verifyFunc(withNode(lost.producer!, lost))).toThrow('uses a value that is not defined before it');
  });

  it('finds a result of another node', () => {
    expect(() => verifyFunc(withNode({ ...producer }, good))).toThrow('does not own its result 0');
  });

  it('finds a result that is not computed', () => {
    const missing = { ...makeFunc('f', [x], [{ name: 'y', role: 'output', value: good }]), nodes: [] };
    expect(() => verifyFunc(missing)).toThrow('result y of @f is not computed in it');
  });

  it('finds names given twice and updates without a state', () => {
    expect(() => verifyFunc(makeFunc('f', [x, x], [{ name: 'y', role: 'output', value: good }]))).toThrow('x twice');
    expect(() => verifyFunc(makeFunc('f', [x], [{ name: 'y', role: 'update', value: good }]))).toThrow(
      'the state is missing',
    );
  });
});

describe('updates of states', () => {
  const run = (text: string, arrays: Record<string, readonly number[]>, steps = 1) => {
    const program = compileToProgram(parseFunc(text));
    const memory = new Map(Object.entries(arrays).map(([name, data]) => [name, Float64Array.from(data)]));
    for (let step = 0; step < steps; step++) interpretProgram(program, memory);
    return { program, state: (name: string): number[] => [...memory.get(name)!] };
  };

  it('exchange two states without losing one', () => {
    const { state } = run(`func @swap(state %a: f32[3], state %b: f32[3]) { return update a = %b, update b = %a }`, {
      a: [1, 2, 3],
      b: [4, 5, 6],
    });
    expect([state('a'), state('b')]).toEqual([
      [4, 5, 6],
      [1, 2, 3],
    ]);
  });

  it('are made in place, by one kernel and without working memory, when each element depends on itself', () => {
    const { program, state } = run(
      `func @step(state %w: f32[4], %g: f32[4]) { %0 = sub(%w, %g) return update w = %0 }`,
      { w: [1, 2, 3, 4], g: [1, 1, 1, 1] },
      3,
    );
    expect(program.steps.length).toBe(1);
    expect(program.arenaBytes).toBe(0);
    expect(state('w')).toEqual([-2, -1, 0, 1]);
  });

  it('read the old value everywhere, also where the new one is written at another index', () => {
    const { state } = run(
      `func @step(state %w: f32[4]) { %0 = reverse(%w) {axes=[0]} %1 = add(%w, %0) return update w = %1 }`,
      { w: [1, 2, 3, 10] },
    );
    expect(state('w')).toEqual([11, 5, 5, 11]);
  });

  it('show outputs the old value of a state that is updated', () => {
    const program = compileToProgram(
      parseFunc(`func @step(state %w: f32[2], %g: f32[2]) { %0 = sub(%w, %g) return old = %w, update w = %0 }`),
    );
    const memory = new Map([
      ['w', Float64Array.of(5, 6)],
      ['g', Float64Array.of(1, 2)],
    ]);
    expect([...interpretProgram(program, memory).get('old')!]).toEqual([5, 6]);
    expect([...memory.get('w')!]).toEqual([4, 4]);
  });
});

describe('nested functions', () => {
  const nested = (one: string, two: string, main: string): string => `
    func @one(%x: f32[2]) { ${one} return y = %y }
    func @two(%x: f32[2]) { ${two} return y = %y }
    func @f(%p: bool[], %x: f32[2]) { ${main} }`;
  const chosen = 'cond(%p, %x) {then=@one, otherwise=@two, residuals=keep}';

  function expectPasses(passes: readonly Pass[], before: string, after: string): void {
    const result = runPasses(parseFunc(before), passes, { verify: true });
    expect(printFunc(result)).toBe(normal(after));
  }

  it('are rewritten as the function around them is', () => {
    expectPasses(
      [simplify],
      nested('%a = neg(%x) %y = neg(%a)', '%a = neg(%x) %y = exp(%a)', `%r = ${chosen} return r = %r`),
      nested('%y = reshape(%x) {shape=[2]}', '%a = neg(%x) %y = exp(%a)', `%r = ${chosen} return r = %r`).replace(
        '%y = reshape(%x) {shape=[2]} return y = %y',
        'return y = %x',
      ),
    );
  });

  it('have their calls inlined, and what they compute twice computed once', () => {
    const called = `func @g(%x: f32[2]) { %a = exp(%x) %b = exp(%x) %y = mul(%a, %b) return y = %y }`;
    expectPasses(
      [inlineCalls, commonSubexpressions],
      `${called} ${nested('%y = call(%x) {callee=@g}', '%y = sin(%x)', `%r = ${chosen} return r = %r`)}`,
      nested('%a = exp(%x) %y = mul(%a, %a)', '%y = sin(%x)', `%r = ${chosen} return r = %r`),
    );
  });

  it('of one structure are one function to operations that are otherwise equal, whatever the names', () => {
    const twice = `%r = ${chosen} %s = cond(%p, %x) {then=@three, otherwise=@two, residuals=keep} %t = add(%r, %s) return t = %t`;
    const three = 'func @three(%z: f32[2]) { %q = exp(%z) return w = %q }';
    expectPasses(
      [commonSubexpressions],
      three + nested('%y = exp(%x)', '%y = sin(%x)', twice),
      nested('%y = exp(%x)', '%y = sin(%x)', `%r = ${chosen} %t = add(%r, %r) return t = %t`),
    );
  });

  it('that differ keep operations apart', () => {
    const twice = `%r = ${chosen} %s = cond(%p, %x) {then=@two, otherwise=@one, residuals=keep} %t = add(%r, %s) return t = %t`;
    const text = nested('%y = exp(%x)', '%y = sin(%x)', twice);
    expectPasses([commonSubexpressions], text, text);
  });

  it('compute in f32 what is stored in f16', () => {
    const halves = (body: string, result = '%sum'): string => `
      func @step(%h: f16[2], %x: f16[2]) { ${body} return h = ${result} }
      func @f(%h: f16[2], %x: f16[3,2]) {
        %r = scan(%h, %x) {body=@step, length=3, reverse=false, consts=0, carries=1, residuals=keep}
        return r = %r
      }`;
    expectPasses(
      [widenHalves],
      halves('%sum = add(%h, %x)'),
      halves(
        '%0 = cast(%h) {dtype=f32} %1 = cast(%x) {dtype=f32} %sum = add(%0, %1) %2 = cast(%sum) {dtype=f16}',
        '%2',
      ),
    );
  });
});
