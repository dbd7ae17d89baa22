// Scalar operations by the reference of the graph operation of the same name, for what computes with expressions: the
// interpreter of kernels, and whoever evaluates literals.

import type { ScalarOp } from '../kernel.ts';
import type { BinaryOp, UnaryOp } from '../opattrs.ts';
import { philox4x32 } from '../philox.ts';
import type { DType } from '../types.ts';
import { binaryRecords } from './binary.ts';
import { unaryRecords } from './unary.ts';

/** `dtype`: that of the arguments. */
export function evaluateScalar(op: ScalarOp, args: readonly number[], dtype: DType): number {
  if (op === 'philox') {
    const [c0, c1, c2, c3, key0, key1, word] = args as [number, number, number, number, number, number, number];
    return philox4x32([c0, c1, c2, c3], [key0, key1])[word]!;
  }
  if (op === 'dot4') return dotOfBytes(args[0]!, args[1]!);
  if (args.length === 1) return unaryRecords[op as UnaryOp].evaluate(args[0]!, dtype);
  return binaryRecords[op as BinaryOp].evaluate(args[0]!, args[1]!, dtype);
}

/** Σ of four products, a's bytes without sign by b's with one. */
function dotOfBytes(a: number, b: number): number {
  return [0, 8, 16, 24].reduce((sum, shift) => sum + ((a >>> shift) & 255) * (((b >> shift) << 24) >> 24), 0);
}
