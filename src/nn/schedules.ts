// Learning rates as expressions of the step, a float scalar that counts from 0.

import { UserError } from '../ir/errors.ts';
import { where } from '../lang/functions.ts';
import type { AnyTensor } from '../lang/tensor.ts';
import { full } from '../lang/variable.ts';

/** The learning rate at a step, in the step's dtype. */
export type Schedule = (step: AnyTensor) => AnyTensor;

export const constant =
  (rate: number): Schedule =>
  (step) =>
    full([], rate, step.dtype);
/** rate · factor^⌊step / every⌋. */
export function stepDecay(rate: number, every: number, factor = 0.1): Schedule {
  expectPeriod('stepDecay', every);
  return (step) => power(factor, step.div(every).floor()).mul(rate);
}
/** rate · factor^(step / every). */
export function exponentialDecay(rate: number, every: number, factor: number): Schedule {
  expectPeriod('exponentialDecay', every);
  return (step) => power(factor, step.div(every)).mul(rate);
}
/** From `rate` to `final` in half a cosine over `steps`, then `final`. I. Loshchilov, F. Hutter, ICLR 2017, eq. 5. */
export function cosine(rate: number, steps: number, final = 0): Schedule {
  expectPeriod('cosine', steps);
  return (step) =>
    step
      .minimum(steps)
      .mul(Math.PI / steps)
      .cos()
      .add(1)
      .mul((rate - final) / 2)
      .add(final);
}
/** From `rate` to `final` by (1 − step/steps)^exponent, then `final`. */
export function polynomial(rate: number, steps: number, exponent = 1, final = 0): Schedule {
  expectPeriod('polynomial', steps);
  return (step) =>
    step
      .minimum(steps)
      .div(steps)
      .neg()
      .add(1)
      .pow(exponent)
      .mul(rate - final)
      .add(final);
}
/** Rises linearly over `steps`, reaching the schedule at its end. */
export const warmUp =
  (steps: number, then: Schedule): Schedule =>
  (step) => {
    const rate = then(step);
    return where(step.lt(steps), rate.mul(step.add(1).div(steps)), rate);
  };

function expectPeriod(schedule: string, period: number): void {
  if (!(period > 0)) throw new UserError(`${schedule}: a period above 0 expected, ${period} given`);
}

/** A number to a power; 0⁰ is 1. */
function power(base: number, exponent: AnyTensor): AnyTensor {
  return full([], base, exponent.dtype).pow(exponent);
}
