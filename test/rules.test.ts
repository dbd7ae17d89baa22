// Every rewrite rule in text form: what it makes of its pattern, that it still fires within the whole list of passes, and
// that it changes no value.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import { ndarray } from '../src/ir/ndarray.ts';
import { parseFunc, printFunc } from '../src/ir/text.ts';
import { sizeOf } from '../src/ir/types.ts';
import { verifyFunc } from '../src/ir/verify.ts';
import { optimize } from '../src/passes/graph-passes.ts';
import { phaseRules } from '../src/passes/phases.ts';
import { type Rule, rewriteFunc } from '../src/passes/rewrite.ts';
import { simplifyRules } from '../src/passes/simplify.ts';
import { stableRules } from '../src/passes/stable.ts';

interface Case {
  readonly rule: string;
  readonly given: string;
  /** Lines of the body; the last is the result. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

const constant = (value: number | string, shape = '3', dtype = 'f32'): string =>
  `constant() {dtype=${dtype}, shape=[${shape}], data=[${value}]}`;

/** A rule on elementwise operands x, y: f32[3] (or another dtype). */
function scalars(rule: string, before: readonly string[], after: readonly string[], dtype = 'f32'): Case {
  return { rule, given: `%x: ${dtype}[3], %y: ${dtype}[3], %p: bool[3]`, before, after };
}

/** log Σ exp(x) along the last axis of x: f32[2,3], shifted by a finite maximum. */
const safeLogSumExp: readonly string[] = [
  'reduce(%x) {kind=max, axes=[1]}',
  'abs(%0)',
  constant('inf', '2'),
  'lt(%1, %2)',
  constant(0, '2'),
  'select(%3, %0, %4)',
  'broadcast(%5) {shape=[2,3], axes=[0]}',
  'sub(%x, %6)',
  'exp(%7)',
  'reduce(%8) {kind=sum, axes=[1]}',
  'log(%9)',
  'add(%10, %5)',
];

const cases: readonly Case[] = [
  scalars('constant-right', [constant(2), 'mul(%0, %x)'], [constant(2), 'mul(%x, %0)']),
  scalars('constant-right', [constant(2), 'add(%0, %x)'], [constant(2), 'add(%x, %0)']),
  scalars('add-zero', [constant(0), 'add(%x, %0)'], ['%x']),
  scalars('sub-zero', [constant(0), 'sub(%x, %0)'], ['%x']),
  scalars('sub-same', ['sub(%x, %x)'], [constant(0, '3', 'i32')], 'i32'),
  scalars('zero-sub', [constant(0), 'sub(%0, %x)'], ['neg(%x)']),
  scalars('sub-constant', [constant(3), 'sub(%x, %0)'], [constant(-3), 'add(%x, %0)']),
  scalars('sub-neg', ['neg(%y)', 'sub(%x, %0)'], ['add(%x, %y)']),
  scalars('add-neg', ['neg(%y)', 'add(%x, %0)'], ['sub(%x, %y)']),
  scalars('add-neg', ['neg(%x)', 'add(%0, %y)'], ['sub(%y, %x)']),
  scalars('mul-one', [constant(1), 'mul(%x, %0)'], ['%x']),
  scalars('mul-minus-one', [constant(-1), 'mul(%x, %0)'], ['neg(%x)']),
  scalars('mul-zero', [constant(0, '3', 'i32'), 'mul(%x, %0)'], [constant(0, '3', 'i32')], 'i32'),
  scalars('mul-neg', ['neg(%x)', 'neg(%y)', 'mul(%0, %1)'], ['mul(%x, %y)']),
  scalars('mul-neg', ['neg(%x)', constant(3), 'mul(%0, %1)'], [constant(-3), 'mul(%x, %0)']),
  scalars('div-one', [constant(1), 'div(%x, %0)'], ['%x']),
  scalars('div-power-of-two', [constant(8), 'div(%x, %0)'], [constant(0.125), 'mul(%x, %0)']),
  scalars('neg-neg', ['neg(%x)', 'neg(%0)'], ['%x']),
  scalars('not-not', ['not(%p)', 'not(%0)'], ['%p']),
  scalars('pow-one', [constant(1), 'pow(%x, %0)'], ['%x']),
  scalars('pow-two', [constant(2), 'pow(%x, %0)'], ['mul(%x, %x)']),
  scalars('pow-three', [constant(3), 'pow(%x, %0)'], ['mul(%x, %x)', 'mul(%0, %x)']),
  scalars('same-operands', ['max(%x, %x)'], ['%x']),
  scalars('select-same', ['select(%p, %x, %x)'], ['%x']),
  scalars('select-constant', [constant('true', '3', 'bool'), 'select(%0, %x, %y)'], ['%x']),
  scalars('select-constant', [constant('false', '3', 'bool'), 'select(%0, %x, %y)'], ['%y']),
  scalars('select-not', ['not(%p)', 'select(%0, %x, %y)'], ['select(%p, %y, %x)']),

  { rule: 'cast-same', given: '%x: f32[3]', before: ['cast(%x) {dtype=f32}'], after: ['%x'] },
  { rule: 'reshape-same', given: '%x: f32[3]', before: ['reshape(%x) {shape=[3]}'], after: ['%x'] },
  {
    rule: 'reshape-reshape',
    given: '%x: f32[2,6]',
    before: ['reshape(%x) {shape=[3,4]}', 'reshape(%0) {shape=[12]}'],
    after: ['reshape(%x) {shape=[12]}'],
  },
  { rule: 'transpose-same', given: '%x: f32[2,3]', before: ['transpose(%x) {permutation=[0,1]}'], after: ['%x'] },
  {
    rule: 'transpose-transpose',
    given: '%x: f32[2,3,4]',
    before: ['transpose(%x) {permutation=[1,2,0]}', 'transpose(%0) {permutation=[0,2,1]}'],
    after: ['transpose(%x) {permutation=[1,0,2]}'],
  },
  {
    rule: 'broadcast-same',
    given: '%x: f32[2,3]',
    before: ['broadcast(%x) {shape=[2,3], axes=[0,1]}'],
    after: ['%x'],
  },
  {
    rule: 'broadcast-broadcast',
    given: '%x: f32[3]',
    before: ['broadcast(%x) {shape=[2,3], axes=[1]}', 'broadcast(%0) {shape=[2,5,3], axes=[0,2]}'],
    after: ['broadcast(%x) {shape=[2,5,3], axes=[2]}'],
  },
  {
    rule: 'slice-same',
    given: '%x: f32[2,3]',
    before: ['slice(%x) {starts=[0,0], limits=[2,3], strides=[1,1]}'],
    after: ['%x'],
  },
  {
    rule: 'pad-same',
    given: '%x: f32[3]',
    before: ['pad(%x) {low=[0], high=[0], interior=[0], value=0}'],
    after: ['%x'],
  },
  { rule: 'concat-one', given: '%x: f32[3]', before: ['concat(%x) {axis=0}'], after: ['%x'] },
  { rule: 'reverse-none', given: '%x: f32[1,3]', before: ['reverse(%x) {axes=[0]}'], after: ['%x'] },
  {
    rule: 'reverse-reverse',
    given: '%x: f32[2,3]',
    before: ['reverse(%x) {axes=[0,1]}', 'reverse(%0) {axes=[1,0]}'],
    after: ['%x'],
  },
  {
    rule: 'moved-constant',
    given: '%x: f32[3]',
    before: [constant(5, '2,3'), 'transpose(%0) {permutation=[1,0]}'],
    after: [constant(5, '3,2')],
  },

  { rule: 'reduce-none', given: '%x: f32[3]', before: ['reduce(%x) {kind=sum, axes=[]}'], after: ['%x'] },
  {
    rule: 'reduce-single',
    given: '%x: f32[3,1]',
    before: ['reduce(%x) {kind=sum, axes=[1]}'],
    after: ['reshape(%x) {shape=[3]}'],
  },
  {
    rule: 'max-of-broadcast',
    given: '%x: f32[3]',
    before: ['broadcast(%x) {shape=[2,3,4], axes=[1]}', 'reduce(%0) {kind=max, axes=[0]}'],
    after: ['broadcast(%x) {shape=[3,4], axes=[0]}'],
  },
  {
    rule: 'dot-transposed',
    given: '%x: f32[4,2], %y: f32[3,4]',
    before: [
      'transpose(%x) {permutation=[1,0]}',
      'transpose(%y) {permutation=[1,0]}',
      'dot(%0, %1) {contract=[[1],[0]], batch=[[],[]]}',
    ],
    after: ['dot(%x, %y) {contract=[[0],[1]], batch=[[],[]]}'],
  },
  {
    rule: 'dot-outer',
    given: '%x: f32[3,2], %y: f32[4,3]',
    before: ['dot(%x, %y) {contract=[[],[]], batch=[[0],[1]]}'],
    after: [
      'broadcast(%x) {shape=[3,2,4], axes=[0,1]}',
      'transpose(%y) {permutation=[1,0]}',
      'broadcast(%1) {shape=[3,2,4], axes=[0,2]}',
      'mul(%0, %2)',
    ],
  },
  {
    rule: 'scatter-one-per-row',
    given: '%i: i32[2,1], %u: f32[2,1]',
    before: [constant(0, '2,5'), 'scatterAdd(%0, %i, %u) {axis=1, batch=1}'],
    after: [
      'iota() {dtype=i32, shape=[2,5], axis=1}',
      'reshape(%i) {shape=[2]}',
      'broadcast(%1) {shape=[2,5], axes=[0]}',
      'eq(%0, %2)',
      'reshape(%u) {shape=[2]}',
      'broadcast(%4) {shape=[2,5], axes=[0]}',
      constant(0, '2,5'),
      'select(%3, %5, %6)',
    ],
  },

  scalars('log-of-one-plus', [constant(1), 'add(%x, %0)', 'log(%1)'], ['log1p(%x)']),
  scalars('log-of-one-plus', ['exp(%x)', constant(1), 'add(%0, %1)', 'log(%2)'], ['softplus(%x)']),
  scalars('log1p-of-exp', ['exp(%x)', 'log1p(%0)'], ['softplus(%x)']),
  scalars('log-of-sigmoid', ['sigmoid(%x)', 'log(%0)'], ['neg(%x)', 'softplus(%0)', 'neg(%1)']),
  scalars('log-of-exp', ['exp(%x)', 'log(%0)'], ['%x']),
  scalars('exp-minus-one', ['exp(%x)', constant(-1), 'add(%0, %1)'], ['expm1(%x)']),
  {
    rule: 'log-of-quotient',
    given: '%x: f32[2,3]',
    before: [
      'exp(%x)',
      'reduce(%0) {kind=sum, axes=[1]}',
      'broadcast(%1) {shape=[2,3], axes=[0]}',
      'div(%0, %2)',
      'log(%3)',
    ],
    after: [...safeLogSumExp, 'broadcast(%11) {shape=[2,3], axes=[0]}', 'sub(%x, %12)'],
  },
  {
    rule: 'log-of-sum-of-exp',
    given: '%x: f32[2,3]',
    before: ['exp(%x)', 'reduce(%0) {kind=sum, axes=[1]}', 'log(%1)'],
    after: safeLogSumExp,
  },
  {
    rule: 'convolution-phases',
    given: '%x: f32[1,1,3], %w: f32[9,1,4]',
    before: ['conv(%x, %w) {strides=[1], padding=[[2,2]], lhsDilation=[2], rhsDilation=[1], groups=1}'],
    after: [
      'slice(%w) {starts=[0,0,0], limits=[9,1,3], strides=[1,1,2]}',
      'conv(%x, %0) {strides=[1], padding=[[1,0]], lhsDilation=[1], rhsDilation=[1], groups=1}',
      'pad(%1) {low=[0,0,0], high=[0,0,1], interior=[0,0,1], value=0}',
      'slice(%w) {starts=[0,0,1], limits=[9,1,4], strides=[1,1,2]}',
      'conv(%x, %3) {strides=[1], padding=[[0,1]], lhsDilation=[1], rhsDilation=[1], groups=1}',
      'pad(%4) {low=[0,0,1], high=[0,0,0], interior=[0,0,1], value=0}',
      'add(%2, %5)',
    ],
  },
  {
    rule: 'convolution-phases',
    given: '%x: f32[1,1,3], %w: f32[2,1,4]',
    before: ['conv(%x, %w) {strides=[1], padding=[[2,2]], lhsDilation=[2], rhsDilation=[1], groups=1}'],
    after: [
      'slice(%w) {starts=[0,0,0], limits=[2,1,3], strides=[1,1,2]}',
      'pad(%0) {low=[0,0,0], high=[0,0,1], interior=[0,0,0], value=0}',
      'slice(%w) {starts=[0,0,1], limits=[2,1,4], strides=[1,1,2]}',
      'pad(%2) {low=[0,0,1], high=[0,0,0], interior=[0,0,0], value=0}',
      'concat(%1, %3) {axis=0}',
      'conv(%x, %4) {strides=[1], padding=[[1,1]], lhsDilation=[1], rhsDilation=[1], groups=1}',
      'slice(%5) {starts=[0,0,0], limits=[1,2,3], strides=[1,1,1]}',
      'pad(%6) {low=[0,0,0], high=[0,0,1], interior=[0,0,1], value=0}',
      'slice(%5) {starts=[0,2,0], limits=[1,4,3], strides=[1,1,1]}',
      'pad(%8) {low=[0,0,1], high=[0,0,0], interior=[0,0,1], value=0}',
      'add(%7, %9)',
    ],
  },
];

const everyRule: readonly Rule[] = [...simplifyRules, ...stableRules, ...phaseRules];

function parse(given: string, lines: readonly string[]): Func {
  const last = lines.at(-1)!;
  const isValue = last.startsWith('%');
  const body = (isValue ? lines.slice(0, -1) : lines).map((line, i) => `%${i} = ${line}`);
  return parseFunc(`func @f(${given}) {\n${body.join('\n')}\nreturn y = ${isValue ? last : `%${lines.length - 1}`}\n}`);
}

/** The same operations on the same operands, whatever the order of printing. */
const normal = (func: Func): string => printFunc(parseFunc(printFunc(func)));

const examplesOf = (func: Func): ReturnType<typeof ndarray>[] =>
  func.parameters.map(({ value: { type } }, k) =>
    ndarray(
      type.dtype,
      type.shape,
      Array.from({ length: sizeOf(type.shape) }, (_, i) => {
        if (type.dtype === 'bool') return (i + k) % 2;
        return type.dtype === 'i32' ? (i + k) % 3 : 0.3 + 0.45 * ((i * 7 + k * 3) % 5);
      }),
    ),
  );

describe('rewrite rules', () => {
  it('has a case for every rule', () => {
    const covered = new Set(cases.map(({ rule }) => rule));
    expect(everyRule.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([]);
  });

  it('gives every rule a name of its own', () => {
    const names = everyRule.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  cases.forEach(({ rule, given, before, after }) => {
    it(`${rule}: ${before.at(-1)} over ${before.length - 1} more`, () => {
      const func = parse(given, before);
      const wanted = parse(given, after);
      const rewritten = rewriteFunc(
        func,
        everyRule.filter(({ name }) => name === rule),
      );
      verifyFunc(rewritten);
      expect(normal(rewritten)).toBe(normal(wanted));

      const optimized = optimize(func, { verify: true });
      expect(optimized.nodes.length).toBeLessThanOrEqual(optimize(wanted).nodes.length);
      expect(printFunc(rewriteFunc(optimized, everyRule))).toBe(printFunc(optimized));

      const inputs = examplesOf(func);
      const [reference] = evaluateFunc(func, inputs);
      for (const changed of [rewritten, optimized]) {
        const [result] = evaluateFunc(changed, inputs);
        Array.from(result!.data, (value, i) => expect(Number(value)).toBeCloseTo(Number(reference!.data[i]), 6));
      }
    });
  });
});

describe('rules leave alone what they would break', () => {
  const unchanged: readonly [string, string, readonly string[]][] = [
    ['x·0 of floats, which may be NaN', '%x: f32[3]', [constant(0), 'mul(%x, %0)']],
    ['x+(−0)', '%x: f32[3]', [constant('-0'), 'add(%x, %0)']],
    ['a division by three', '%x: f32[3]', [constant(3), 'div(%x, %0)']],
    ['an integer division by two', '%x: i32[3]', [constant(2, '3', 'i32'), 'div(%x, %0)']],
    [
      'a sum over a broadcast',
      '%x: f32[3]',
      ['broadcast(%x) {shape=[2,3], axes=[1]}', 'reduce(%0) {kind=sum, axes=[0]}'],
    ],
    ['a slice', '%x: f32[3]', ['slice(%x) {starts=[0], limits=[2], strides=[1]}']],
    [
      'scatter with two updates per row',
      '%i: i32[2,2], %u: f32[2,2]',
      [constant(0, '2,5'), 'scatterAdd(%0, %i, %u) {axis=1, batch=1}'],
    ],
    ['a bitwise not used as a condition’s number', '%x: i32[3]', ['not(%x)', 'neg(%0)']],
  ];
  for (const [what, given, lines] of unchanged) {
    it(what, () => {
      const func = parse(given, lines);
      expect(printFunc(rewriteFunc(func, everyRule))).toBe(printFunc(func));
    });
  }
});
