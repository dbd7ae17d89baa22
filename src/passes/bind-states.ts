// Binding: states that a function only reads become constants, so that trained weights are part of the program.

import type { Builder } from '../ir/builder.ts';
import { UserError } from '../ir/errors.ts';
import { type Func, makeFunc } from '../ir/graph.ts';
import { sizeOf } from '../ir/types.ts';
import { inlineFunc } from './inline.ts';

/** The elements of each state by name, row-major. */
export type StateValues = (name: string) => ArrayLike<number>;

/** The function with every state that it does not update as a constant of the given elements. */
export function bindStates(func: Func, builder: Builder, values: StateValues): Func {
  const updated = new Set(func.results.filter(({ role }) => role === 'update').map(({ name }) => name));
  const isBound = ({ role, name }: Func['parameters'][number]): boolean => role === 'state' && !updated.has(name);
  if (!func.parameters.some(isBound)) return func;
  const operands = func.parameters.map((parameter) => {
    if (!isBound(parameter)) return parameter.value;
    const { dtype, shape } = parameter.value.type;
    const data = values(parameter.name);
    if (data.length !== sizeOf(shape)) {
      throw new UserError(`state ${parameter.name} has ${sizeOf(shape)} elements, ${data.length} given`);
    }
    return builder.emit('constant', [], { dtype, shape, data }, parameter.name).results[0]!;
  });
  const results = inlineFunc(func, operands);
  return makeFunc(
    func.name,
    func.parameters.filter((parameter) => !isBound(parameter)),
    func.results.map((result, i) => ({ ...result, value: results[i]! })),
  );
}
