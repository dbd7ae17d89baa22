// The text form: what it accepts, that printing and parsing are inverse, and what it says of text that is wrong.

import { describe, expect, it } from 'vitest';
import { UserError } from '../src/ir/errors.ts';
import { parseFunc, parseModule, printFunc } from '../src/ir/text.ts';
import { seeded } from './helpers/samples.ts';

const complete = `func @"not a name"(%x: f32[2,3], state %w "layer 1/w": f32[3], %i: i32[2], weight %v: f32[3]) {
  %0 = constant() {dtype=f32, shape=[4], data=[1,-0.5,inf,nan]} : f32[4]
  %a = broadcast(%w) {shape=[2,3], axes=[1]} : f32[2,3] @ "models/a \\"b\\".ts":12:3
  %1 = add(%x, %a) : f32[2,3]
  %2, %3 = sort(%1) {axis=1, descending=true} : f32[2,3], i32[2,3]
  %b = mul(%v, %w) : f32[3]
  return scaled = %b, sorted = %2, "the order" = %3, update "layer 1/w" = %w, numbers = %0
}`;

describe('the text form', () => {
  it('prints what it parses, exactly', () => {
    const printed = printFunc(parseFunc(complete));
    expect(printFunc(parseFunc(printed))).toBe(printed);
    expect(printed).toContain('@ "models/a \\"b\\".ts":12:3');
    expect(printed).toContain('data=[1,-0.5,inf,nan]');
    expect(printed).toContain('update "layer 1/w"');
    expect(printed).toContain('weight %v: f32[3]');
  });

  it('needs no types after a colon, comments or line breaks where they say nothing', () => {
    const short = parseFunc('func @f(%x: f32[2]) { %a = exp(%x) // a comment\n return y = %a }');
    const long = parseFunc('func @f(%x: f32[2]) {\n  %a = exp(%x) : f32[2]\n  return y = %a\n}');
    expect(printFunc(short)).toBe(printFunc(long));
  });

  it('reads several functions, later ones calling earlier ones', () => {
    const module = parseModule(`
      func @one(%x: f32[]) { %a = exp(%x) return y = %a }
      func @two(%x: f32[]) { %a = call(%x) {callee=@one} return y = %a }`);
    expect(module.map(({ name }) => name)).toEqual(['one', 'two']);
  });

  const body = (line: string): string => `func @f(%x: f32[2,3], %y: f32[3]) {\n  ${line}\n  return y = %x\n}`;
  const wrong: readonly [what: string, text: string, message: RegExp][] = [
    ['nothing', '', /a function expected, nothing found/],
    ['a stray character', body('%a = exp(%x);'), /line 2, column 15: unexpected ";"/],
    ['an unknown operation', body('%a = explode(%x)'), /line 2, column 8: an operation expected, explode found/],
    ['a name of every object', body('%a = constructor(%x)'), /an operation expected, constructor found/],
    ['an undefined value', body('%a = exp(%z)'), /line 2, column 12: a value defined above expected, %z found/],
    ['a value defined twice', body('%x = exp(%x)'), /a name that is not defined yet expected, %x found/],
    ['too few operands', body('%a = add(%x)'), /line 2.*add\(x: f32\[2,3\]\): 2 operands expected, 1 given/s],
    ['operands of different shapes', body('%a = add(%x, %y)'), /line 2.*f32\[2,3\].*f32\[3\]/s],
    ['a missing attribute', body('%a = reduce(%x) {kind=sum}'), /line 2.*reduce needs the attribute axes: a list of/],
    [
      'an attribute of another kind',
      body('%a = reduce(%x) {kind=sum, axes=1}'),
      /attribute axes of reduce must be a list/,
    ],
    ['a word that is not one of the known', body('%a = reduce(%x) {kind=mean, axes=[1]}'), /one of sum, prod, max/],
    ['an attribute too many', body('%a = exp(%x) {base=2}'), /exp has no attribute base; it has none/],
    [
      'a fractional axis',
      body('%a = reverse(%x) {axes=[0.5]}'),
      /attribute axes of reverse must be a list of integers/,
    ],
    ['an axis out of range', body('%a = reverse(%x) {axes=[2]}'), /line 2.*axis 2/s],
    ['a wrong annotation', body('%a = exp(%x) : f32[3,2]'), /line 2.*type f32\[2,3\] expected/],
    ['a wrong number of results', body('%a = sort(%x) {axis=0, descending=true}'), /2 results of sort expected/],
    ['an unknown dtype', 'func @f(%x: f31[2]) { return y = %x }', /one of f32, f64.* expected, f31 found/],
    ['a negative dimension', 'func @f(%x: f32[-2]) { return y = %x }', /dimensions of at least 0 expected/],
    ['text cut short', 'func @f(%x: f32[2', /line 1, column 18: \] expected, the end found/],
    ['a callee that is not there', body('%a = call(%x) {callee=@g}'), /a function defined above expected, @g found/],
    [
      'two functions of one name',
      'func @f(%x: f32[]) { return y = %x } func @f(%x: f32[]) { return y = %x }',
      /a function name other than @f/,
    ],
    [
      'a tensor too large to count',
      'func @f(%x: f32[9007199254740991,9007199254740991]) { return y = %x }',
      /elements/,
    ],
  ];
  for (const [what, text, message] of wrong) {
    it(`refuses ${what}`, () => {
      expect(() => parseFunc(text)).toThrow(UserError);
      expect(() => parseFunc(text)).toThrow(message);
    });
  }

  it('says something of any damaged text, and never crashes', () => {
    const random = seeded(5);
    for (let trial = 0; trial < 2000; trial++) {
      const at = Math.floor(random() * complete.length);
      const length = Math.floor(random() * 4);
      const inserted = ['', '%', '{', ']', '-1', 'nan', '"', '9e99', ',,', 'f32[]'][Math.floor(random() * 10)]!;
      const damaged = complete.slice(0, at) + inserted + complete.slice(at + length);
      try {
        parseFunc(damaged);
      } catch (error) {
        if (!(error instanceof UserError)) throw new Error(`${String(error)}\nfor\n${damaged}`);
      }
    }
  });
});
