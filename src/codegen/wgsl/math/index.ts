// Functions of f32 in WGSL. The methods are those of the C functions (src/codegen/c/math/), whose polynomials they share;
// WGSL's own functions have no useful bounds at the ends of their range. Whole numbers come from round(), because an
// implementation may reorder sums. `ash_<op>_f32` is the scalar operation <op>; docs/numerics.md states their errors.

import type { Helpers } from '../../helper-text.ts';
import { exponentials } from './exponential.ts';
import { inverseTrigonometrics } from './inverse-trigonometric.ts';
import { logarithms } from './logarithm.ts';
import { powers } from './power.ts';
import { randomHelpers } from './random.ts';
import { trigonometrics } from './trigonometric.ts';

export const mathHelpers: Helpers = {
  ...exponentials,
  ...logarithms,
  ...powers,
  ...trigonometrics,
  ...inverseTrigonometrics,
  ...randomHelpers,
};
