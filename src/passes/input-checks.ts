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
  for (const node of func.nodes) {
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
  return [...checks.values()];
}

function origin(value: Value): Value {
  let found = value;
  while (found.producer !== null && unchanging.has(found.producer.op)) found = found.producer.operands[0]!;
  return found;
}
