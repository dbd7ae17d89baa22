// Binding: states that a function only reads become constants, so that trained weights are part of the program; large
// ones can become weights instead, whose elements the program does not hold.

import type { Builder } from '../ir/builder.ts';
import { UserError } from '../ir/errors.ts';
import { type Func, makeFunc, type Parameter } from '../ir/graph.ts';
import { fromHalfBits } from '../ir/half.ts';
import { inlineFunc } from '../ir/inline.ts';
import { sizeOf } from '../ir/types.ts';

/** The elements of each state by name, row-major. */
export type StateValues = (name: string) => ArrayLike<number>;

/**
 * The function with every weight, and every state that it does not update and that is not `kept`, as a constant of the given
 * elements, or as a weight where it has more than `mostElements`.
 */
export function bindStates(
  func: Func,
  builder: Builder,
  values: StateValues,
  mostElements = Number.POSITIVE_INFINITY,
  kept: ReadonlySet<string> = new Set(),
): Func {
  const updated = new Set([...kept, ...updatedStates(func)]);
  const isBound = ({ role, name }: Parameter): boolean => role === 'weight' || (role === 'state' && !updated.has(name));
  if (!func.parameters.some(isBound)) return func;
  const isWeight = ({ value }: Parameter): boolean => sizeOf(value.type.shape) > mostElements;
  const operands = func.parameters.map((parameter) => {
    const { dtype, shape } = parameter.value.type;
    if (!isBound(parameter) || isWeight(parameter)) return parameter.value;
    const given = values(parameter.name);
    // Arrays of f16 hold bits; constants hold numbers.
    const data = dtype === 'f16' && given instanceof Uint16Array ? Float32Array.from(given, fromHalfBits) : given;
    if (data.length !== sizeOf(shape)) {
      throw new UserError(`state ${parameter.name} has ${sizeOf(shape)} elements, ${data.length} given`);
    }
    return builder.emit('constant', [], { dtype, shape, data }, parameter.name).results[0]!;
  });
  const results = inlineFunc(func, operands);
  return makeFunc(
    func.name,
    func.parameters.flatMap((parameter): Parameter[] => {
      if (!isBound(parameter)) return [parameter];
      return isWeight(parameter) ? [{ ...parameter, role: 'weight' }] : [];
    }),
    func.results.map((result, i) => ({ ...result, value: results[i]! })),
  );
}

/** The states that a function gives new values. */
export function updatedStates(func: Func): string[] {
  return func.results.filter(({ role }) => role === 'update').map(({ name }) => name);
}
