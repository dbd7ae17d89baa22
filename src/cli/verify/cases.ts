// The inputs on which targets are compared with the reference: random ones, and those at the edges of numbers.

import type { Func } from '../../ir/graph.ts';
import { type NdArray, wrapToDType } from '../../ir/ndarray.ts';
import type { RangeCheck } from '../../ir/program.ts';
import { isFloat, sizeOf, type TensorType } from '../../ir/types.ts';
import { inputChecks } from '../../passes/input-checks.ts';
import { seeded } from '../arrays.ts';
import { cases } from '../choices.ts';

export interface Case {
  readonly name: CaseName;
  /** One array for each input, in order. */
  readonly inputs: readonly NdArray[];
}

type Element = (random: () => number, position: number) => number;

export type CaseName = (typeof cases)[number];

/** Floats of each case; whole numbers and truth values are random in all of them but zeros and ones. */
const floats: Readonly<Record<CaseName, Element>> = {
  random: (random) => 2 * random() - 1,
  zeros: () => 0,
  ones: () => 1,
  negative: (random) => -random(),
  tiny: (random) => sign(random) * 10 ** (-30 + 10 * random()),
  large: (random) => sign(random) * 10 ** (2 + 4 * random()),
  infinite: (random, i) => (i === 0 ? Number.POSITIVE_INFINITY : 2 * random() - 1),
  NaN: (random, i) => (i === 0 ? Number.NaN : 2 * random() - 1),
};
const wholeNumbers: readonly CaseName[] = ['random', 'zeros', 'ones'];

const sign = (random: () => number): number => (random() < 0.5 ? -1 : 1);

/** The cases that are wanted; without floats among the inputs, only those that whole numbers can differ in. */
export function casesFor(func: Func, seed: number, wanted: readonly CaseName[]): Case[] {
  const inputs = func.parameters.filter(({ role }) => role === 'input');
  const checks = inputChecks(func);
  const hasFloats = inputs.some(({ value }) => isFloat(value.type.dtype));
  return wanted
    .filter((name) => hasFloats || wholeNumbers.includes(name))
    .map((name) => {
      const random = seeded(seed * cases.length + cases.indexOf(name));
      const arrays = inputs.map((input) => {
        const check = checks.find((next) => next.input === input.name);
        return arrayOf(input.value.type, name, check, random);
      });
      return { name, inputs: arrays };
    });
}

/** Whole numbers that are no indices lie within this of zero. */
const mostInteger = 8;

function arrayOf(type: TensorType, name: CaseName, check: RangeCheck | undefined, random: () => number): NdArray {
  const [lower, upper] = check === undefined ? [-mostInteger, mostInteger] : [check.lower, check.upper];
  const whole = (): number => {
    const value = name === 'zeros' ? 0 : name === 'ones' ? 1 : lower + Math.floor((upper - lower + 1) * random());
    return wrapToDType(type.dtype, Math.min(Math.max(value, lower), upper));
  };
  const number = (_: unknown, i: number): number => {
    if (!isFloat(type.dtype)) return type.dtype === 'bool' ? whole() & 1 : whole();
    const value = floats[name](random, i);
    return type.dtype === 'f32' ? Math.fround(value) : wrapToDType(type.dtype, value);
  };
  return { type, data: Float64Array.from({ length: sizeOf(type.shape) }, number) };
}
