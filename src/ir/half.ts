// IEEE 754 binary16, which JavaScript has no arrays of in every runtime: its numbers as bits and back.

/** The number that 16 bits stand for. */
export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** The nearest f16, ties to even; beyond the largest (65504) by half a unit or more it is infinity. */
export function roundToHalf(value: number): number {
  const size = Math.abs(value);
  if (Number.isNaN(value) || size === Number.POSITIVE_INFINITY || size === 0) return value;
  if (size >= 65_520) return value < 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  // Ten bits follow the leading one; below 2⁻¹⁴ the unit stays.
  const unit = 2 ** (Math.max(-14, exponentOf(size)) - 10);
  return Math.sign(value) * nearestEven(size / unit) * unit;
}

/** The bits of the nearest f16. */
export function toHalfBits(value: number): number {
  const rounded = roundToHalf(value);
  if (Number.isNaN(rounded)) return 0x7e00;
  const sign = rounded < 0 || Object.is(rounded, -0) ? 0x8000 : 0;
  const size = Math.abs(rounded);
  if (size === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | (size * 2 ** 24);
  const exponent = exponentOf(size);
  return sign | ((exponent + 15) << 10) | ((size / 2 ** exponent - 1) * 1024);
}

/** The bits of the nearest f16 of each number; an array of bits is what it is. */
export function halfBits(data: ArrayLike<number>): Uint16Array {
  if (data instanceof Uint16Array) return data;
  return data instanceof Float32Array ? singlesToHalfBits(data) : Uint16Array.from(data, toHalfBits);
}

/** The nearest f16 of each number. */
export function nearestHalves(data: ArrayLike<number>): Float32Array {
  const bits = halfBits(data);
  const numbers = Float32Array.from({ length: 2 ** 16 }, (_, half) => fromHalfBits(half));
  return new Float32Array(bits.length).map((_, i) => numbers[bits[i]!]!);
}

/** The same as `toHalfBits` of each, from the bits of f32: 4 ns a number instead of 400, and networks have a hundred million. */
function singlesToHalfBits(data: Float32Array): Uint16Array {
  const singles = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const halves = new Uint16Array(data.length);
  for (let i = 0; i < halves.length; i++) halves[i] = halfOfSingle(singles[i]!);
  return halves;
}

function halfOfSingle(single: number): number {
  const sign = (single >>> 16) & 0x8000;
  const size = single & 0x7fffffff;
  if (size > 0x7f800000) return 0x7e00;
  // From 2¹⁶ on, and infinity: what lies between 65504 and there is rounded below, and carries into it.
  if (size >= 0x47800000) return sign | 0x7c00;
  if (size >= 0x38800000) return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
  // Below 2⁻¹⁴ halves are multiples of 2⁻²⁴; half of that and less is zero.
  if (size <= 0x33000000) return sign;
  const shift = 126 - (size >>> 23);
  const fraction = (size & 0x7fffff) | 0x800000;
  return sign | ((fraction + (1 << (shift - 1)) - 1 + ((fraction >>> shift) & 1)) >>> shift);
}

/** ⌊log₂⌋ of a positive number. */
function exponentOf(size: number): number {
  const guess = Math.floor(Math.log2(size));
  return 2 ** guess > size ? guess - 1 : 2 ** (guess + 1) <= size ? guess + 1 : guess;
}

function nearestEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
