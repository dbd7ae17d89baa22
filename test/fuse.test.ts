import { describe, expect, it } from 'vitest';
import { opTable } from '../src/ir/ops/index.ts';
import { parseFunc } from '../src/ir/text.ts';
import { fuse, withoutFusion } from '../src/passes/fuse.ts';

/** One line per kernel: the anchor and its members, then what is stored. */
function kernels(text: string): string[] {
  return fuse(parseFunc(text), opTable).groups.map((group) => {
    const ops = [...(group.anchor === null ? [] : [`[${group.anchor.op}]`]), ...group.members.map((node) => node.op)];
    return `${ops.join(' ')} -> ${group.stored.length}`;
  });
}

describe('fusion', () => {
  it('makes one kernel of an elementwise chain', () => {
    expect(
      kernels(`func @f(%x: f32[8,4], %y: f32[8,4]) {
        %a = mul(%x, %y)
        %b = exp(%a)
        %c = add(%b, %x)
        return c = %c
      }`),
    ).toEqual(['mul exp add -> 1']);
  });

  it('makes several outputs in one kernel', () => {
    expect(
      kernels(`func @f(%x: f32[8]) {
        %a = exp(%x)
        %b = add(%a, %x)
        return a = %a, b = %b
      }`),
    ).toEqual(['exp add -> 2']);
  });

  it('fuses a bias and an activation into the contraction before them', () => {
    expect(
      kernels(`func @f(%x: f32[8,4], %w: f32[4,6], %b: f32[6]) {
        %0 = dot(%x, %w) {contract=[[1],[0]], batch=[[],[]]}
        %1 = broadcast(%b) {shape=[8,6], axes=[1]}
        %2 = add(%0, %1)
        %3 = tanh(%2)
        return y = %3
      }`),
    ).toEqual(['[dot] add tanh -> 1']);
  });

  it('computes a reduction’s operand where it is reduced', () => {
    expect(
      kernels(`func @f(%x: f32[8,4], %y: f32[8,4]) {
        %0 = mul(%x, %y)
        %1 = exp(%0)
        %2 = reduce(%1) {kind=sum, axes=[1]}
        return s = %2
      }`),
    ).toEqual(['[reduce] -> 1']);
  });

  it('does not compute an expensive value again for every row it is broadcast to', () => {
    expect(
      kernels(`func @f(%x: f32[4], %y: f32[64,4]) {
        %0 = exp(%x)
        %1 = broadcast(%0) {shape=[64,4], axes=[1]}
        %2 = add(%y, %1)
        return z = %2
      }`),
    ).toEqual(['exp -> 1', 'add -> 1']);
  });

  it('turns views into indices', () => {
    expect(
      kernels(`func @f(%x: f32[4,6]) {
        %0 = transpose(%x) {permutation=[1,0]}
        %1 = reshape(%0) {shape=[24]}
        %2 = reverse(%1) {axes=[0]}
        %3 = neg(%2)
        return y = %3
      }`),
    ).toEqual(['neg -> 1']);
  });

  it('puts the gradient, the moment and the new weight into one kernel', () => {
    expect(
      kernels(`func @step(%x: f32[8,4], %d: f32[8,6], state %w: f32[4,6], state %m: f32[4,6], %rate: f32[]) {
        %g = dot(%x, %d) {contract=[[0],[0]], batch=[[],[]]}
        %beta = constant() {dtype=f32, shape=[4,6], data=[0.9]}
        %0 = mul(%m, %beta)
        %m2 = add(%0, %g)
        %lr = broadcast(%rate) {shape=[4,6], axes=[]}
        %1 = mul(%m2, %lr)
        %w2 = sub(%w, %1)
        return update w = %w2, update m = %m2
      }`).length,
    ).toBe(1);
  });

  it('puts what reads the same values over the same shape into one kernel, though no operand is made there', () => {
    expect(
      kernels(`func @step(%x: f32[80,64], %d: f32[80,96], state %m: f32[96,64], state %v: f32[96,64]) {
        %g = dot(%x, %d) {contract=[[0],[0]], batch=[[],[]]}
        %h = transpose(%g) {permutation=[1,0]}
        %0 = add(%m, %h)
        %1 = mul(%h, %h)
        %2 = add(%v, %1)
        return update m = %0, update v = %2
      }`),
    ).toEqual(['[dot] -> 1', 'add mul add -> 2']);
  });

  it('computes small things of one shape together, large ones only where they read the same', () => {
    const both = (size: number): string[] =>
      kernels(`func @f(%x: f32[${size}], %y: f32[${size}]) {
        %0 = exp(%x)
        %1 = log(%y)
        return a = %0, b = %1
      }`);
    expect(both(16)).toEqual(['exp log -> 2']);
    expect(both(65536)).toEqual(['exp -> 1', 'log -> 1']);
  });

  it('keeps an operation out of a kernel whose value it reads at another index', () => {
    expect(
      kernels(`func @f(%x: f32[4,4]) {
        %0 = exp(%x)
        %1 = transpose(%0) {permutation=[1,0]}
        %2 = add(%0, %1)
        return y = %2
      }`),
    ).toEqual(['exp -> 1', 'add -> 1']);
  });

  it('computes a cheap operation again where its one reader is, rather than storing it', () => {
    // The mask of a relu's gradient: relu itself is in memory for the pooling, so the comparison is not stored.
    expect(
      kernels(`func @f(%x: f32[8,4], %b: f32[8,4], %c: f32[8]) {
        %0 = add(%x, %b)
        %y = relu(%0)
        %s = reduce(%y) {kind=max, axes=[1]}
        %zero = constant() {dtype=f32, shape=[8,4], data=[0]}
        %m = gt(%y, %zero)
        %e = exp(%s)
        %1 = mul(%e, %c)
        %2 = broadcast(%1) {shape=[8,4], axes=[0]}
        %3 = exp(%2)
        %g = select(%m, %3, %zero)
        return g = %g
      }`),
    ).toEqual(['add relu -> 1', '[reduce] exp mul -> 1', 'gt exp select -> 1']);
  });

  it('computes a chain of cheap operations again where it reads no more than storing its result would touch', () => {
    // tanh's gradient: 1 − y² is not stored beside y. Of three values in memory the result is.
    const gradient = (factor: string) =>
      kernels(`func @f(%x: f32[8,4], %p: f32[8,4], %q: f32[8,4], %c: f32[8]) {
        %y = tanh(%x)
        %s = reduce(%y) {kind=max, axes=[1]}
        %0 = mul(%y, ${factor})
        %one = constant() {dtype=f32, shape=[8,4], data=[1]}
        %1 = sub(%one, %0)
        %e = exp(%s)
        %2 = mul(%e, %c)
        %3 = broadcast(%2) {shape=[8,4], axes=[0]}
        %4 = exp(%3)
        %5 = add(%1, ${factor === '%y' ? '%one' : '%q'})
        %g = mul(%5, %4)
        return y = %y, g = %g
      }`);
    expect(gradient('%y')[0]).toBe('tanh -> 1');
    expect(gradient('%p')[0]).toBe('tanh mul sub add -> 2');
  });

  it('computes it at once where its reader joins the same kernel', () => {
    expect(
      kernels(`func @f(%x: f32[8,4], %b: f32[8,4]) {
        %0 = exp(%x)
        %s = reduce(%0) {kind=max, axes=[1]}
        %1 = mul(%0, %b)
        %2 = add(%1, %0)
        return y = %2, s = %s
      }`),
    ).toEqual(['exp mul add -> 2', '[reduce] -> 1']);
  });

  it('never makes more kernels than operations', () => {
    const func = parseFunc(`func @f(%x: f32[8,4], %y: f32[8,4]) {
      %a = mul(%x, %y)
      %b = exp(%a)
      %c = reduce(%b) {kind=sum, axes=[0]}
      return c = %c
    }`);
    expect(withoutFusion(func, opTable).groups.length).toBe(3);
    expect(fuse(func, opTable).groups.length).toBe(1);
  });
});
