// Weights in a file of their own: where each array lies in it, and the C that binds the file's bytes. The file is nothing
// but the arrays, little-endian and row-major as kernels read them, each at a multiple of 64 bytes. What it must contain is
// known by its length and its XXH64 (seed 0; github.com/Cyan4973/xxHash, doc/xxhash_spec.md): a hash that is computed as
// fast as memory is read, so that a large file costs a first touch of its pages and no more.

import { InternalError } from '../../ir/errors.ts';
import { bytesPerElement, sizeOf, type TensorType } from '../../ir/types.ts';
import { statusOf } from './status.ts';

/** Elements of an array, in memory of whatever kind. */
export type Elements = ArrayLike<number> | BigInt64Array;

export interface Weight {
  readonly type: TensorType;
  readonly elements: Elements;
  /** Byte offset in the file, a multiple of 64. */
  readonly at: number;
}

/** An array begins at a cache line, and the file's length is a number of them. */
export const weightAlignment = 64;

/** A file of weights as it is laid out; the same array stands once. */
export class WeightsLayout {
  readonly weights: readonly Weight[];
  readonly bytes: number;
  readonly #places = new Map<Elements, number>();

  constructor(arrays: readonly (readonly [TensorType, Elements])[]) {
    let at = 0;
    const weights: Weight[] = [];
    for (const [type, elements] of arrays) {
      if (this.#places.has(elements)) continue;
      this.#places.set(elements, at);
      weights.push({ type, elements, at });
      const bytes = sizeOf(type.shape) * bytesPerElement[type.dtype];
      at += Math.ceil(bytes / weightAlignment) * weightAlignment;
    }
    this.weights = weights;
    this.bytes = at;
  }

  /** The byte offset of an array. */
  placeOf(elements: Elements): number {
    const at = this.#places.get(elements);
    if (at === undefined) throw new InternalError('an array has no place in the file of weights');
    return at;
  }
}

/** A file of weights that a program is bound to. */
export interface BoundWeights {
  readonly layout: WeightsLayout;
  /** The XXH64 of its bytes. */
  readonly hash: bigint;
}

/** The functions that bind a file: its hash, and the checks. */
export function printBinding(name: string, { layout, hash }: BoundWeights): string {
  const status = (key: Parameters<typeof statusOf>[1]): string => statusOf(name, key);
  return `#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the file of weights is little-endian; export the weights within the code for this machine"
#endif

static inline uint64_t ash_rotate(uint64_t value, int by) {
  return value << by | value >> (64 - by);
}

static inline uint64_t ash_round(uint64_t sum, uint64_t word) {
  return ash_rotate(sum + word * UINT64_C(0xC2B2AE3D27D4EB4F), 31) * UINT64_C(0x9E3779B185EBCA87);
}

/* XXH64 with seed 0 of bytes whose number is a multiple of 32. */
static uint64_t ash_hash(const unsigned char *bytes, size_t count) {
  uint64_t sums[4] = {UINT64_C(0x60EA27EEADC0B5D6), UINT64_C(0xC2B2AE3D27D4EB4F), 0, UINT64_C(0x61C8864E7A143579)};
  for (size_t at = 0; at < count; at += 32) {
    uint64_t words[4];
    memcpy(words, bytes + at, sizeof words);
    for (int i = 0; i < 4; i++) sums[i] = ash_round(sums[i], words[i]);
  }
  uint64_t hash = ash_rotate(sums[0], 1) + ash_rotate(sums[1], 7) + ash_rotate(sums[2], 12) + ash_rotate(sums[3], 18);
  for (int i = 0; i < 4; i++)
    hash = (hash ^ ash_round(0, sums[i])) * UINT64_C(0x9E3779B185EBCA87) + UINT64_C(0x85EBCA77C2B2AE63);
  hash += count;
  hash = (hash ^ hash >> 33) * UINT64_C(0xC2B2AE3D27D4EB4F);
  hash = (hash ^ hash >> 29) * UINT64_C(0x165667B19E3779F9);
  return hash ^ hash >> 32;
}

#define ASH_WEIGHTS_HASH UINT64_C(0x${hash.toString(16).padStart(16, '0')})

int ${name}_bind_weights(${name}_weights *weights, const void *bytes, size_t count) {
  if (weights == NULL || bytes == NULL) return ${status('nullPointer')};
  weights->bytes = NULL;
  weights->hash = 0;
  if ((uintptr_t)bytes % ${weightAlignment} != 0) return ${status('misalignedWeights')};
  if (count != ${layout.bytes}) return ${status('wrongWeightsLength')};
  if (ash_hash((const unsigned char *)bytes, count) != ASH_WEIGHTS_HASH) return ${status('wrongWeightsHash')};
  weights->bytes = bytes;
  weights->hash = ASH_WEIGHTS_HASH;
  return ${status('ok')};
}`;
}
