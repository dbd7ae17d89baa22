// Which inputs are indices: an integer input that reaches a gather or scatter unchanged must lie in the operand's
// range. Kernels clamp (a static program cannot throw), so the runtime checks such inputs before the first kernel.

import { formatSource } from '../ir/errors.ts';
import type { Func, Node, Parameter, Value } from '../ir/graph.ts';
import type { RangeCheck } from '../ir/program.ts';

const unchanging: ReadonlySet<string> = new Set(['reshape', 'broadcast', 'transpose', 'slice', 'reverse', 'cast']);

export function inputChecks(func: Func): RangeCheck[] {
  const inputs = new Map<Value, Parameter>(
    func.parameters.filter(({ role }) => role === 'input').map((parameter) => [parameter.value, parameter]),
  );
  const checks = new Map<string, RangeCheck>();
  addChecks(func, inputs, checks);
  return [...checks.values()];
}

/** `inputs`: what is an input, or a slice of one. */
function addChecks(func: Func, inputs: ReadonlyMap<Value, Parameter>, checks: Map<string, RangeCheck>): void {
  for (const node of func.nodes) {
    for (const [nested, given] of alwaysRun(node)) {
      const inside = nested.parameters.flatMap(({ value }, i) => {
        const found = given[i] === undefined ? undefined : inputs.get(origin(given[i]));
        return found === undefined ? [] : [[value, found] as const];
      });
      if (inside.length > 0) addChecks(nested, new Map(inside), checks);
    }
    if (node.op !== 'gather' && node.op !== 'scatterAdd') continue;
    const { axis } = (node as Node<'gather'>).attrs;
    const upper = node.operands[0]!.type.shape[axis]! - 1;
    const found = inputs.get(origin(node.operands[1]!));
    if (found === undefined) continue;
    const previous = checks.get(found.name);
    if (previous !== undefined && previous.upper <= upper) continue;
    const where = node.source === null ? '' : ` at ${formatSource(node.source)}`;
    checks.set(found.name, { input: found.name, lower: 0, upper, reason: `${node.op}${where}` });
  }
}

/** Functions that a node runs for all of their operands: the step of a scan, whose carries are no operands any more. */
function alwaysRun(node: Node): [Func, (Value | undefined)[]][] {
  if (node.op !== 'scan') return [];
  const { body, length, consts, carries } = (node as Node<'scan'>).attrs;
  if (length === 0) return [];
  return [[body, node.operands.map((operand, i) => (i >= consts && i < consts + carries ? undefined : operand))]];
}

function origin(value: Value): Value {
  let found = value;
  while (found.producer !== null && unchanging.has(found.producer.op)) found = found.producer.operands[0]!;
  return found;
}
