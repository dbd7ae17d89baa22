// Closures: functions whose results read values of their surroundings. Nested functions read nothing but their parameters, so
// what they need from outside becomes further parameters.

import { type Func, makeFunc, nodesOf, type Parameter, parameter, type Result, type Value } from './graph.ts';
import { withOperands } from './inline.ts';

export interface Closure {
  /** Its first parameters are what it captures, then its own. */
  readonly func: Func;
  readonly captured: readonly Value[];
}

/**
 * A function of `parameters` with these results, which captures what they read that `isOutside`, and every leaf that is no
 * parameter. Constants are made again inside.
 */
export function closeOver(
  name: string,
  parameters: readonly Parameter[],
  results: readonly Result[],
  isOutside: (value: Value) => boolean,
): Closure {
  const own = new Set(parameters.map(({ value }) => value));
  const isCaptured = (value: Value): boolean => {
    if (own.has(value)) return false;
    return value.producer === null || (value.producer.operands.length > 0 && isOutside(value));
  };
  const roots = results.map(({ value }) => value);
  const nodes = nodesOf(roots, isCaptured);
  const captured = [...new Set([...nodes.flatMap(({ operands }) => operands), ...roots])].filter(isCaptured);
  const freshName = namesBeside(parameters);
  const given = captured.map((value) => parameter(freshName(value.name ?? 'captured'), value.type));
  const map = new Map<Value, Value>(captured.map((value, i) => [value, given[i]!.value]));
  for (const node of nodes) {
    const operands = node.operands.map((operand) => map.get(operand) ?? operand);
    if (operands.every((operand, i) => operand === node.operands[i])) continue;
    const { results: made } = withOperands(node, operands);
    for (const [i, value] of node.results.entries()) map.set(value, made[i]!);
  }
  const replaced = results.map((result) => ({ ...result, value: map.get(result.value) ?? result.value }));
  return { func: makeFunc(name, [...given, ...parameters], replaced), captured };
}

/** The function with parameters for all of `captured`, which holds what it captures itself. */
export function capturing({ func, captured: own }: Closure, captured: readonly Value[]): Func {
  const freshName = namesBeside(func.parameters);
  const given = captured.map((value): Parameter => {
    const at = own.indexOf(value);
    return at >= 0 ? func.parameters[at]! : parameter(freshName(value.name ?? 'captured'), value.type);
  });
  return makeFunc(func.name, [...given, ...func.parameters.slice(own.length)], func.results);
}

/** Makes names unlike those of the parameters and unlike each other. */
function namesBeside(parameters: readonly Parameter[]): (wanted: string) => string {
  const taken = new Set(parameters.map(({ name }) => name));
  return (wanted) => {
    let name = wanted;
    for (let n = 1; taken.has(name); n++) name = `${wanted}_${n}`;
    taken.add(name);
    return name;
  };
}
