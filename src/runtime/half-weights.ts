// Weights in half precision: stored as f16, computed with as f32.

import { type Func, makeFunc, type Node, type Parameter, parameter, type Value } from '../ir/graph.ts';
import { nearestHalves } from '../ir/half.ts';
import { inlineFunc } from '../ir/inline.ts';
import { builder } from '../ir/ops/index.ts';
import { sizeOf } from '../ir/types.ts';
import { inlineCalls } from '../passes/inline.ts';
import { mapNodes } from '../passes/rewrite.ts';
import { fewestNarrowed, weightsOf } from '../passes/weight-operands.ts';
import type { Definition } from './definition.ts';
import type { StateStore } from './state.ts';

/** A weight and how it is stored now. */
export interface StoredWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'f16' | 'i8' | 'f32';
  /** Why it is stored as it was; null where it is narrower now. */
  readonly reason: string | null;
}

export interface HalfWeights<Inputs, Outputs> {
  readonly definition: Definition<Inputs, Outputs>;
  readonly weights: readonly StoredWeight[];
}

/**
 * The function with its weights in half precision (IEEE 754 binary16, to nearest, ties to even: a relative error of up to 2⁻¹¹ from
 * 6.1 · 10⁻⁵ on, below an absolute one of up to 3 · 10⁻⁸). Weights are f32 constants and states that the function does not update, of
 * 256 elements or more, that matrix products and convolutions multiply or a gather looks up; those with a number beyond ±65504 stay
 * as they are. Everything is computed in f32 on every target. `state`: the trained values. Default: the first ones.
 */
export function halfWeights<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  { state }: { readonly state?: StateStore } = {},
): HalfWeights<Inputs, Outputs> {
  const func = inlineCalls.run(definition.func);
  const variables = new Map(definition.variables.map((variable) => [variable.name, variable]));
  const elementsOf = (name: string): ArrayLike<number> =>
    state?.has(name) === true ? (state.memory(name) as Float32Array) : variables.get(name)!.initial();
  const weights: StoredWeight[] = [];
  const narrow = new Set<Value>();
  for (const value of weightsOf(func)) {
    const { dtype, shape } = value.type;
    if (dtype !== 'f32' || sizeOf(shape) < fewestNarrowed) continue;
    const known = func.parameters.find((other) => other.value === value);
    const name = known?.name ?? value.name ?? 'constant';
    const constant = value.producer as Node<'constant'> | null;
    const fits = inRange(constant === null ? elementsOf(name) : constant.attrs.data);
    if (fits) narrow.add(value);
    weights.push({ name, shape, dtype: fits ? 'f16' : 'f32', reason: fits ? null : 'numbers beyond ±65504' });
  }
  const halved = withHalves(func, narrow);
  const isHalf = new Set(halved.parameters.filter(({ value }) => value.type.dtype === 'f16').map(({ name }) => name));
  return {
    weights,
    definition: {
      ...definition,
      func: halved,
      variables: definition.variables.map((variable) => {
        if (!isHalf.has(variable.name) || variable.type.dtype !== 'f32') return variable;
        const initial = (): Float32Array => nearestHalves(elementsOf(variable.name));
        return { name: variable.name, type: { ...variable.type, dtype: 'f16' }, initial };
      }),
    },
  };
}

/** Half a unit beyond the largest number, 65504, they round to infinity. */
const firstBeyond = 65_520;

function inRange(elements: ArrayLike<number> | ArrayLike<bigint>): boolean {
  for (let i = 0; i < elements.length; i++) if (!(Math.abs(Number(elements[i])) < firstBeyond)) return false;
  return true;
}

/** The function with these parameters and constants as f16, cast to f32 where they are read. */
function withHalves(func: Func, narrow: ReadonlySet<Value>): Func {
  const widened = (half: Value): Value => builder.cast(half, { dtype: 'f32' });
  const constants = mapNodes(func, (node) => {
    const [value] = node.results;
    if (value === undefined || !narrow.has(value)) return node.results;
    const { shape, data } = (node as Node<'constant'>).attrs;
    const rounded = nearestHalves(data as ArrayLike<number>);
    return [widened(builder.emit('constant', [], { dtype: 'f16', shape, data: rounded }, value.name).results[0]!)];
  });
  const parameters = constants.parameters.map((old): Parameter => {
    if (!narrow.has(old.value)) return old;
    return { ...parameter(old.name, { ...old.value.type, dtype: 'f16' }), role: 'weight' };
  });
  const operands = parameters.map(({ value }, i) =>
    value === constants.parameters[i]!.value ? value : widened(value),
  );
  const results = inlineFunc(constants, operands);
  return makeFunc(
    func.name,
    parameters,
    constants.results.map((result, i) => ({ ...result, value: results[i]! })),
  );
}
