// Loops as operations of the graph: what scan, while and cond compute, what their type rules refuse, and how they are
// printed, read and verified with the functions nested in them.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { ndarray } from '../src/ir/ndarray.ts';
import { builder } from '../src/ir/ops/index.ts';
import { parseFunc, parseModule, printFunc } from '../src/ir/text.ts';
import { verifyFunc } from '../src/ir/verify.ts';

const f32 = (shape: number[], data: number[]) => ndarray('f32', shape, data);
const values = (text: string, inputs: readonly ReturnType<typeof ndarray>[]): number[][] =>
  evaluateFunc(parseFunc(text), inputs).map(({ data }) => Array.from(data));

/** s ← k·s + x, with 2·s as output. */
const step = `func @step(%k: f32[], %s: f32[], %x: f32[]) {
  %0 = mul(%k, %s)
  %1 = add(%0, %x)
  %2 = add(%1, %1)
  return s = %1, y = %2
}`;
const scanned = (reverse: boolean, length = 3): string => `${step}
func @f(%k: f32[], %s: f32[], %x: f32[${length}]) {
  %last, %all = scan(%k, %s, %x) {body=@step, length=${length}, reverse=${reverse}, consts=1, carries=1, residuals=keep}
  return last = %last, all = %all
}`;
const scanInputs = [f32([], [2]), f32([], [1]), f32([3], [1, 10, 100])];

describe('scan', () => {
  it('gives carries from step to step and stacks the outputs', () => {
    expect(values(scanned(false), scanInputs)).toEqual([[132], [6, 32, 264]]);
  });

  it('walks from the last slice with reverse; outputs stand at their slice', () => {
    expect(values(scanned(true), scanInputs)).toEqual([[429], [858, 428, 204]]);
  });

  it('of no steps gives the first carries', () => {
    expect(values(scanned(false, 0), [f32([], [2]), f32([], [7]), f32([0], [])])).toEqual([[7], []]);
  });
});

describe('while', () => {
  const doubled = (limit: string): string => `func @below(%top: f32[], %x: f32[]) {
  %0 = lt(%x, %top)
  return below = %0
}
func @twice(%top: f32[], %x: f32[]) {
  %0 = add(%x, %x)
  return x = %0
}
func @f(%top: f32[], %x: f32[]) {
  %y = while(%top, %x) {condition=@below, body=@twice, consts=1, limit=${limit}}
  return y = %y
}`;
  it('ends when its condition is false, which may be at once', () => {
    expect(values(doubled('null'), [f32([], [50]), f32([], [3])])).toEqual([[96]]);
    expect(values(doubled('null'), [f32([], [50]), f32([], [51])])).toEqual([[51]]);
  });

  it('ends after its limit of steps', () => {
    expect(values(doubled('3'), [f32([], [50]), f32([], [3])])).toEqual([[24]]);
    expect(values(doubled('0'), [f32([], [50]), f32([], [3])])).toEqual([[3]]);
  });
});

describe('cond', () => {
  const chosen = `func @sum(%x: f32[2]) {
  %0 = reduce(%x) {kind=sum, axes=[0]}
  return y = %0
}
func @product(%x: f32[2]) {
  %0 = reduce(%x) {kind=prod, axes=[0]}
  return y = %0
}
func @f(%p: bool[], %x: f32[2]) {
  %y = cond(%p, %x) {then=@sum, otherwise=@product, residuals=keep}
  return y = %y
}`;
  it('gives what the chosen function gives', () => {
    expect(values(chosen, [ndarray('bool', [], [1]), f32([2], [3, 4])])).toEqual([[7]]);
    expect(values(chosen, [ndarray('bool', [], [0]), f32([2], [3, 4])])).toEqual([[12]]);
  });
});

describe('types of loops', () => {
  const given = `${step}
func @pair(%k: f32[], %s: f32[], %x: f32[]) { %0 = mul(%k, %s) return a = %0, b = %x }
func @vector(%k: f32[], %s: f32[2], %x: f32[]) { %0 = broadcast(%k) {shape=[2], axes=[]} return s = %0 }
func @state(state %k: f32[], %s: f32[], %x: f32[]) { %0 = mul(%k, %s) return s = %0 }
func @wider(%k: f32[], %s: f32[], %x: f32[]) { %0 = broadcast(%s) {shape=[2], axes=[]} return s = %0 }
func @small(%a: f32[], %b: f32[]) { %0 = lt(%a, %b) return small = %0 }
func @sum(%a: f32[], %b: f32[]) { %0 = add(%a, %b) return sum = %0 }
func @both(%a: f32[], %b: f32[]) { return a = %a, b = %b }
`;
  const scan = (
    body: string,
    operands: string,
    attrs = 'length=3, reverse=false, consts=1, carries=1, residuals=keep',
  ): string => `scan(${operands}) {body=@${body}, ${attrs}}`;
  const wrong: readonly [what: string, line: string, message: RegExp][] = [
    [
      'sequences of another length',
      scan('step', '%k, %s, %long'),
      /scan\(k: f32\[\], s: f32\[\], long: f32\[4\]\): sequences of length 3 along their first axis expected, f32\[4\] given/,
    ],
    ['a sequence without axes', scan('step', '%k, %s, %s'), /sequences of length 3 .* f32\[\] given/],
    ['too few operands', scan('step', '%k'), /1 constants and 1 carries expected, 1 operands given/],
    [
      'a body that takes another carry',
      scan('vector', '%k, %s, %x'),
      /body @vector\(f32\[\], f32\[2\], f32\[\]\) cannot take \(f32\[\], f32\[\], f32\[\]\)/,
    ],
    [
      'a body that gives another carry',
      scan('wider', '%k, %s, %x'),
      /body @wider must give the next carries \(f32\[\]\), \(f32\[2\]\) given/,
    ],
    ['a body with state', scan('state', '%k, %s, %x'), /inputs and outputs alone, state k given/],
    [
      'a fractional length',
      scan('step', '%k, %s, %x', 'length=0.5, reverse=false, consts=1, carries=1, residuals=keep'),
      /length of scan/,
    ],
    [
      'a condition that gives numbers',
      'while(%k, %s) {condition=@sum, body=@sum, consts=1, limit=null}',
      /condition @sum must give bool\[\], \(f32\[\]\) given/,
    ],
    [
      'a body of while that gives too much',
      'while(%k, %s) {condition=@small, body=@both, consts=1, limit=null}',
      /body @both must give the next carries \(f32\[\]\), \(f32\[\], f32\[\]\) given/,
    ],
    [
      'a loop without carries',
      'while(%k, %s) {condition=@small, body=@sum, consts=2, limit=3}',
      /at least one carry expected/,
    ],
    [
      'a negative limit',
      'while(%k, %s) {condition=@small, body=@sum, consts=1, limit=-1}',
      /limit of while must be an integer of at least 0, or null/,
    ],
    [
      'a predicate that is a number',
      'cond(%k, %k, %s) {then=@sum, otherwise=@sum, residuals=keep}',
      /a predicate bool\[\] expected, f32\[\] given/,
    ],
    [
      'branches of different types',
      'cond(%p, %k, %s) {then=@sum, otherwise=@small, residuals=keep}',
      /both functions must give the same types, \(f32\[\]\) and \(bool\[\]\) given/,
    ],
    [
      'branches that take something else',
      'cond(%p, %k) {then=@sum, otherwise=@sum, residuals=keep}',
      /then @sum\(f32\[\], f32\[\]\) cannot take \(f32\[\]\)/,
    ],
    ['a function that is none', 'cond(%p, %k, %s) {then=3, otherwise=@sum}', /then of cond must be a function/],
  ];
  it.each(wrong)('refuse %s', (_what, line, message) => {
    const text = `${given}func @f(%k: f32[], %s: f32[], %x: f32[3], %long: f32[4], %p: bool[]) {
  %r = ${line}
  return r = %r
}`;
    expect(() => parseFunc(text)).toThrow(message);
  });
});

describe('nested functions', () => {
  it('are printed once each, those that others call first, and read back the same', () => {
    const text = `func @f(%x: f32[2]) {
  %0 = exp(%x)
  return y = %0
}
func @g(%x: f32[2]) {
  %0 = call(%x) {callee=@f}
  return y = %0
}
func @main(%p: bool[], %x: f32[2]) {
  %0 = cond(%p, %x) {then=@f, otherwise=@g, residuals=keep}
  %1 = cond(%p, %0) {then=@g, otherwise=@f, residuals=keep}
  return y = %1
}`;
    const printed = printFunc(parseFunc(text));
    expect(parseModule(printed).map(({ name }) => name)).toEqual(['f', 'g', 'main']);
    expect(printFunc(parseFunc(printed))).toBe(printed);
  });

  it('that share a name are told apart in print', () => {
    const [one] = parseModule('func @same(%x: f32[]) { %0 = exp(%x) return y = %0 }');
    const [two] = parseModule('func @same(%x: f32[]) { %0 = sin(%x) return y = %0 }');
    const main = parseFunc(`func @same(%p: bool[], %x: f32[]) {
      %0 = exp(%x)
      return y = %0
    }`);
    const [p, x] = main.parameters.map(({ value }) => value) as [never, never];
    const [y] = builder.cond(p, x, { then: one!, otherwise: two!, residuals: 'keep' });
    const printed = printFunc({ ...main, results: [{ name: 'y', role: 'output', value: y! }], nodes: [y!.producer!] });
    expect(parseModule(printed).map(({ name }) => name)).toEqual(['same_1', 'same_2', 'same']);
    expect(printFunc(parseFunc(printed))).toBe(printed);
  });

  it('are verified', () => {
    const func = parseFunc(scanned(false));
    verifyFunc(func);
    const { body } = func.nodes[0]!.attrs as { body: { nodes: unknown[] } };
    body.nodes.reverse();
    expect(() => verifyFunc(func)).toThrow(/of @step uses a value that is not defined before it/);
  });
});
