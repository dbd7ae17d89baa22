// Which values are weights: constants, and parameters that no call changes, that a contraction multiplies or a gather looks up, as
// they are or moved. What normalisations and activations read is none: it is small, and its digits count.

import type { Func, Value } from '../ir/graph.ts';
import type { OpName } from '../ir/opattrs.ts';
import { opTable } from '../ir/ops/index.ts';
import { updatedStates } from './bind-states.ts';
import { isConstantBuffer, isFree } from './inlining.ts';

const reading: ReadonlySet<OpName> = new Set<OpName>(['dot', 'conv', 'gather']);

/** Of weights that are stored in fewer bytes: fewer elements save less than a cache line for each operation that they cost. */
export const fewestNarrowed = 256;

/** Constants and unchanging parameters, the calls of a function inlined. */
export function unchangingValues(func: Func): Set<Value> {
  const updated = new Set(updatedStates(func));
  const parameters = func.parameters.filter(
    ({ role, name }) => role === 'weight' || (role === 'state' && !updated.has(name)),
  );
  const constants = func.nodes.filter(isConstantBuffer).map((node) => node.results[0]!);
  return new Set([...parameters.map(({ value }) => value), ...constants]);
}

/** The weights of a function, its calls inlined. */
export function weightsOf(func: Func): Set<Value> {
  const unchanging = unchangingValues(func);
  const found = new Set<Value>();
  for (const node of func.nodes) {
    if (!reading.has(node.op)) continue;
    // Of a gather the first operand is looked up, by the second.
    const operands = node.op === 'gather' ? node.operands.slice(0, 1) : node.operands;
    for (const operand of operands) {
      const origin = originOf(operand);
      if (unchanging.has(origin)) found.add(origin);
    }
  }
  return found;
}

/** What a value is a view of. */
export function originOf(value: Value): Value {
  let at = value;
  for (let { producer } = at; producer !== null && producer.operands.length === 1; { producer } = at) {
    if (!isFree(opTable, producer)) return at;
    at = producer.operands[0]!;
  }
  return at;
}
