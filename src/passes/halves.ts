// f16 is how values are stored; nothing is computed in it. Operations on f16 are those on f32 between casts, so that each result
// is rounded once and a sum at its end, on every target alike. Afterwards f16 values are only made, moved and cast from and to f32.

import type { Builder } from '../ir/builder.ts';
import { makeFunc, type Node, type Value } from '../ir/graph.ts';
import { roundToHalf } from '../ir/half.ts';
import type { OpName } from '../ir/opattrs.ts';
import { builder } from '../ir/ops/index.ts';
import type { DType } from '../ir/types.ts';
import type { Pass } from './pass.ts';

/** Operations that take values as they are. */
const moving: ReadonlySet<OpName> = new Set<OpName>([
  'reshape',
  'broadcast',
  'transpose',
  'slice',
  'reverse',
  'gather',
  'pad',
  'concat',
  'select',
  'scan',
  'while',
  'cond',
]);

export const widenHalves: Pass = {
  name: 'widen-halves',
  guarantees: 'f16 values are parameters, constants, moved, or cast from and to f32',
  needs: 'calls inlined',
  run: (func) => {
    const isHalf = ({ type }: Value): boolean => type.dtype === 'f16';
    if (!func.nodes.some(({ operands, results }) => operands.some(isHalf) || results.some(isHalf))) return func;
    const made = new Map<Value, Value>();
    const operandOf = (value: Value): Value => made.get(value) ?? value;
    for (const node of func.nodes) {
      const results = remade(node, node.operands.map(operandOf));
      results.forEach((value, i) => {
        made.set(node.results[i]!, value);
      });
    }
    return makeFunc(
      func.name,
      func.parameters,
      func.results.map((result) => ({ ...result, value: operandOf(result.value) })),
    );
  },
};

function remade(node: Node, operands: readonly Value[]): readonly Value[] {
  const b = builder.at(node.source);
  const isHalf = [...operands, ...node.results].some(({ type }) => type.dtype === 'f16');
  const emit = (of: readonly Value[], attrs: unknown = node.attrs): readonly Value[] =>
    b.emit(node.op, of, attrs as never, node.results[0]!.name).results;
  if (!isHalf || moving.has(node.op)) {
    const same = operands.every((operand, i) => operand === node.operands[i]);
    return same ? node.results : emit(operands);
  }
  if (node.op === 'cast') return [castBy32(b, operands[0]!, node.results[0]!.type.dtype)];
  const { dtype } = node.attrs as { dtype?: DType };
  if (node.op === 'constant') {
    const { shape, data } = (node as Node<'constant'>).attrs;
    if (data.length !== 1) return node.results;
    return [b.cast(b.constant({ dtype: 'f32', shape, data: [roundToHalf(Number(data[0]))] }), { dtype: 'f16' })];
  }
  const wide = operands.map((operand) => (operand.type.dtype === 'f16' ? b.cast(operand, { dtype: 'f32' }) : operand));
  const results = emit(wide, dtype === 'f16' ? { ...node.attrs, dtype: 'f32' } : node.attrs);
  return results.map((value, i) => (node.results[i]!.type.dtype === 'f16' ? b.cast(value, { dtype: 'f16' }) : value));
}

/** A cast from or to f16, by way of f32. */
function castBy32(b: Builder, value: Value, to: DType): Value {
  const from = value.type.dtype;
  if (from === to) return value;
  const wide = from === 'f32' ? value : b.cast(value, { dtype: 'f32' });
  return to === 'f32' ? wide : b.cast(wide, { dtype: to });
}
