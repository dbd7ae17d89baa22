// Tracing: a function of the user's is called once, on tensors that stand for its arguments, and what it makes becomes a
// function of the graph.

import { type Closure, closeOver } from '../ir/closure.ts';
import { type Parameter, parameter, type Result, type Value, valuesMade } from '../ir/graph.ts';
import type { TensorType } from '../ir/types.ts';

/** Values under the names that results of a function have. */
export interface Traced {
  readonly names: readonly string[];
  readonly values: readonly Value[];
}

/** Which function each parameter of a traced one belongs to, for whoever uses it elsewhere. */
const traced = new WeakMap<Value, string>();

/** The language's function in which this leaf stands for an argument; undefined for other leaves. */
export function tracedIn(leaf: Value): string | undefined {
  return traced.get(leaf);
}

/** Says that these stand for arguments of a function given to `callee`, while it is called. */
export function standIn(callee: string, parameters: readonly Parameter[]): void {
  for (const { value } of parameters) traced.set(value, callee);
}

export function parametersFor(names: readonly string[], types: readonly TensorType[]): Parameter[] {
  return names.map((name, i) => parameter(name, types[i]!));
}

/** The function that `make` makes of the parameters; it captures what was there before. */
export function trace(callee: string, parameters: readonly Parameter[], make: () => Traced): Closure {
  standIn(callee, parameters);
  const before = valuesMade();
  const { names, values } = make();
  const results = names.map((name, i): Result => ({ name, role: 'output', value: values[i]! }));
  return closeOver(callee, parameters, results, ({ order }) => order < before);
}
