// The table entries of all elementwise operations, from their records.

import type { BinaryOp, UnaryOp } from '../opattrs.ts';
import type { OpTable } from '../optable.ts';
import { binaryRecords } from './binary.ts';
import { binary, unary } from './element-record.ts';
import { unaryRecords } from './unary.ts';

function entries<K extends string, R, D>(
  records: Readonly<Record<K, R>>,
  make: (name: string, record: R) => D,
): Readonly<Record<K, D>> {
  return Object.fromEntries(Object.entries(records).map(([name, record]) => [name, make(name, record as R)])) as Record<
    K,
    D
  >;
}

export const elementwiseOps = {
  ...entries(unaryRecords, unary),
  ...entries(binaryRecords, binary),
} as Pick<OpTable, UnaryOp | BinaryOp>;
