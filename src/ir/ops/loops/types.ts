// Type rules of loops: what a nested function takes and gives beside what the operation passes to it.

import type { Func } from '../../graph.ts';
import type { OpAttrs } from '../../opattrs.ts';
import { TypeMismatch } from '../../optable.ts';
import { formatType, sameType, type TensorType } from '../../types.ts';

const list = (types: readonly TensorType[]): string => `(${types.map(formatType).join(', ')})`;

const fits = (types: readonly TensorType[], expected: readonly TensorType[]): boolean =>
  types.length === expected.length && types.every((type, i) => sameType(type, expected[i]!));

/** Refuses a nested function with states, weights or updates, and one that takes other types than it is given. */
function expectTakes(what: string, func: Func, given: readonly TensorType[]): void {
  const odd =
    func.parameters.find(({ role }) => role !== 'input') ?? func.results.find(({ role }) => role !== 'output');
  if (odd !== undefined)
    throw new TypeMismatch(`${what} @${func.name} has inputs and outputs alone, ${odd.role} ${odd.name} given`);
  const taken = func.parameters.map(({ value }) => value.type);
  if (!fits(taken, given)) throw new TypeMismatch(`${what} @${func.name}${list(taken)} cannot take ${list(given)}`);
}

const resultsOf = (func: Func): TensorType[] => func.results.map(({ value }) => value.type);

/** Refuses a body whose first results are not the next carries. */
function expectCarries(body: Func, carries: readonly TensorType[], given: readonly TensorType[]): void {
  if (!fits(given, carries))
    throw new TypeMismatch(`body @${body.name} must give the next carries ${list(carries)}, ${list(given)} given`);
}

/** Constants, carries and the rest of the operands. Refuses fewer operands than those. */
function cut(operands: readonly TensorType[], consts: number, carries: number): readonly TensorType[][] {
  if (operands.length < consts + carries)
    throw new TypeMismatch(`${consts} constants and ${carries} carries expected, ${operands.length} operands given`);
  return [operands.slice(0, consts), operands.slice(consts, consts + carries), operands.slice(consts + carries)];
}

export function scanTypes(
  operands: readonly TensorType[],
  { body, length, consts, carries }: OpAttrs['scan'],
): readonly TensorType[] {
  const [shared, carried, sequences] = cut(operands, consts, carries) as [TensorType[], TensorType[], TensorType[]];
  const other = sequences.find(({ shape }) => shape[0] !== length);
  if (other !== undefined)
    throw new TypeMismatch(`sequences of length ${length} along their first axis expected, ${formatType(other)} given`);
  const slices = sequences.map(({ dtype, shape }) => ({ dtype, shape: shape.slice(1) }));
  expectTakes('body', body, [...shared, ...carried, ...slices]);
  const given = resultsOf(body);
  expectCarries(body, carried, given.slice(0, carries));
  if (given.length === 0) throw new TypeMismatch(`body @${body.name} gives nothing: a carry or an output expected`);
  return [...carried, ...given.slice(carries).map(({ dtype, shape }) => ({ dtype, shape: [length, ...shape] }))];
}

export function whileTypes(
  operands: readonly TensorType[],
  { condition, body, consts }: OpAttrs['while'],
): readonly TensorType[] {
  const carried = cut(operands, consts, 0)[2]!;
  if (carried.length === 0) throw new TypeMismatch('at least one carry expected: a loop without any gives nothing');
  expectTakes('condition', condition, operands);
  expectTakes('body', body, operands);
  const tested = resultsOf(condition);
  if (!fits(tested, [{ dtype: 'bool', shape: [] }]))
    throw new TypeMismatch(`condition @${condition.name} must give bool[], ${list(tested)} given`);
  expectCarries(body, carried, resultsOf(body));
  return carried;
}

export function condTypes(
  [predicate, ...given]: readonly TensorType[],
  { then, otherwise }: OpAttrs['cond'],
): readonly TensorType[] {
  if (predicate === undefined || !sameType(predicate, { dtype: 'bool', shape: [] }))
    throw new TypeMismatch(
      `a predicate bool[] expected, ${predicate === undefined ? 'nothing' : formatType(predicate)} given`,
    );
  expectTakes('then', then, given);
  expectTakes('otherwise', otherwise, given);
  const [chosen, other] = [resultsOf(then), resultsOf(otherwise)];
  if (!fits(other, chosen))
    throw new TypeMismatch(`both functions must give the same types, ${list(chosen)} and ${list(other)} given`);
  if (chosen.length === 0) throw new TypeMismatch('functions that give something expected');
  return chosen;
}
