// Functions in C that run in lanes: inline, without branches on data and without calls, so that gcc and clang vectorise the
// loops around them. ash_<op>_<dtype> is the C of the scalar operation <op>; what has no entry is libm's. docs/numerics.md
// states their errors, test/math-functions.test.ts holds them.

import type { HelperText } from '../../helper-text.ts';
import { bitHelpers } from './bits.ts';
import { doubles } from './double.ts';
import { errorFunction } from './error-function.ts';
import { exponentials } from './exponential.ts';
import { halfHelpers } from './half.ts';
import { inverseTrigonometrics } from './inverse-trigonometric.ts';
import { logarithms } from './logarithm.ts';
import { powers } from './power.ts';
import { randomHelpers } from './random.ts';
import { trigonometrics } from './trigonometric.ts';

export const mathHelpers: Readonly<Record<string, HelperText>> = {
  ...bitHelpers,
  ...exponentials,
  ...logarithms,
  ...errorFunction,
  ...powers,
  ...trigonometrics,
  ...inverseTrigonometrics,
  ...doubles,
  ...halfHelpers,
  ...randomHelpers,
};
