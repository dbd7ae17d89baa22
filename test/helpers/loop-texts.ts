// Loops that several tests run, in text form.

/** Long short-term memory: one product, four gates, two carries, the hidden state stacked. */
export const memoryCell = (hidden: number, batch = 1, length = 6): string[] => [
  `func @cell(%w: f32[${hidden},${4 * hidden}], %h: f32[${batch},${hidden}], %c: f32[${batch},${hidden}], %x: f32[${batch},${4 * hidden}]) {
  %0 = dot(%h, %w) {contract=[[1],[0]], batch=[[],[]]}
  %1 = add(%0, %x)
  %2 = slice(%1) {starts=[0,0], limits=[${batch},${hidden}], strides=[1,1]}
  %3 = slice(%1) {starts=[0,${hidden}], limits=[${batch},${2 * hidden}], strides=[1,1]}
  %4 = slice(%1) {starts=[0,${2 * hidden}], limits=[${batch},${3 * hidden}], strides=[1,1]}
  %5 = slice(%1) {starts=[0,${3 * hidden}], limits=[${batch},${4 * hidden}], strides=[1,1]}
  %i = tanh(%2)
  %f = tanh(%3)
  %g = tanh(%4)
  %o = tanh(%5)
  %6 = mul(%f, %c)
  %7 = mul(%i, %g)
  %next = add(%6, %7)
  %8 = tanh(%next)
  %y = mul(%o, %8)
  return h = %y, c = %next, y = %y
}`,
  `func @f(%w: f32[${hidden},${4 * hidden}], %h: f32[${batch},${hidden}], %c: f32[${batch},${hidden}], %x: f32[${length},${batch},${4 * hidden}]) {
  %h1, %c1, %all = scan(%w, %h, %c, %x) {body=@cell, length=${length}, reverse=false, consts=1, carries=2, residuals=keep}
  return h = %h1, c = %c1, all = %all
}`,
];

/** Three rounds by a condition, each a product and one of two branches with products of their own: enough for a team. */
export const decidedRounds: readonly string[] = [
  'func @few(%m: f32[192,192], %x: f32[64,192], %k: i32[]) { %0 = constant() {dtype=i32, shape=[], data=[3]}\n %1 = lt(%k, %0)\n return go = %1 }',
  'func @twice(%m: f32[192,192], %x: f32[64,192]) { %0 = dot(%x, %m) {contract=[[1],[0]], batch=[[],[]]}\n %1 = tanh(%0)\n return x = %1 }',
  'func @across(%m: f32[192,192], %x: f32[64,192]) { %0 = dot(%x, %m) {contract=[[1],[1]], batch=[[],[]]}\n %1 = sin(%0)\n return x = %1 }',
  `func @round(%m: f32[192,192], %x: f32[64,192], %k: i32[]) {
  %0 = dot(%x, %m) {contract=[[1],[0]], batch=[[],[]]}
  %1 = tanh(%0)
  %2 = constant() {dtype=i32, shape=[], data=[1]}
  %3 = eq(%k, %2)
  %4 = cond(%3, %m, %1) {then=@twice, otherwise=@across, residuals=keep}
  %5 = add(%k, %2)
  return x = %4, k = %5
}`,
  `func @f(%m: f32[192,192], %x: f32[64,192]) {
  %0 = constant() {dtype=i32, shape=[], data=[0]}
  %1 = constant() {dtype=f32, shape=[192,192], data=[0.25]}
  %small = mul(%m, %1)
  %y, %k = while(%small, %x, %0) {condition=@few, body=@round, consts=1, limit=null}
  return y = %y, k = %k
}`,
];
