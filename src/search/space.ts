// A search space: named dimensions, each a scale that maps the unit interval to values. Strategies know nothing but the unit
// cube, so that a logarithmic, whole or categorical dimension is a matter of this file alone.

import { UserError } from '../ir/errors.ts';

export type ParameterValue = number | string | boolean;

/** One hyper-parameter. */
export interface Dimension<T extends ParameterValue = ParameterValue> {
  /** The value at a point of [0, 1]. */
  at(unit: number): T;
  /** The point that stands for all points of the same value; any point for itself where values are continuous. */
  centre(unit: number): number;
  /** How many values there are; Infinity for a continuous scale. */
  readonly count: number;
  /** Whether neighbouring values are alike: not those of a choice. */
  readonly ordered: boolean;
  /** How it is told in errors and in files. */
  readonly description: string;
}

export type Space = Readonly<Record<string, Dimension>>;

/** One value for each dimension. */
export type ParametersOf<S extends Space> = {
  readonly [Name in keyof S]: S[Name] extends Dimension<infer T> ? T : never;
};
export type Parameters = Readonly<Record<string, ParameterValue>>;

/** Coordinates in [0, 1], one for each dimension in the space's order. */
export type Point = readonly number[];

function expectRange(kind: string, low: number, high: number, least = Number.NEGATIVE_INFINITY): void {
  if (!(Number.isFinite(low) && Number.isFinite(high) && low < high && low > least))
    throw new UserError(
      `${kind}(${low}, ${high}): two finite numbers${least === 0 ? ' above 0' : ''} in rising order expected`,
    );
}

/** Numbers from `low` to `high`, every part as likely as another of its length. */
export function linear(low: number, high: number): Dimension<number> {
  expectRange('linear', low, high);
  return {
    at: (unit) => low + (high - low) * unit,
    centre: (unit) => unit,
    count: Number.POSITIVE_INFINITY,
    ordered: true,
    description: `linear(${low}, ${high})`,
  };
}

/** Numbers from `low` to `high`, both above 0, every factor as likely as another: for rates and strengths. */
export function log(low: number, high: number): Dimension<number> {
  expectRange('log', low, high, 0);
  const [from, to] = [Math.log(low), Math.log(high)];
  return {
    // Rounding would miss the ends.
    at: (unit) => (unit <= 0 ? low : unit >= 1 ? high : Math.exp(from + (to - from) * unit)),
    centre: (unit) => unit,
    count: Number.POSITIVE_INFINITY,
    ordered: true,
    description: `log(${low}, ${high})`,
  };
}

/** The cell of a unit interval that is cut into `count` equal ones. */
const cell = (unit: number, count: number): number => Math.min(count - 1, Math.floor(unit * count));

/** The middle of a cell. */
const middle = (unit: number, count: number): number => (cell(unit, count) + 0.5) / count;

/** Whole numbers from `low` to `high`, both included; on a `log` scale, every factor as likely as another. */
export function integer(
  low: number,
  high: number,
  options: { readonly scale?: 'linear' | 'log' } = {},
): Dimension<number> {
  const { scale = 'linear' } = options;
  expectRange('integer', low, high, scale === 'log' ? 0 : undefined);
  if (!Number.isInteger(low) || !Number.isInteger(high))
    throw new UserError(`integer(${low}, ${high}): whole numbers expected`);
  const count = high - low + 1;
  const numbers = {
    count,
    ordered: true,
    description: `integer(${low}, ${high}${scale === 'log' ? ', log' : ''})`,
  };
  if (scale === 'linear')
    return { ...numbers, at: (unit) => low + cell(unit, count), centre: (unit) => middle(unit, count) };
  // A number owns what rounds to it.
  const [from, to] = [Math.log(low - 0.5), Math.log(high + 0.5)];
  const at = (unit: number): number => Math.min(high, Math.max(low, Math.round(Math.exp(from + (to - from) * unit))));
  return { ...numbers, at, centre: (unit) => (Math.log(at(unit)) - from) / (to - from) };
}

/** One of several values that have no order: the kind of an activation, whether to normalise. */
export function choice<const V extends readonly ParameterValue[]>(...values: V): Dimension<V[number]> {
  if (new Set(values).size < Math.max(1, values.length))
    throw new UserError(`choice(${values.join(', ')}): different values, at least one, expected`);
  return {
    at: (unit) => values[cell(unit, values.length)]!,
    centre: (unit) => middle(unit, values.length),
    count: values.length,
    ordered: false,
    description: `choice(${values.map((value) => JSON.stringify(value)).join(', ')})`,
  };
}

/** The values at a point. */
export function valuesAt<S extends Space>(space: S, point: Point): ParametersOf<S> {
  return Object.fromEntries(
    Object.entries(space).map(([name, dimension], i) => [name, dimension.at(point[i]!)]),
  ) as ParametersOf<S>;
}

export function expectSpace(space: Space): void {
  if (Object.keys(space).length === 0)
    throw new UserError('the search space has no dimensions; give at least one, such as { rate: search.log(1e-4, 1) }');
}
