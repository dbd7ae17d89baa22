// Philox 4x32-10, the counter-based generator: random words are a pure function of a counter and a key, so a stream
// needs no state and is the same on every platform. (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as
// 1, 2, 3. SC'11, section 3.3 and table 2.)

export type Words4 = readonly [number, number, number, number];
export type Words2 = readonly [number, number];

const multipliers: Words2 = [0xd2511f53, 0xcd9e8d57];
/** Added to the key after each round: the golden ratio and √3 − 1, in 32 bits. */
const weyl: Words2 = [0x9e3779b9, 0xbb67ae85];
const rounds = 10;

/** The upper 32 bits of the 64-bit product of two unsigned words, in 16-bit halves since doubles hold only 53 bits. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/** Four unsigned 32-bit words of a counter of four words under a key of two. */
export function philox4x32(counter: Words4, key: Words2): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multipliers[0], c0);
    const low0 = Math.imul(multipliers[0], c0) >>> 0;
    const high1 = multiplyHigh(multipliers[1], c2);
    const low1 = Math.imul(multipliers[1], c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + weyl[0]) >>> 0;
    k1 = (k1 + weyl[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** A seed that may exceed 32 bits as a key: its low and its high word. */
export function keyOf(seed: number): Words2 {
  return [seed >>> 0, Math.floor(seed / 0x100000000) >>> 0];
}

/** Two words as a number in [0, 1) with 53 random bits. */
export function unitInterval(high: number, low: number): number {
  return (high * 0x200000 + (low >>> 11)) / 0x20000000000000;
}
