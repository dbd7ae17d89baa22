// Random numbers from explicit keys. A key is a tensor of two words, and what is drawn is a pure function of the key and
// the place in the result: the same on every target. Two draws from one key are the same numbers, so every draw has a key of
// its own, by `split` or `foldIn`. docs/randomness.md has the use, docs/numerics.md the bounds.

import type { Builder } from '../ir/builder.ts';
import { UserError } from '../ir/errors.ts';
import type { Value } from '../ir/graph.ts';
import { keyOf } from '../ir/philox.ts';
import { checkFloat, checkType, fail, refuse } from './checks.ts';
import type { Plain, Reduced, Shape } from './shape-types.ts';
import { normalProbability, standardNormal, standardNormalDouble } from './standard-normal.ts';
import { type AnyTensor, expectTensor, here, Tensor } from './tensor.ts';

/** Two words that decide all that is drawn. */
export type Key = Tensor<[2], 'u32'>;

/** N keys where N is a literal of at most 64. */
type Keys<N extends number, R extends Key[] = []> = number extends N
  ? Key[]
  : R['length'] extends N
    ? R
    : R['length'] extends 64
      ? Key[]
      : Keys<N, [...R, Key]>;

/** Counters: their last words differ, so that what is drawn and the keys that are derived never meet. `low` has further bits of a draw. */
const counters = { draw: [0, 0, 0, 0], split: [0, 0, 0, 1], fold: [0, 0, 0, 2], low: [0, 0, 0, 3] } as const;

/** What numbers of a continuous distribution may be stored in. */
export type RandomFloat = 'f32' | 'f64' | 'f16';

export interface DrawOptions<D extends RandomFloat = RandomFloat> {
  /** Default 'f32'. 'f64' takes a second word for each number; 'f16' is the f32 number, rounded, but for `uniform`. */
  readonly dtype?: D;
}

/** The key of a seed: its low and its high 32 bits, or a scalar that a function is given. Throws UserError for a seed that is no whole number. */
export function key(seed: number | Tensor<[], 'u32'> | Tensor<[], 'i32'>): Key {
  const b = here('random.key');
  if (typeof seed !== 'number') {
    const low = b.reshape(word(b, 'random.key', seed), { shape: [1] });
    return new Tensor(b.pad(low, { low: [0], high: [1], interior: [0], value: 0 }));
  }
  if (!Number.isSafeInteger(seed)) fail(`random.key: a seed that is a whole number expected, ${seed} given`);
  return new Tensor(b.constant({ dtype: 'u32', shape: [2], data: keyOf(seed) }));
}

/** `count` keys that have nothing to do with one another or with draws from the key: `const [a, b] = split(key, 2)`. */
export function split<const N extends number = 2>(from: Key, count?: N): Keys<N> {
  const many = keys(from, count ?? 2);
  const b = here('random.split');
  const row = (at: number): Value => b.slice(many.value, { starts: [at, 0], limits: [at + 1, 2], strides: [1, 1] });
  return Array.from({ length: count ?? 2 }, (_, at) => new Tensor(b.reshape(row(at), { shape: [2] }))) as Keys<N>;
}

/** The same keys as one tensor `[count, 2]`, for `vmap` and loops. */
export function keys<const N extends number>(from: Key, count: N): Tensor<[N, 2], 'u32'> {
  expectKey('random.split', from);
  checkType('random.split', 'u32', [count]);
  const b = here('random.split');
  return new Tensor(b.randomBits(from.value, zero(b), { shape: [count, 2], counter: counters.split }));
}

/** A key for each number: of a step, a layer, an example. */
export function foldIn(from: Key, data: number | Tensor<[], 'u32'> | Tensor<[], 'i32'>): Key {
  expectKey('random.foldIn', from);
  const b = here('random.foldIn');
  return new Tensor(b.randomBits(from.value, word(b, 'random.foldIn', data), { shape: [2], counter: counters.fold }));
}

/** Uniform 32-bit words. */
export function bits<const S extends Shape>(from: Key, shape: S): Tensor<Plain<S>, 'u32'> {
  return new Tensor(drawn('random.bits', from, shape)[1]);
}

export interface UniformOptions<D extends RandomFloat = RandomFloat> extends DrawOptions<D> {
  /** Default 0. */
  readonly low?: number;
  /** Default 1. */
  readonly high?: number;
}

/**
 * Uniform in [low, high), in steps of (high − low)/2²⁴, in f64 of (high − low)/2⁵³ and in f16 of (high − low)/2¹¹; rounding may give `high`
 * itself where low is not 0.
 */
export function uniform<const S extends Shape, D extends RandomFloat = 'f32'>(
  from: Key,
  shape: S,
  { low = 0, high = 1, dtype }: UniformOptions<D> = {},
): Tensor<Plain<S>, D> {
  if (!(low < high)) fail(`random.uniform: low below high expected, ${low} and ${high} given`);
  const [b, value] = unit('random.uniform', from, shape, dtype ?? 'f32');
  if (low === 0 && high === 1) return rounded(b, value, dtype);
  return rounded(b, b.add(b.mul(value, b.like(value, high - low)), b.like(value, low)), dtype);
}

export interface IntegerOptions<D extends 'i32' | 'u32' = 'i32' | 'u32'> {
  /** Default 0. */
  readonly low?: number;
  /** Above all that is drawn. */
  readonly high: number;
  /** Default 'i32'. */
  readonly dtype?: D;
}

/**
 * Whole numbers of [low, high): low + ⌊W·(high − low)/2⁶⁴⌋ with W of 64 random bits, the upper ones the word of `bits`. Each has the
 * probability of each other but for 2⁻⁶⁴. Throws UserError for bounds that are no whole numbers of the dtype.
 */
export function integers<const S extends Shape, D extends 'i32' | 'u32' = 'i32'>(
  from: Key,
  shape: S,
  { low = 0, high, dtype }: IntegerOptions<D>,
): Tensor<Plain<S>, D> {
  const type: 'i32' | 'u32' = dtype ?? 'i32';
  const [least, beyond] = type === 'i32' ? [-(2 ** 31), 2 ** 31] : [0, 2 ** 32];
  if (!(Number.isInteger(low) && Number.isInteger(high) && least <= low && low < high && high <= beyond))
    fail(`random.integers: whole numbers low below high in [${least}, ${beyond}] expected, ${low} and ${high} given`);
  const [b, upper] = drawn('random.integers', from, shape);
  const count = high - low;
  const number = count === 2 ** 32 ? upper : b.like(upper, count);
  const place = count === 2 ** 32 ? upper : productAbove(b, upper, lowWord(b, from, shape), number);
  return new Tensor(b.castTo(b.add(place, b.like(upper, low >>> 0)), type));
}

/** Standard normal, by the quantile function: one word each, up to 6.3 deviations; in f64 two, up to 9.1. */
export function normal<const S extends Shape, D extends RandomFloat = 'f32'>(
  from: Key,
  shape: S,
  { dtype }: DrawOptions<D> = {},
): Tensor<Plain<S>, D> {
  const [b, value] = drawn('random.normal', from, shape);
  const p = tail(b, value, dtype === 'f64' ? lowWord(b, from, shape) : null, 2 ** -32);
  const z = dtype === 'f64' ? standardNormalDouble(b, p) : standardNormal(b, p);
  const isNegative = b.ne(b.and(value, b.like(value, 1)), b.like(value, 0));
  return rounded(b, b.select(isNegative, z, b.neg(z)), dtype);
}

/** Standard normal on condition of low ≤ z ≤ high; by default within two deviations. */
export function truncatedNormal<const S extends Shape, D extends RandomFloat = 'f32'>(
  from: Key,
  shape: S,
  { low = -2, high = 2, dtype }: UniformOptions<D> = {},
): Tensor<Plain<S>, D> {
  if (!(low < high)) fail(`random.truncatedNormal: low below high expected, ${low} and ${high} given`);
  const [b, v] = open('random.truncatedNormal', from, shape, dtype);
  const quantile = dtype === 'f64' ? standardNormalDouble : standardNormal;
  return rounded(b, truncated(b, v, low, high, quantile), dtype);
}

/** True with probability p: a number, or a tensor that broadcasts with the shape. Throws UserError for a number outside [0, 1]. */
export function bernoulli<const S extends Shape>(
  from: Key,
  p: number | Tensor<Shape, 'f32' | 'f64'>,
  shape: S,
): Tensor<Plain<S>, 'bool'> {
  if (typeof p !== 'number') expectTensor('random.bernoulli', p, 'a probability');
  const dtype = typeof p !== 'number' && p.dtype === 'f64' ? 'f64' : 'f32';
  const [b, value] = unit('random.bernoulli', from, shape, dtype);
  if (typeof p !== 'number') return new Tensor(b.lt(value, b.broadcastTo(p.value, shape)));
  if (!(p >= 0 && p <= 1)) fail(`random.bernoulli: a probability in [0, 1] expected, ${p} given`);
  return new Tensor(b.lt(value, b.like(value, p)));
}

/** Exponential of rate 1: −log(1 − u). */
export function exponential<const S extends Shape, D extends RandomFloat = 'f32'>(
  from: Key,
  shape: S,
  { dtype }: DrawOptions<D> = {},
): Tensor<Plain<S>, D> {
  const [b, v] = open('random.exponential', from, shape, dtype);
  return rounded(b, b.neg(b.log(v)), dtype);
}

/** Gumbel's: −log(−log u). What `categorical` adds to logits. */
export function gumbel<const S extends Shape, D extends RandomFloat = 'f32'>(
  from: Key,
  shape: S,
  { dtype }: DrawOptions<D> = {},
): Tensor<Plain<S>, D> {
  const [b, v] = open('random.gumbel', from, shape, dtype);
  return rounded(b, gumbelOf(b, v), dtype);
}

/**
 * An index along the last axis with probability softmax(logits): argmax(logits + Gumbel noise). E. J. Gumbel, Statistical
 * theory of extreme values, 1954; C. J. Maddison et al., NeurIPS 2014, section 2.
 */
export function categorical<S extends Shape>(
  from: Key,
  logits: Tensor<S, RandomFloat>,
): Tensor<Reduced<S, -1, false>, 'i32'> {
  expectTensor('random.categorical', logits);
  checkFloat('random.categorical', logits);
  const { shape } = logits.value.type;
  if (shape.length === 0) refuse('random.categorical', [logits], 'at least one axis expected');
  const isDouble = logits.dtype === 'f64';
  const [b, v] = open('random.categorical', from, shape, isDouble ? 'f64' : 'f32');
  const noisy = b.add(isDouble ? logits.value : b.castTo(logits.value, 'f32'), gumbelOf(b, v));
  return new Tensor(b.argreduce(noisy, { kind: 'max', axis: shape.length - 1 }));
}

/**
 * 0 … count − 1 in random order: the order of random words. Equal words keep their order, which of all pairs one in 2³² does.
 */
export function permutation<const N extends number>(from: Key, count: N): Tensor<[N], 'i32'> {
  const [b, value] = drawn('random.permutation', from, [count]);
  return new Tensor(b.sort(value, { axis: 0, descending: false })[1]!);
}

export interface DropoutOptions {
  /**
   * Axes along which one decision holds for all elements: [2, 3] drops whole channels of images, [1] the same units at all
   * places of a sequence [N, T, C] (Y. Gal, Z. Ghahramani, NeurIPS 2016). Default: none.
   */
  readonly shared?: readonly number[];
}

/**
 * x with each element zero with probability `rate`, the others divided by 1 − rate. N. Srivastava et al., JMLR 15 (2014), with the
 * scale at training. Of `ones` it gives a mask, which a loop may use at every step. Throws UserError for a rate outside [0, 1).
 */
export function dropout<S extends Shape, D extends RandomFloat>(
  from: Key,
  x: Tensor<S, D>,
  rate: number,
  { shared = [] }: DropoutOptions = {},
): Tensor<S, D> {
  expectTensor('random.dropout', x);
  checkFloat('random.dropout', x);
  expectRate('random.dropout', rate);
  const { shape } = x.value.type;
  const axes = shared.map((axis) => (axis < 0 ? axis + shape.length : axis));
  if (!axes.every((axis) => axis in shape)) refuse('random.dropout', [x], `axes [${shared}] do not all exist`);
  if (rate === 0) return x;
  const decisions = shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const [b, value] = unit('random.dropout', from, decisions);
  const keeps = b.broadcastTo(b.ge(value, b.like(value, rate)), shape);
  return new Tensor(b.select(keeps, b.mul(x.value, b.like(x.value, 1 / (1 - rate))), b.like(x.value, 0)));
}

export function expectRate(callee: string, rate: number): void {
  if (!(rate >= 0 && rate < 1))
    throw new UserError(`${callee}: a rate of at least 0 and below 1 expected, ${rate} given`);
}

function expectKey(callee: string, from: AnyTensor): void {
  expectTensor(callee, from, 'a key');
  const { dtype, shape } = from.value.type;
  if (dtype !== 'u32' || shape.length !== 1 || shape[0] !== 2)
    refuse(callee, [from], 'a key u32[2] expected first, as random.key(seed) gives it');
}

const zero = (b: Builder): Value => b.fill({ dtype: 'u32', shape: [] }, 0);

/** A scalar as a word. */
function word(b: Builder, callee: string, data: number | AnyTensor): Value {
  if (typeof data === 'number') {
    if (!Number.isInteger(data) || data < 0 || data >= 2 ** 32)
      fail(`${callee}: a whole number of at least 0 and below 2^32 expected, ${data} given`);
    return b.fill({ dtype: 'u32', shape: [] }, data);
  }
  expectTensor(callee, data, 'a number or a scalar tensor');
  const { dtype, shape } = data.value.type;
  if ((dtype !== 'u32' && dtype !== 'i32') || shape.length > 0) refuse(callee, [data], 'a scalar u32 or i32 expected');
  return b.castTo(data.value, 'u32');
}

/** Words of a key in a shape. */
function drawn(callee: string, from: Key, shape: Shape): [Builder, Value] {
  expectKey(callee, from);
  checkType(callee, 'u32', shape);
  const b = here(callee);
  return [b, b.randomBits(from.value, zero(b), { shape: [...shape], counter: counters.draw })];
}

/** The further 32 bits of each number of f64. */
function lowWord(b: Builder, from: Key, shape: Shape): Value {
  return b.randomBits(from.value, zero(b), { shape: [...shape], counter: counters.low });
}

/** A word without its last `bits` bits, at least one, as a float. */
function upperBits(b: Builder, value: Value, bits: number, dtype: 'f32' | 'f64'): Value {
  return b.castTo(b.castTo(b.shr(value, b.like(value, bits)), 'i32'), dtype);
}

/** Stored as asked for: f16 is computed in f32. */
function rounded<S extends Shape, D extends RandomFloat>(b: Builder, value: Value, dtype?: D): Tensor<Plain<S>, D> {
  return new Tensor(dtype === 'f16' ? b.castTo(value, 'f16') : value) as unknown as Tensor<Plain<S>, D>;
}

/**
 * The upper 24 bits as a number in [0, 1): exact in f32, so that comparisons decide alike on every target. Of f16 the upper 11; of f64
 * 53, the further ones from the second word.
 */
function unit(callee: string, from: Key, shape: Shape, dtype: RandomFloat = 'f32'): [Builder, Value] {
  const [b, value] = drawn(callee, from, shape);
  if (dtype !== 'f64') {
    const bits = dtype === 'f16' ? 11 : 24;
    const whole = upperBits(b, value, 32 - bits, 'f32');
    return [b, b.mul(whole, b.like(whole, 2 ** -bits))];
  }
  const upper = b.castTo(value, 'f64');
  const lower = upperBits(b, lowWord(b, from, shape), 11, 'f64');
  return [b, b.add(b.mul(upper, b.like(upper, 2 ** -32)), b.mul(lower, b.like(lower, 2 ** -53)))];
}

/** A number in (0, 1) that has its digits where it is small. */
function open(callee: string, from: Key, shape: Shape, dtype: RandomFloat = 'f32'): [Builder, Value] {
  const [b, value] = drawn(callee, from, shape);
  return [b, tail(b, value, dtype === 'f64' ? lowWord(b, from, shape) : null, 2 ** -31)];
}

/** The upper 31 bits, and a half or the further bits of f64, times a scale: a number above 0 that has its digits where it is small. */
function tail(b: Builder, value: Value, further: Value | null, scale: number): Value {
  const whole = upperBits(b, value, 1, further === null ? 'f32' : 'f64');
  if (further === null) return b.mul(b.add(whole, b.like(whole, 0.5)), b.like(whole, scale));
  const rest = b.castTo(further, 'f64');
  const fraction = b.mul(b.add(rest, b.like(rest, 0.5)), b.like(rest, 2 ** -32));
  return b.mul(b.add(whole, fraction), b.like(whole, scale));
}

/** The upper 32 bits of the 96 of (upper·2³² + lower) · number, from products of 16 bits, which u32 holds. */
function productAbove(b: Builder, upper: Value, lower: Value, number: Value): Value {
  const [high, carried] = [product(b, upper, number), product(b, lower, number)];
  const sum = b.add(high.low, carried.high);
  return b.add(high.high, b.castTo(b.lt(sum, carried.high), 'u32'));
}

/** x · y of words as two words. */
function product(b: Builder, x: Value, y: Value): { readonly high: Value; readonly low: Value } {
  const upper = (word: Value): Value => b.shr(word, b.like(word, 16));
  const lower = (word: Value): Value => b.and(word, b.like(word, 0xffff));
  const low = b.mul(lower(x), lower(y));
  const first = b.add(b.mul(upper(x), lower(y)), upper(low));
  const second = b.add(b.mul(lower(x), upper(y)), lower(first));
  return { high: b.add(b.add(b.mul(upper(x), upper(y)), upper(first)), upper(second)), low: b.mul(x, y) };
}

/** −log(−log(1 − v)), v small where the result is large; 1 itself, to which the largest v round, would be −∞. */
function gumbelOf(b: Builder, v: Value): Value {
  const most = v.type.dtype === 'f64' ? 1 - 2 ** -53 : 1 - 2 ** -24;
  return b.neg(b.log(b.neg(b.log1p(b.neg(b.min(v, b.like(v, most)))))));
}

/** The quantile of Φ(low) + v·(Φ(high) − Φ(low)), on the side of zero where both have their digits. */
function truncated(b: Builder, v: Value, low: number, high: number, quantile: typeof standardNormal): Value {
  if (low > 0) return b.neg(truncated(b, v, -high, -low, quantile));
  const below = normalProbability(low);
  const p = b.add(b.mul(v, b.like(v, normalProbability(high) - below)), b.like(v, below));
  const isUpper = b.gt(p, b.like(p, 0.5));
  const z = quantile(b, b.select(isUpper, b.sub(b.like(p, 1), p), p));
  return b.max(b.min(b.select(isUpper, b.neg(z), z), b.like(z, high)), b.like(z, low));
}
