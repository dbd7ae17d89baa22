// Several models of one form evaluated as one: each of their variables becomes one with an axis more, along which members
// lie, and the first member's expressions are batched along it.

import { UserError } from '../ir/errors.ts';
import { parameter, type Value } from '../ir/graph.ts';
import { formatType, sameType, sizeOf } from '../ir/types.ts';
import { refuse } from '../lang/checks.ts';
import { type AnyTensor, Tensor } from '../lang/tensor.ts';
import { type AnyVariable, Variable } from '../lang/variable.ts';
import { batchTensors } from '../lang/vmap.ts';
import { type Layer, type Mode, nameOf } from './layers.ts';

export interface EnsembleOptions {
  readonly name?: string;
  /** `'shared'`: all members see one input. `'own'`: the input has an axis of members in front. Default: `'shared'`. */
  readonly inputs?: 'shared' | 'own';
}

/**
 * `members` layers made by `make`, as one layer that gives `[members, ..]`. Its variables are those of the members stacked,
 * named after the first member's; each begins as its member would. The loss of each member summed over members trains every
 * one as if it were alone.
 *
 * Throws UserError where members differ in their variables.
 */
export function ensemble(members: number, make: (member: number) => Layer, options: EnsembleOptions = {}): Layer {
  if (!Number.isInteger(members) || members < 1)
    throw new UserError(`ensemble: at least one member expected, ${members} given`);
  const name = nameOf('ensemble', options.name);
  const layers = Array.from({ length: members }, (_, i) => make(i));
  const [first] = layers as [Layer];
  for (const [i, other] of layers.entries()) expectLike(name, i, other, first);
  const variables = first.variables.map((_, position) =>
    stacked(
      name,
      layers.map((layer) => layer.variables[position]!),
    ),
  );
  const replaced = new Map<Value, Value>(first.variables.map(({ value }, i) => [value, variables[i]!.value]));
  const call = (x: AnyTensor, mode: Mode = 'train'): AnyTensor => {
    const one = options.inputs === 'own' ? inputOfMember(name, x, members, replaced) : x;
    return batchTensors([first(one, mode)], replaced, members)[0]!;
  };
  const updates = (): [AnyVariable, AnyTensor][] =>
    [...first.updates()].map(([target, value]) => [
      variables[first.variables.indexOf(target)]!,
      batchTensors([value], replaced, members)[0]!,
    ]);
  Object.defineProperty(call, 'name', { value: name });
  return Object.assign(call, { variables, updates }) as Layer;
}

/** What stands for one member's part of an input `[members, ..]`. */
function inputOfMember(name: string, x: AnyTensor, members: number, replaced: Map<Value, Value>): AnyTensor {
  const { dtype, shape } = x.value.type;
  if (shape[0] !== members) refuse(name, [x], `an input of ${members} members, [${members}, ..], expected`);
  const { value } = parameter(x.value.name ?? 'input', { dtype, shape: shape.slice(1) });
  replaced.set(value, x.value);
  return new Tensor(value);
}

function expectLike(name: string, position: number, member: Layer, first: Layer): void {
  const differs = first.variables.find((variable, i) => {
    const other = member.variables[i];
    return other === undefined || !sameType(other.type, variable.type);
  });
  if (differs === undefined && member.variables.length === first.variables.length) return;
  const given = member.variables.map((variable) => formatType(variable.type)).join(', ');
  const expected = first.variables.map((variable) => formatType(variable.type)).join(', ');
  throw new UserError(
    `${name}: members with variables of the same types expected; member 1 has ${expected}, member ${position + 1} has ${given}`,
  );
}

/** One variable for those of all members. */
function stacked(name: string, members: readonly AnyVariable[]): AnyVariable {
  const [{ name: own, type, trainable }] = members as [AnyVariable];
  const size = sizeOf(type.shape);
  const initial = (): ArrayLike<number> => {
    const elements = new (type.dtype === 'f32' ? Float32Array : Float64Array)(members.length * size);
    for (const [i, member] of members.entries()) elements.set(member.initial(), i * size);
    return elements;
  };
  return new Variable(
    `${name}.${own}`,
    { dtype: type.dtype, shape: [members.length, ...type.shape] },
    { initial, trainable },
  );
}
