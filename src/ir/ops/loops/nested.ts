// What rules of loops share: nested functions on fresh parameters, and the functions that are made of them.

import type { Builder } from '../../builder.ts';
import { type Func, makeFunc, type Parameter, parameter, type Value } from '../../graph.ts';
import { inlineFunc } from '../../inline.ts';
import type { TensorType } from '../../types.ts';

/** A nested function's results as expressions of parameters that belong to nobody yet. */
export interface Opened {
  readonly parameters: readonly Value[];
  readonly results: readonly Value[];
}

export function open(func: Func): Opened {
  const parameters = func.parameters.map(({ name, value }) => parameter(name, value.type).value);
  return { parameters, results: inlineFunc(func, parameters) };
}

export function fresh(name: string, type: TensorType): Value {
  return parameter(name, type).value;
}

/** A function of values that are its parameters; names are made unique. */
export function nestedFunc(name: string, parameters: readonly Value[], results: readonly Value[]): Func {
  const ofParameters = uniqueNames();
  const ofResults = uniqueNames();
  return makeFunc(
    name,
    parameters.map((value): Parameter => ({ name: ofParameters(value.name ?? 'value'), role: 'input', value })),
    results.map((value) => ({ name: ofResults(value.name ?? 'result'), role: 'output', value })),
  );
}

/** Gives each name at most once. */
export function uniqueNames(): (wanted: string) => string {
  const taken = new Set<string>();
  return (wanted) => {
    let name = wanted;
    for (let n = 1; taken.has(name); n++) name = `${wanted}_${n}`;
    taken.add(name);
    return name;
  };
}

/** The values, zeros where there is none. */
export function orZeros(b: Builder, values: readonly (Value | null)[], like: readonly Value[]): Value[] {
  return values.map((value, i) => value ?? b.like(like[i]!, 0));
}

export const where = <T>(list: readonly T[], flags: readonly boolean[]): T[] => list.filter((_, i) => flags[i]);
