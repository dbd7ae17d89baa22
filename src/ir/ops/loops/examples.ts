// Examples of loops for the tests that walk the operation table.

import type { OpExample } from '../../optable.ts';

const example = (...functions: readonly string[]): OpExample => ({ text: functions.join('\n') });

/** h' = tanh(x + W h), with h as output. */
const recurrence = `func @step(%w: f32[3,3], %h: f32[3], %x: f32[3]) {
  %0 = dot(%w, %h) {contract=[[1],[0]], batch=[[],[]]}
  %1 = add(%x, %0)
  %2 = tanh(%1)
  return h = %2, y = %2
}`;

export const scanExamples: readonly OpExample[] = [
  example(
    recurrence,
    `func @f(%w: f32[3,3], %h: f32[3], %x: f32[4,3]) {
  %last, %all = scan(%w, %h, %x) {body=@step, length=4, reverse=false, consts=1, carries=1, residuals=keep}
  return last = %last, all = %all
}`,
  ),
  example(
    recurrence,
    `func @f(%w: f32[3,3], %h: f32[3], %x: f32[4,3]) {
  %last, %all = scan(%w, %h, %x) {body=@step, length=4, reverse=true, consts=1, carries=1, residuals=keep}
  return all = %all
}`,
  ),
  example(
    recurrence,
    `func @f(%w: f32[3,3], %h: f32[3], %x: f32[4,3]) {
  %last, %all = scan(%w, %h, %x) {body=@step, length=4, reverse=false, consts=1, carries=1, residuals=recompute}
  return last = %last, all = %all
}`,
  ),
  // No carry, two sequences of different types, two outputs.
  example(
    `func @step(%c: f32[2], %x: f32[2], %flag: bool[2]) {
  %0 = mul(%x, %c)
  %1 = select(%flag, %0, %x)
  %2 = not(%flag)
  return y = %1, not = %2
}`,
    `func @f(%c: f32[2], %x: f32[3,2], %flag: bool[3,2]) {
  %y, %n = scan(%c, %x, %flag) {body=@step, length=3, reverse=false, consts=1, carries=0, residuals=keep}
  return y = %y, n = %n
}`,
  ),
  // No sequence: carries swap, an integer counts, and the step at hand is a carry.
  example(
    `func @step(%a: f32[2], %b: f32[2], %i: i32[]) {
  %0 = sin(%b)
  %1 = constant() {dtype=i32, shape=[], data=[1]}
  %2 = add(%i, %1)
  %3 = mul(%a, %b)
  return a = %0, b = %a, i = %2, product = %3
}`,
    `func @f(%a: f32[2], %b: f32[2]) {
  %0 = constant() {dtype=i32, shape=[], data=[0]}
  %p, %q, %i, %product = scan(%a, %b, %0) {body=@step, length=5, reverse=false, consts=0, carries=3, residuals=keep}
  return p = %p, q = %q, i = %i, product = %product
}`,
  ),
  // A scan within a scan: rows of a matrix, then its elements.
  example(
    `func @inner(%k: f32[], %sum: f32[], %x: f32[]) {
  %0 = mul(%sum, %k)
  %1 = add(%0, %x)
  return sum = %1
}`,
    `func @outer(%k: f32[], %all: f32[], %row: f32[3]) {
  %0 = scan(%k, %all, %row) {body=@inner, length=3, reverse=true, consts=1, carries=1, residuals=keep}
  %1 = sin(%0)
  return all = %1, row = %0
}`,
    `func @f(%k: f32[], %start: f32[], %x: f32[2,3]) {
  %all, %rows = scan(%k, %start, %x) {body=@outer, length=2, reverse=false, consts=1, carries=1, residuals=keep}
  return all = %all, rows = %rows
}`,
  ),
  // One step, and none: the carries stay, outputs are empty.
  example(
    recurrence,
    `func @f(%w: f32[3,3], %h: f32[3], %x: f32[1,3]) {
  %last, %all = scan(%w, %h, %x) {body=@step, length=1, reverse=false, consts=1, carries=1, residuals=keep}
  return last = %last, all = %all
}`,
  ),
  example(
    recurrence,
    `func @f(%w: f32[3,3], %h: f32[3], %x: f32[0,3]) {
  %last, %all = scan(%w, %h, %x) {body=@step, length=0, reverse=false, consts=1, carries=1, residuals=keep}
  return last = %last, all = %all
}`,
  ),
];

/** x ← k·x + 1, n ← n + 1 while max |x| < 20. */
const growth = [
  `func @goes_on(%k: f32[3], %x: f32[3], %n: i32[]) {
  %0 = abs(%x)
  %1 = reduce(%0) {kind=max, axes=[0]}
  %2 = constant() {dtype=f32, shape=[], data=[20]}
  %3 = lt(%1, %2)
  return goes_on = %3
}`,
  `func @grown(%k: f32[3], %x: f32[3], %n: i32[]) {
  %0 = mul(%k, %x)
  %1 = constant() {dtype=f32, shape=[3], data=[1]}
  %2 = add(%0, %1)
  %3 = constant() {dtype=i32, shape=[], data=[1]}
  %4 = add(%n, %3)
  return x = %2, n = %4
}`,
];

const grow = (limit: string): string => `func @f(%k: f32[3], %x: f32[3]) {
  %0 = constant() {dtype=i32, shape=[], data=[0]}
  %y, %n = while(%k, %x, %0) {condition=@goes_on, body=@grown, consts=1, limit=${limit}}
  return y = %y, n = %n
}`;

export const whileExamples: readonly OpExample[] = [
  example(...growth, grow('12')),
  example(...growth, grow('2')),
  example(...growth, grow('0')),
  // Newton's iteration for the root of positive numbers, until it moves no more. Without a limit it has no reverse derivative.
  {
    ...example(
      `func @moves(%a: f32[], %x: f32[], %before: f32[]) {
  %0 = sub(%x, %before)
  %1 = abs(%0)
  %2 = constant() {dtype=f32, shape=[], data=[1e-3]}
  %3 = gt(%1, %2)
  return moves = %3
}`,
      `func @newton(%a: f32[], %x: f32[], %before: f32[]) {
  %0 = div(%a, %x)
  %1 = add(%x, %0)
  %2 = constant() {dtype=f32, shape=[], data=[0.5]}
  %3 = mul(%1, %2)
  return x = %3, before = %x
}`,
      `func @f(%given: f32[]) {
  %0 = mul(%given, %given)
  %1 = constant() {dtype=f32, shape=[], data=[1]}
  %a = add(%0, %1)
  %2 = constant() {dtype=f32, shape=[], data=[0]}
  %root, %before = while(%a, %1, %2) {condition=@moves, body=@newton, consts=1, limit=null}
  return root = %root
}`,
    ),
    differentiable: false,
  },
];

export const condExamples: readonly OpExample[] = [
  example(
    `func @up(%x: f32[3], %y: f32[3]) {
  %0 = mul(%x, %y)
  %1 = exp(%y)
  return a = %0, b = %1
}`,
    `func @down(%x: f32[3], %y: f32[3]) {
  %0 = sin(%x)
  return a = %0, b = %x
}`,
    `func @f(%x: f32[3], %y: f32[3], %p: bool[]) {
  %a, %b = cond(%p, %x, %y) {then=@up, otherwise=@down, residuals=keep}
  return a = %a, b = %b
}`,
  ),
  // A branch without arguments, chosen by a value; within it a loop.
  example(
    `func @step(%h: f32[2], %x: f32[2]) {
  %0 = mul(%h, %x)
  return h = %0
}`,
    `func @product(%x: f32[3,2], %h: f32[2]) {
  %0 = scan(%h, %x) {body=@step, length=3, reverse=false, consts=0, carries=1, residuals=keep}
  return y = %0
}`,
    `func @sum(%x: f32[3,2], %h: f32[2]) {
  %0 = reduce(%x) {kind=sum, axes=[0]}
  return y = %0
}`,
    `func @f(%x: f32[3,2], %h: f32[2]) {
  %0 = reduce(%h) {kind=sum, axes=[0]}
  %1 = constant() {dtype=f32, shape=[], data=[0.25]}
  %2 = gt(%0, %1)
  %y = cond(%2, %x, %h) {then=@product, otherwise=@sum, residuals=keep}
  return y = %y
}`,
  ),
];
