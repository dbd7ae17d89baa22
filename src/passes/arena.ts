// The arena: one block of memory for every intermediate. Buffers are placed in the order of the kernels; a buffer's
// bytes return to the free list after the last kernel that reads it, and the tightest free block is taken.

/** When a buffer is alive, in kernel positions, both ends included. */
export interface Lifetime {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

export interface ArenaPlan {
  /** Byte offset per lifetime, in the order given. */
  readonly offsets: readonly number[];
  readonly bytes: number;
}

interface Block {
  offset: number;
  bytes: number;
}

/** Every offset is a multiple of `alignment`. */
export function planArena(lifetimes: readonly Lifetime[], alignment: number): ArenaPlan {
  const offsets = new Array<number>(lifetimes.length).fill(0);
  const starts = bucketBy(lifetimes, (lifetime) => lifetime.first);
  const ends = bucketBy(lifetimes, (lifetime) => lifetime.last);
  const free: Block[] = [];
  let top = 0;
  const positions = [...new Set([...starts.keys(), ...ends.keys()])].sort((a, b) => a - b);
  for (const position of positions) {
    // Larger buffers first: they have the fewest places to go.
    const begin = (starts.get(position) ?? []).sort((a, b) => lifetimes[b]!.bytes - lifetimes[a]!.bytes);
    for (const index of begin) {
      const bytes = aligned(lifetimes[index]!.bytes, alignment);
      const found = takeTightest(free, bytes);
      if (found !== null) offsets[index] = found;
      else {
        offsets[index] = growInto(free, top);
        top = Math.max(top, offsets[index]! + bytes);
      }
    }
    for (const index of ends.get(position) ?? []) {
      release(free, { offset: offsets[index]!, bytes: aligned(lifetimes[index]!.bytes, alignment) });
    }
  }
  return { offsets, bytes: top };
}

/** Bytes as a multiple of the alignment, at least one. */
export function aligned(bytes: number, alignment: number): number {
  return Math.max(1, Math.ceil(bytes / alignment)) * alignment;
}

function bucketBy(lifetimes: readonly Lifetime[], key: (lifetime: Lifetime) => number): Map<number, number[]> {
  const buckets = new Map<number, number[]>();
  lifetimes.forEach((lifetime, index) => {
    const bucket = buckets.get(key(lifetime));
    if (bucket === undefined) buckets.set(key(lifetime), [index]);
    else bucket.push(index);
  });
  return buckets;
}

function takeTightest(free: Block[], bytes: number): number | null {
  let best = -1;
  for (let i = 0; i < free.length; i++) {
    const block = free[i]!;
    if (block.bytes >= bytes && (best < 0 || block.bytes < free[best]!.bytes)) best = i;
  }
  if (best < 0) return null;
  const block = free[best]!;
  const { offset } = block;
  if (block.bytes === bytes) free.splice(best, 1);
  else {
    block.offset += bytes;
    block.bytes -= bytes;
  }
  return offset;
}

/** Extends the arena; a free block at its end is used as the beginning. */
function growInto(free: Block[], top: number): number {
  const last = free[free.length - 1];
  if (last === undefined || last.offset + last.bytes !== top) return top;
  free.pop();
  return last.offset;
}

/** Puts a block back, in order of offset, joined with its neighbours. */
function release(free: Block[], block: Block): void {
  let low = 0;
  let high = free.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (free[middle]!.offset < block.offset) low = middle + 1;
    else high = middle;
  }
  const next = free[low];
  const previous = free[low - 1];
  if (next !== undefined && block.offset + block.bytes === next.offset) {
    next.offset = block.offset;
    next.bytes += block.bytes;
    if (previous !== undefined && previous.offset + previous.bytes === next.offset) {
      previous.bytes += next.bytes;
      free.splice(low, 1);
    }
  } else if (previous !== undefined && previous.offset + previous.bytes === block.offset) {
    previous.bytes += block.bytes;
  } else {
    free.splice(low, 0, block);
  }
}
