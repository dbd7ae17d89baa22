// Learning rates as expressions of the step, a float scalar that counts from 0.

import { where } from '../lang/functions.ts';
import type { AnyTensor } from '../lang/tensor.ts';
import { constant as constantTensor } from '../lang/variable.ts';

/** The learning rate at a step. */
export type Schedule = (step: AnyTensor) => AnyTensor;

export const constant =
  (rate: number): Schedule =>
  () =>
    constantTensor(rate) as AnyTensor;
/** rate · factor^⌊step / every⌋. */
export const stepDecay =
  (rate: number, every: number, factor = 0.1): Schedule =>
  (step) =>
    power(factor, step.div(every).floor()).mul(rate);
/** rate · factor^(step / every). */
export const exponentialDecay =
  (rate: number, every: number, factor: number): Schedule =>
  (step) =>
    power(factor, step.div(every)).mul(rate);
/** From `rate` to `final` in half a cosine over `steps`, then `final`. I. Loshchilov, F. Hutter, ICLR 2017, eq. 5. */
export const cosine =
  (rate: number, steps: number, final = 0): Schedule =>
  (step) =>
    step
      .minimum(steps)
      .mul(Math.PI / steps)
      .cos()
      .add(1)
      .mul((rate - final) / 2)
      .add(final);
/** From `rate` to `final` by (1 − step/steps)^power, then `final`. */
export const polynomial =
  (rate: number, steps: number, exponent = 1, final = 0): Schedule =>
  (step) =>
    step
      .minimum(steps)
      .div(steps)
      .neg()
      .add(1)
      .pow(exponent)
      .mul(rate - final)
      .add(final);
/** Rises linearly over `steps`, reaching the schedule at its end. */
export const warmUp =
  (steps: number, then: Schedule): Schedule =>
  (step) => {
    const rate = then(step);
    return where(step.lt(steps), rate.mul(step.add(1).div(steps)), rate);
  };

function power(base: number, exponent: AnyTensor): AnyTensor {
  return exponent.mul(Math.log(base)).exp();
}
