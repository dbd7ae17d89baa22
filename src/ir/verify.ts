// The verifier: what every pass must leave true of a function. A violation is a bug in Ashlar.

import { inferTypes } from './builder.ts';
import { InternalError, UserError } from './errors.ts';
import { type Func, type Node, nestedFuncs, type Value } from './graph.ts';
import { opTable } from './ops/index.ts';
import type { OpTable } from './optable.ts';
import { formatType, sameType } from './types.ts';

/**
 * Operands are defined before use, types are what the rules infer, names are unique, updates fit their states; and so in
 * nested functions. Throws InternalError that names the operation.
 */
export function verifyFunc(func: Func, table: OpTable = opTable): void {
  verifyOnce(func, table, new Set());
}

/** Nested functions may be shared: each is checked once. */
function verifyOnce(func: Func, table: OpTable, checked: Set<Func>): void {
  if (checked.has(func)) return;
  checked.add(func);
  for (const node of func.nodes) for (const nested of nestedFuncs(node)) verifyOnce(nested, table, checked);
  const defined = new Set<Value>();
  unique(
    func.parameters.map(({ name }) => name),
    `parameters of @${func.name}`,
  );
  for (const { value } of func.parameters) defined.add(value);
  func.nodes.forEach((node, position) => {
    verifyNode(node, position, defined, func, table);
    for (const value of node.results) defined.add(value);
  });
  for (const role of ['output', 'update'] as const) {
    unique(
      func.results.filter((result) => result.role === role).map(({ name }) => name),
      `${role}s of @${func.name}`,
    );
  }
  const states = new Map(
    func.parameters.filter(({ role }) => role === 'state').map(({ name, value }) => [name, value.type]),
  );
  for (const { name, role, value } of func.results) {
    if (!defined.has(value)) throw new InternalError(`result ${name} of @${func.name} is not computed in it`);
    const type = states.get(name);
    if (role === 'update' && (type === undefined || !sameType(type, value.type))) {
      throw new InternalError(
        `update ${name} of @${func.name} is ${formatType(value.type)}, the state is ${type === undefined ? 'missing' : formatType(type)}`,
      );
    }
  }
}

function verifyNode(node: Node, position: number, defined: ReadonlySet<Value>, func: Func, table: OpTable): void {
  const where = `node ${position} (${node.op}) of @${func.name}`;
  for (const operand of node.operands) {
    if (!defined.has(operand)) throw new InternalError(`${where} uses a value that is not defined before it`);
  }
  let types: readonly { dtype: string; shape: readonly number[] }[];
  try {
    types = inferTypes(table, node.op, node.operands, node.attrs as never, node.source);
  } catch (error) {
    if (error instanceof UserError) throw new InternalError(`${where} is refused by its type rule: ${error.message}`);
    throw error;
  }
  node.results.forEach((value, i) => {
    const type = types[i];
    if (type === undefined || !sameType(value.type, type as never))
      throw new InternalError(`${where} has result type ${formatType(value.type)}, its rule says otherwise`);
    if (value.producer !== node || value.index !== i) throw new InternalError(`${where} does not own its result ${i}`);
  });
}

function unique(names: readonly string[], what: string): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw new InternalError(`${what}: ${name} twice`);
    seen.add(name);
  }
}
