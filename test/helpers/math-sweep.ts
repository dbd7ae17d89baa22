// Walks f32 arguments through the C of elementwise operations, as compilers build it, and compares with libm in double.
// Several builds share one walk, since the reference costs more than what is tested.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { printExpr, type Scope } from '../../src/codegen/c/expressions.ts';
import { helpersInOrder } from '../../src/codegen/c/helpers.ts';
import { Namer } from '../../src/codegen/c/names.ts';
import type { Expr, Local } from '../../src/ir/kernel.ts';
import { binaryRecords } from '../../src/ir/ops/binary.ts';
import { unaryRecords } from '../../src/ir/ops/unary.ts';

export interface Build {
  readonly name: string;
  readonly compiler: string;
  readonly flags: readonly string[];
}

/** An operation by its name in the table, and the same function in C on doubles x (and y). */
export interface SweptFunction {
  readonly name: string;
  readonly operands: 1 | 2;
  readonly reference: string;
}

export interface Worst {
  readonly name: string;
  readonly build: string;
  /** In units of the wanted value's last place. */
  readonly ulp: number;
  readonly at: string;
}

const operandNames = ['x', 'y'] as const;

/** The operation as a C expression over x and y, its helpers collected in `scope`. */
export function operationInC(name: string, scope: Scope, dtype: 'f32' | 'f64' = 'f32'): string {
  const operand = (named: string): Expr => {
    const local: Local = { name: named, dtype, lanes: 1 };
    scope.namer.nameOf(local, named);
    return { kind: 'local', dtype, local };
  };
  if (name in unaryRecords) return printExpr(unaryRecords[name as 'exp'].scalar(operand('x')), scope);
  return printExpr(binaryRecords[name as 'pow'].scalar(operand('x'), operand('y')), scope);
}

/** A C file with one loop in lanes per function, `<prefix>_<name>(x, y, out, count)`. */
export function loopsInC(functions: readonly Pick<SweptFunction, 'name' | 'operands'>[], prefix: string): string {
  const helpers = new Set<string>();
  const loops = functions.map(({ name, operands }) => {
    const scope: Scope = { helpers, vectors: new Map(), namer: new Namer() };
    const text = operationInC(name, scope);
    const given = operandNames.slice(0, operands);
    const loads = given.map((each) => `    const float ${each} = ${each}s[i];`).join('\n');
    return `void ${prefix}_${name}(const float *restrict xs, const float *restrict ys, float *restrict out, int count) {
  (void)ys;
  _Pragma("omp simd")
  for (int i = 0; i < count; i++) {
${loads}
    out[i] = ${text};
  }
}`;
  });
  const includes = '#include <math.h>\n#include <stdint.h>\n#include <string.h>';
  return `${[includes, 'typedef int32_t ash_index;', ...helpersInOrder(helpers), ...loops].join('\n\n')}\n`;
}

/** Patterns of bits around which functions change: signs, ends of the range, powers of two, and edges of reductions. */
const edges = ['0x00000000u', '0x00800000u', '0x3f800000u', '0x7f800000u', '0x7fc00000u', '0x42b17218u', '0x42cff1b5u'];

function driver(functions: readonly SweptFunction[], builds: readonly Build[], stride: number, pairs: number): string {
  const prototypes = functions.flatMap(({ name }) =>
    builds.map((_build, i) => `void b${i}_${name}(const float *, const float *, float *, int);`),
  );
  const references = functions.map(
    ({ name, reference }) =>
      `static double wanted_${name}(double x, double y) {\n  (void)y;\n  return ${reference};\n}`,
  );
  const rows = functions.map(
    ({ name, operands }) =>
      `  {"${name}", ${operands}, wanted_${name}, {${builds.map((_build, i) => `b${i}_${name}`).join(', ')}}},`,
  );
  return `#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
enum { builds = ${builds.length}, batch = 4096 };
typedef void loop(const float *, const float *, float *, int);
${prototypes.join('\n')}
${references.join('\n')}
static const struct { const char *name; int operands; double (*wanted)(double, double); loop *loops[builds]; } functions[] = {
${rows.join('\n')}
};
static const char *const names[builds] = {${builds.map(({ name }) => `"${name}"`).join(', ')}};
static const uint32_t edges[] = {${edges.join(', ')}};

static float of_bits(uint32_t bits) { float value; memcpy(&value, &bits, 4); return value; }
static uint32_t bits_of(float value) { uint32_t bits; memcpy(&bits, &value, 4); return bits; }

/* Infinity counts as 2^128, the next number after the largest, so that a value beside the border is an error of 1 ulp;
   a NaN or the sign of a zero that differs is an infinite error. */
static double error(float found, double wanted) {
  if (isnan(wanted) || isnan(found)) return isnan(wanted) && isnan(found) ? 0 : INFINITY;
  if (wanted == 0) return found == 0 && !signbit(found) == !signbit(wanted) ? 0 : INFINITY;
  const double limit = 0x1p128;
  const double f = fmin(fmax(found, -limit), limit), w = fmin(fmax(wanted, -limit), limit);
  int exponent;
  frexp(w, &exponent);
  exponent = exponent - 1 < -126 ? -126 : exponent - 1 > 127 ? 127 : exponent - 1;
  return fabs(f - w) / ldexp(1, exponent - 23);
}

static float xs[batch], ys[batch], out[batch];
static double expected[batch], worst[builds];
static float worst_x[builds], worst_y[builds];
static int filled;

static void flush(int f) {
  for (int i = 0; i < filled; i++) expected[i] = functions[f].wanted(xs[i], ys[i]);
  for (int b = 0; b < builds; b++) {
    functions[f].loops[b](xs, ys, out, filled);
    for (int i = 0; i < filled; i++) {
      /* Correctly rounded is at most half a unit off. */
      if (worst[b] >= 0.5 && out[i] != 0 && out[i] == (float)expected[i]) continue;
      const double e = error(out[i], expected[i]);
      if (e > worst[b]) { worst[b] = e; worst_x[b] = xs[i]; worst_y[b] = ys[i]; }
    }
  }
  filled = 0;
}
static void add(int f, float x, float y) {
  xs[filled] = x;
  ys[filled] = y;
  if (++filled == batch) flush(f);
}
static uint32_t state;
static uint32_t next(void) {
  state ^= state << 13; state ^= state >> 17; state ^= state << 5;
  return state;
}
static float edge(uint32_t i) { return of_bits((edges[i / 10] + i % 5 - 2) ^ (i / 5 % 2 << 31)); }

int main(void) {
  const uint32_t count = 10 * sizeof edges / sizeof *edges;
  for (unsigned f = 0; f < sizeof functions / sizeof *functions; f++) {
    memset(worst, 0, sizeof worst);
    if (functions[f].operands == 1) {
      for (uint64_t bits = 0; bits < 0x100000000u; bits += ${stride}) add(f, of_bits((uint32_t)bits), 0);
      for (uint32_t i = 0; i < count; i++) add(f, edge(i), 0);
    } else {
      state = 2463534242u;
      for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < count; j++) add(f, edge(i), edge(j));
        for (int j = -9; j <= 9; j++) { add(f, edge(i), j); add(f, j, edge(i)); add(f, edge(i), j * 0.5f); }
      }
      for (int i = 0; i < ${pairs}; i++) {
        const float any = of_bits(next()), moderate = of_bits((next() & 0x87ffffffu) + 0x3c000000u);
        add(f, any, moderate);
        add(f, moderate, any);
        add(f, moderate, of_bits((next() & 0x87ffffffu) + 0x3c000000u));
        add(f, of_bits((next() & 0x3fffffu) + 0x3f600000u), of_bits((next() & 0x85ffffffu) + 0x42000000u));
      }
    }
    flush(f);
    for (int b = 0; b < builds; b++) {
      printf("%s %s %.17g %.9g:%08x%s", functions[f].name, names[b], worst[b], worst_x[b], bits_of(worst_x[b]),
             functions[f].operands == 1 ? "\\n" : "");
      if (functions[f].operands == 2) printf(",%.9g\\n", worst_y[b]);
    }
  }
}
`;
}

/** Ashlar's own flags, but for the machine. */
export const optimised = [
  '-std=gnu11',
  '-O3',
  '-fno-math-errno',
  '-fno-trapping-math',
  '-ffp-contract=fast',
  '-fopenmp-simd',
];

/** The largest error of every function in every build over every stride-th f32, or over pairs. Files go to `folder`. */
export function sweep(
  folder: string,
  functions: readonly SweptFunction[],
  builds: readonly Build[],
  { stride, pairs }: { stride: number; pairs: number },
): Worst[] {
  const objects = builds.map(({ compiler, flags }, i) => {
    const source = join(folder, `functions${i}.c`);
    writeFileSync(source, loopsInC(functions, `b${i}`));
    const object = join(folder, `functions${i}.o`);
    execFileSync(compiler, [...optimised, ...flags, '-Wall', '-Wextra', '-Werror', '-c', '-o', object, source]);
    return object;
  });
  const main = join(folder, 'sweep.c');
  writeFileSync(main, driver(functions, builds, stride, pairs));
  const binary = join(folder, 'sweep');
  execFileSync('gcc', ['-std=gnu11', '-O2', '-fsanitize=undefined', '-o', binary, main, ...objects, '-lm']);
  const lines = execFileSync(binary, { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => {
    const [name, build, ulp, at] = line.split(' ') as [string, string, string, string];
    return { name, build, ulp: ulp === 'inf' ? Number.POSITIVE_INFINITY : Number(ulp), at };
  });
}
