// Contractions of bytes: Σ (q − z) · w, where q is a byte without sign and w a constant one with sign. The direct form over words of
// four bytes: those of the image lie side by side in memory, those of the weights are packed, and `dot4` sums four products. The
// products have q alone; what z takes away is the same for all pixels, z · Σ w, and is added to each finished sum.

import type { Node } from '../ir/graph.ts';
import { type Axis, add, axis, coefficientOf, fixed, flatten, type IndexExpr, multiply, of } from '../ir/index-expr.ts';
import {
  apply,
  type Buffer,
  castTo,
  choose,
  type Expr,
  indexValue,
  type LoadExpr,
  literal,
  load,
  loadWord,
  localValue,
  type Stmt,
} from '../ir/kernel.ts';
import { substituteAxes, substituteIndex } from './expr-rewrite.ts';
import type { GroupContext, KernelBody } from './group.ts';
import { axisMap, elementLoops, extentOf, nest } from './loops.ts';
import { type DirectProblem, lowerReadable } from './lower-direct.ts';
import { type DirectSchedule, formTarget } from './schedule.ts';

/** An i32 as a byte without sign less a zero point. */
interface Centred {
  readonly byte: Expr;
  readonly zero: number;
}

/** The byte that an expression widens; null where it is none. Where a condition gives 0 instead, the byte is the zero point. */
function centred(expr: Expr): Centred | null {
  if (expr.kind === 'cast' && expr.dtype === 'i32') {
    if (expr.value.dtype === 'u8') return { byte: expr.value, zero: 0 };
    // Turning the sign around adds 128.
    if (expr.value.dtype === 'i8')
      return { byte: castTo('u8', apply('xor', expr.value, literal('i8', -128))), zero: 128 };
    return null;
  }
  if (expr.kind === 'apply' && expr.op === 'sub') {
    const [from, less] = expr.args as [Expr, Expr];
    const inner = centred(from);
    if (inner === null || less.kind !== 'literal') return null;
    const zero = inner.zero + less.value;
    return zero >= 0 && zero <= 255 ? { byte: inner.byte, zero } : null;
  }
  if (expr.kind === 'select' && expr.otherwise.kind === 'literal' && expr.otherwise.value === 0) {
    const then = centred(expr.then);
    return then && { byte: choose(expr.condition, then.byte, literal('u8', then.zero)), zero: then.zero };
  }
  return null;
}

/** True where a contraction of i32 is one of bytes by constant bytes, and the target has vectors. */
export function isOfBytes({ target, isConstant }: GroupContext, { image, weights }: DirectProblem): boolean {
  const isByte = weights.kind === 'cast' && weights.dtype === 'i32' && weights.value.dtype === 'i8';
  return formTarget(target).vectorBytes > 0 && isByte && isConstant(weights) && centred(image) !== null;
}

/** The kernels: the copy of the image in bytes where it does not lie so, the weights, what they add, and the contraction. */
export function lowerBytes(
  context: GroupContext,
  anchor: Node,
  problem: DirectProblem,
  schedule: DirectSchedule,
): KernelBody[] {
  const { byte, zero } = centred(problem.image)!;
  const run = inPlaceRun(byte, problem.inner);
  const staged = run === null ? stageBytes(context, problem) : null;
  const image = run === null ? staged!.image : (byte as LoadExpr);
  const words = wordsOf(problem, image, run ?? runOf(image.offset, problem.inner)!);
  const correction = zero === 0 ? null : corrections(context, problem, zero);
  return [
    ...(staged === null ? [] : [{ suffix: '_bytes', body: staged.body, flops: 0 }]),
    ...(correction === null ? [] : [{ suffix: '_zero', body: correction.body, flops: 0 }]),
    ...lowerReadable(
      context,
      anchor,
      {
        ...problem,
        ...words,
        product: 'dot4',
        ...(correction === null ? {} : { corrected: (map, sum) => apply('add', sum, correction.at(map)) }),
      },
      words.image,
      schedule,
    ),
  ];
}

const bytesOfWord = 4;

/** The summed axes that lie side by side in memory, slowest first; null where none steps from byte to byte. */
function runOf(offset: IndexExpr, inner: readonly Axis[]): Axis[] | null {
  const run: Axis[] = [];
  let step = 1;
  for (;;) {
    const next = inner.find(
      (candidate) => candidate.extent > 1 && !run.includes(candidate) && coefficientOf(offset, candidate) === step,
    );
    if (next === undefined) break;
    run.unshift(next);
    step *= next.extent;
  }
  return run.length === 0 ? null : run;
}

/** The run of an image that is read where it lies: in whole words, at offsets that are sums over axes. */
function inPlaceRun(byte: Expr, inner: readonly Axis[]): Axis[] | null {
  if (byte.kind !== 'load' || byte.offset.terms.some(({ atom }) => atom.kind !== 'axis')) return null;
  const run = runOf(byte.offset, inner);
  return run !== null && extentOf(run) % bytesOfWord === 0 ? run : null;
}

/** The contraction over words: the run's axes become one of words. */
function wordsOf(
  { inner, weights }: DirectProblem,
  image: LoadExpr,
  run: readonly Axis[],
): Pick<DirectProblem, 'inner' | 'weights'> & { readonly image: LoadExpr } {
  const length = extentOf(run);
  const word = axis('word', Math.ceil(length / bytesOfWord));
  const first = multiply(of(word), bytesOfWord);
  const still = substituteIndex(image.offset, new Map(run.map((next) => [next, fixed(0)])));
  const byteAt = (place: number): Expr => {
    const at = add(first, fixed(place));
    const weight = substituteAxes(weights, new Map(axisMap(run, at)));
    const inside = apply('lt', indexValue(at), literal('i32', length));
    const value = length % bytesOfWord === 0 ? weight : choose(inside, weight, literal('i32', 0));
    return apply('shl', apply('and', value, literal('i32', 255)), literal('i32', 8 * place));
  };
  return {
    inner: [...inner.filter((next) => !run.includes(next)), word],
    weights: [1, 2, 3].reduce((all, place) => apply('or', all, byteAt(place)), byteAt(0)),
    image: loadWord(image.buffer, add(still, first)) as LoadExpr,
  };
}

/**
 * A copy of the image in bytes, padding included: axes that no summed one moves first, channels last. The last word may be read
 * beyond it.
 */
function stageBytes(context: GroupContext, { window, inner }: DirectProblem): { image: LoadExpr; body: Stmt[] } {
  const axes = window.shape.map((extent, position) => axis(`p${position}`, extent));
  const element = window.element(context.operandOf, axes.map(of));
  const { byte } = centred(element)!;
  const speed = (position: number): number =>
    position === window.channels ? 2 : inner.some((next) => coefficientOf(window.index[position]!, next) !== 0) ? 1 : 0;
  const order = axes.map((_, position) => position).sort((a, b) => speed(a) - speed(b));
  const extents = order.map((position) => window.shape[position]!);
  const size = extents.reduce((product, extent) => product * extent, 1);
  const buffer = context.scratch('bytes', 'u8', size + bytesOfWord - 1);
  const at = (index: readonly IndexExpr[]): IndexExpr =>
    flatten(
      order.map((position) => index[position]!),
      extents,
    );
  const store: Stmt = { kind: 'store', buffer, offset: at(axes.map(of)), value: byte };
  const body = elementLoops(
    order.map((position) => axes[position]!),
    [store],
    1,
  );
  return { image: load(buffer, at(window.index)) as LoadExpr, body };
}

/** −zero · Σ w for each feature: constants, which are prepared. */
function corrections(
  context: GroupContext,
  { batch, features, inner, weights }: DirectProblem,
  zero: number,
): { at: (map: ReadonlyMap<Axis, IndexExpr>) => Expr; body: Stmt[] } {
  const axes = [...batch, ...features];
  const buffer: Buffer = context.scratch('zero_sums', 'i32', extentOf(axes));
  const sum = { name: 'sum', dtype: 'i32', lanes: 1 } as const;
  const offset = flatten(
    axes.map(of),
    axes.map(({ extent }) => extent),
  );
  const value = apply('mul', localValue(sum), literal('i32', -zero));
  const body = nest(axes, 'serial', [
    { kind: 'accumulator', local: sum, initial: literal('i32', 0) },
    ...nest(inner, 'serial', [{ kind: 'accumulate', local: sum, monoid: 'sum', value: weights }]),
    { kind: 'store', buffer, offset, value },
  ]);
  return { body, at: (map) => load(buffer, substituteIndex(offset, map)) };
}
