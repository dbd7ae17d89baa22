// What tells why a network does not learn: whether its gradients are those of its loss, which of its units never fire, and how
// activations and gradients are distributed from layer to layer. (Overfitting one batch runs a step: src/train/overfit.ts.)

import { UserError } from '../ir/errors.ts';
import { refuse } from '../lang/checks.ts';
import { grad } from '../lang/derivatives.ts';
import { interpret, variablesOf } from '../lang/func.ts';
import { elementwise, stack } from '../lang/functions.ts';
import type { AnyTensor } from '../lang/tensor.ts';
import type { AnyVariable } from '../lang/variable.ts';

export interface GradientCheckOptions {
  /** Values of the loss's inputs, and of variables that should not have their first values. */
  readonly given?: Readonly<Record<string, ArrayLike<number> | number>>;
  /** Default: the trainable variables of the loss. */
  readonly variables?: readonly AnyVariable[];
  /** Gradients to check, in the order of `variables`. Default: those that `grad` derives. */
  readonly gradients?: readonly AnyTensor[];
  /** How many elements of each variable are checked, evenly spaced. Default 10. */
  readonly elements?: number;
  /** Half the distance of the two points between which the slope is measured. Default 1e-5. */
  readonly step?: number;
}

/** The element of a variable whose gradient is furthest from the measured slope. */
export interface GradientError {
  readonly variable: string;
  readonly element: number;
  readonly gradient: number;
  /** (loss(w + step) − loss(w − step)) / (2 · step). */
  readonly slope: number;
  /** |gradient − slope| / max(|gradient|, |slope|, a thousandth of the greatest slope): below 1e-6 where all is well. */
  readonly error: number;
}

/**
 * Compares gradients with slopes of the loss, in float64 by the reference evaluator; the worst element of each variable. What
 * `grad` derives can only differ where a `customVjp` or `stopGradient` says so, or at a kink, such as relu's at 0.
 */
export function gradientCheck(loss: AnyTensor, options: GradientCheckOptions = {}): GradientError[] {
  if (loss.rank !== 0) refuse('gradientCheck', [loss], 'a loss of one number expected');
  const { given = {}, elements = 10, step = 1e-5 } = options;
  const variables = options.variables ?? variablesOf(loss).filter(({ trainable }) => trainable);
  const gradients = options.gradients ?? (grad(loss, [...variables]) as AnyTensor[]);
  if (gradients.length !== variables.length)
    throw new UserError(`gradientCheck: ${variables.length} gradients expected, ${gradients.length} given`);
  const found = interpret(Object.fromEntries(gradients.map((gradient, i) => [`gradient${i}`, gradient])), { ...given });
  const checked = variables.flatMap((variable, i) => {
    const values = Float64Array.from(valuesOf(variable, given));
    const gradient = found[`gradient${i}`]!.data;
    if (gradient.length !== values.length) refuse('gradientCheck', [variable, gradients[i]!], 'equal shapes expected');
    const lossAt = (element: number, value: number): number => {
      const moved = values.with(element, value);
      return interpret({ loss }, { ...given, [variable.name]: moved }).loss.data[0]!;
    };
    return spaced(values.length, elements).map((element) => {
      const [above, below] = [values[element]! + step, values[element]! - step];
      const slope = (lossAt(element, above) - lossAt(element, below)) / (above - below);
      return { variable: variable.name, element, gradient: gradient[element]!, slope };
    });
  });
  const floor = Math.max(...checked.map(({ slope }) => Math.abs(slope))) / 1000;
  const errors = checked.map((place): GradientError => {
    const size = Math.max(Math.abs(place.gradient), Math.abs(place.slope), floor);
    return { ...place, error: size === 0 ? 0 : Math.abs(place.gradient - place.slope) / size };
  });
  return variables.map(({ name }) =>
    errors
      .filter(({ variable }) => variable === name)
      .reduce((worst, next) => (next.error > worst.error ? next : worst)),
  );
}

function valuesOf(
  variable: AnyVariable,
  given: Readonly<Record<string, ArrayLike<number> | number>>,
): ArrayLike<number> {
  const value = given[variable.name] ?? variable.initial();
  return typeof value === 'number' ? Array.from(variable.initial(), () => value) : value;
}

/** At most `count` of the numbers below `size`, as far apart as can be. */
const spaced = (size: number, count: number): number[] =>
  Array.from({ length: Math.min(size, count) }, (_, i) => Math.floor((i * size) / Math.min(size, count)));

/**
 * `[N, units, ..]` → bool `[units]`: which units are above 0 nowhere, for no example of the batch. After relu these are dead:
 * no gradient goes through them.
 */
export function deadUnits(activations: AnyTensor): AnyTensor {
  if (activations.rank < 2) refuse('deadUnits', [activations], '[N, units, ..] expected');
  const others = Array.from({ length: activations.rank }, (_, axis) => axis).filter((axis) => axis !== 1);
  return activations.max(others).le(0);
}

/** How the elements of a tensor are distributed. */
export interface Statistics {
  readonly mean: number;
  /** The standard deviation, of the elements as a population. */
  readonly deviation: number;
  readonly least: number;
  readonly greatest: number;
  /** The share of elements that are 0. */
  readonly zeros: number;
  /** How many elements are NaN or infinite. */
  readonly notFinite: number;
}

const statisticNames = ['mean', 'deviation', 'least', 'greatest', 'zeros', 'notFinite'] as const;

/** The `Statistics` of a tensor of floats as an output, f32 `[6]`, which `readStatistics` names: of activations, gradients, weights. */
export function statistics(x: AnyTensor): AnyTensor {
  const isInfinite: AnyTensor = x.abs().eq(Number.POSITIVE_INFINITY);
  const notFinite: AnyTensor = elementwise('isnan', x).or(isInfinite);
  const share = (condition: AnyTensor): AnyTensor => condition.cast('f32').mean();
  const count = x.value.type.shape.reduce((product, dim) => product * dim, 1);
  const rows = [x.mean(), x.variance().sqrt(), x.min(), x.max(), share(x.eq(0)), share(notFinite).mul(count)];
  return stack(
    rows.map((row): AnyTensor => row.cast('f32')),
    0,
  );
}

/** Names what `statistics` computed. */
export function readStatistics(values: ArrayLike<number>): Statistics {
  if (values.length !== statisticNames.length)
    throw new UserError(
      `readStatistics: ${statisticNames.length} values of \`statistics\` expected, ${values.length} given`,
    );
  return Object.fromEntries(statisticNames.map((name, i) => [name, values[i]!])) as unknown as Statistics;
}
