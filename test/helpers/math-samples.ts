// f64 arguments, too many to walk: random bits, numbers of moderate size and the ends of the range, through the C of elementwise
// operations, compared with libm in long double, where that has more digits.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from '../../src/codegen/c/expressions.ts';
import { helpersInOrder } from '../../src/codegen/c/helpers.ts';
import { Namer } from '../../src/codegen/c/names.ts';
import { type Build, operationInC, optimised, type Worst } from './math-sweep.ts';

/** An operation on one operand, and the same on a long double x. */
export interface SampledFunction {
  readonly name: string;
  readonly reference: string;
}

function program(functions: readonly SampledFunction[]): string {
  const helpers = new Set<string>();
  const loops = functions.map(({ name, reference }) => {
    const text = operationInC(name, { helpers, vectors: new Map(), namer: new Namer() } satisfies Scope, 'f64');
    return `static void loop_${name}(const double *restrict xs, double *restrict out, int count) {
  _Pragma("omp simd")
  for (int i = 0; i < count; i++) {
    const double x = xs[i];
    out[i] = ${text};
  }
}
static long double wanted_${name}(long double x) { return ${reference}; }`;
  });
  const rows = functions.map(({ name }) => `  {"${name}", loop_${name}, wanted_${name}},`);
  return `#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
typedef int32_t ash_index;
${[...helpersInOrder(helpers), ...loops].join('\n\n')}
enum { batch = 1024, batches = 600 };
static const struct { const char *name; void (*loop)(const double *, double *, int); long double (*wanted)(long double); } functions[] = {
${rows.join('\n')}
};
static const double ends[] = {0.0, 5e-324, 0x1p-1022, 0x1p-55, 1.0, 0x1.fffffffffffffp1023, INFINITY, NAN, 709.782712893384,
                              709.7827128933841, 745.1332191019412, 746.0, 1e300};
enum { end_count = sizeof ends / sizeof *ends };
static uint64_t state = UINT64_C(88172645463325252);
static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}
static double any(void) {
  const uint64_t bits = next();
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
static double between(double size) { return ((double)(next() >> 11) * 0x1p-52 - 1.0) * size; }

/* In units of the last place, where the value and infinity differ an infinite error. */
static double error(double found, long double wanted) {
  if (isnan(wanted) || isnan(found)) return isnan(wanted) && isnan(found) ? 0 : INFINITY;
  if (wanted == 0) return found == 0 && !signbit(found) == !signbit(wanted) ? 0 : INFINITY;
  if (isinf((double)wanted)) return found == (double)wanted ? 0 : INFINITY;
  int exponent;
  frexpl(wanted, &exponent);
  exponent = exponent - 1 < -1022 ? -1022 : exponent - 1;
  return (double)(fabsl(found - wanted) / ldexpl(1, exponent - 52));
}

int main(void) {
  static double xs[batch], out[batch];
  for (unsigned f = 0; f < sizeof functions / sizeof *functions; f++) {
    double worst = 0, at = 0;
    for (int b = 0; b < batches; b++) {
      for (int i = 0; i < batch; i++)
        xs[i] = b == 0 && i < 2 * end_count ? (i % 2 == 0 ? ends[i / 2] : -ends[i / 2])
              : b % 4 == 0 ? any() : b % 4 == 1 ? between(750) : b % 4 == 2 ? between(2) : 1 + between(0.4);
      functions[f].loop(xs, out, batch);
      for (int i = 0; i < batch; i++) {
        const double e = error(out[i], functions[f].wanted(xs[i]));
        if (e > worst) {
          worst = e;
          at = xs[i];
        }
      }
    }
    printf("%s %.17g %.17g\\n", functions[f].name, worst, at);
  }
}
`;
}

/** The largest error of each function in one build. Files go to `folder`. */
export function sample(
  folder: string,
  functions: readonly SampledFunction[],
  { name, compiler, flags }: Build,
): Worst[] {
  const source = join(folder, 'samples.c');
  const binary = join(folder, 'samples');
  writeFileSync(source, program(functions));
  execFileSync(compiler, [...optimised, ...flags, '-Wall', '-Wextra', '-Werror', '-o', binary, source, '-lm']);
  const lines = execFileSync(binary, { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => {
    const [of, ulp, at] = line.split(' ') as [string, string, string];
    return { name: of, build: name, ulp: ulp === 'inf' ? Number.POSITIVE_INFINITY : Number(ulp), at };
  });
}
