// Functions of f32 in lanes against libm's, in the first-level cache: cycles per element for gcc and clang, and the floor
// that the multiplications of gcc's loop alone would take. A cycle is half of a turn of a chain of two dependent integer
// operations, measured in the same run. Each time is the least of many short ones, the candidates taking turns.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lanesIn, vectorInstructions } from '../test/helpers/assembly.ts';
import { loopsInC, optimised } from '../test/helpers/math-sweep.ts';
import { fmaPeak } from './fma-peak.ts';
import { progress, table } from './measure.ts';

interface Measured {
  readonly name: string;
  readonly operands: 1 | 2;
  /** Where arguments lie, evenly. */
  readonly from: number;
  readonly to: number;
  /** The same from libm, an expression in x and y. */
  readonly libm: string;
}

const one = (name: string, from: number, to: number, libm = `${name}f(x)`): Measured => ({
  name,
  operands: 1,
  from,
  to,
  libm,
});
const functions: readonly Measured[] = [
  one('exp', -10, 10),
  one('expm1', -4, 4),
  one('log', 0.001, 100),
  one('log1p', -0.9, 10),
  one('tanh', -4, 4),
  one('sigmoid', -8, 8, '1.0f / (1.0f + expf(-x))'),
  one('softplus', -8, 8, 'fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)))'),
  one('erf', -3, 3),
  one('sin', -10, 10),
  one('cos', -10, 10),
  one('tan', -10, 10),
  one('asin', -1, 1),
  one('acos', -1, 1),
  one('atan', -5, 5),
  one('sinh', -4, 4),
  one('cosh', -4, 4),
  one('asinh', -5, 5),
  one('acosh', 1, 10),
  one('atanh', -0.99, 0.99),
  { name: 'pow', operands: 2, from: 0.1, to: 4, libm: 'powf(x, y)' },
  { name: 'atan2', operands: 2, from: -3, to: 3, libm: 'atan2f(x, y)' },
];

const libmLoops = (): string =>
  `#include <math.h>\n${functions
    .map(
      ({ name, libm, operands }) => `void libm_${name}(const float *xs, const float *ys, float *out, int count) {
  (void)ys;
  for (int i = 0; i < count; i++) {
    const float x = xs[i];${operands === 2 ? '\n    const float y = ys[i];' : ''}
    out[i] = ${libm};
  }
}`,
    )
    .join('\n')}\n`;

function driver(prefixes: readonly string[]): string {
  const rows = functions.map(
    ({ name, from, to }) => `  {"${name}", ${from}, ${to}, {${prefixes.map((p) => `${p}_${name}`).join(', ')}}},`,
  );
  const prototypes = functions.flatMap(({ name }) =>
    prefixes.map((p) => `void ${p}_${name}(const float *, const float *, float *, int);`),
  );
  return `#include <stdio.h>
#include <time.h>
enum { candidates = ${prefixes.length}, count = 1024, repeats = 16, trials = 400, turns = 20000 };
${prototypes.join('\n')}
static const struct { const char *name; double from, to; void (*loops[candidates])(const float *, const float *, float *, int); } functions[] = {
${rows.join('\n')}
};
static float xs[count], ys[count], out[count];
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static double cycle(void) {
  double least = 1;
  for (int trial = 0; trial < trials; trial++) {
    unsigned x = trial;
    const double start = now();
    for (unsigned i = 0; i < turns; i++) { x = (x ^ i) + 12345u; __asm__ volatile("" : "+r"(x)); }
    const double time = now() - start;
    if (time < least) least = time;
  }
  return least / (2.0 * turns);
}
int main(void) {
  const double seconds = cycle();
  printf("cycle %g\\n", seconds);
  for (unsigned f = 0; f < sizeof functions / sizeof *functions; f++) {
    for (int i = 0; i < count; i++) {
      /* In no order, so that branches of libm meet what they would. */
      xs[i] = functions[f].from + (functions[f].to - functions[f].from) * ((i * 389) % count) / (count - 1);
      ys[i] = functions[f].from + (functions[f].to - functions[f].from) * ((i * 577) % count) / (count - 1);
    }
    double least[candidates];
    for (int c = 0; c < candidates; c++) least[c] = 1;
    for (int trial = 0; trial < trials; trial++)
      for (int c = 0; c < candidates; c++) {
        const double start = now();
        for (int r = 0; r < repeats; r++) functions[f].loops[c](xs, ys, out, count);
        const double time = now() - start;
        if (time < least[c]) least[c] = time;
      }
    printf("%s", functions[f].name);
    for (int c = 0; c < candidates; c++) printf(" %.4f", least[c] / ((double)count * repeats * seconds));
    printf("\\n");
  }
  return 0;
}
`;
}

export function math(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-math-'));
  try {
    const clang = ['clang-19', 'clang'].find((command) => spawnSync(command, ['--version']).status === 0);
    const native = [...optimised, '-march=native'];
    const sources = [
      { prefix: 'gcc', compiler: 'gcc', flags: native, text: loopsInC(functions, 'gcc') },
      ...(clang === undefined
        ? []
        : [
            {
              prefix: 'clang',
              compiler: clang,
              flags: [...native, '-mprefer-vector-width=512'],
              text: loopsInC(functions, 'clang'),
            },
          ]),
      { prefix: 'libm', compiler: 'gcc', flags: native, text: libmLoops() },
    ];
    progress('math: compiling');
    const objects = sources.map(({ prefix, compiler, flags, text }) => {
      const source = join(folder, `${prefix}.c`);
      writeFileSync(source, text);
      execFileSync(compiler, [...flags, '-c', '-o', `${source}.o`, source]);
      return `${source}.o`;
    });
    const assembly = execFileSync('gcc', [...native, '-S', '-o', '-', join(folder, 'gcc.c')], { encoding: 'utf8' });
    const main = join(folder, 'main.c');
    writeFileSync(main, driver(sources.map(({ prefix }) => prefix)));
    execFileSync('gcc', ['-O2', '-o', `${main}.out`, main, ...objects, '-lm']);
    progress('math: measuring');
    const [cycle, ...lines] = execFileSync(`${main}.out`, { encoding: 'utf8' }).trim().split('\n');
    const seconds = Number(cycle!.split(' ')[1]);
    // Of f32; pow and the sines multiply in f64 too, where a vector holds half as many, but takes as long.
    const vectorsPerCycle = (fmaPeak() * 1e9 * seconds) / (2 * lanesIn(assembly));
    const rows = lines.map((line) => {
      const [name, ...cycles] = line.split(' ') as [string, ...string[]];
      const values = cycles.map(Number);
      const libm = values.at(-1)!;
      const { all, multiplications } = vectorInstructions(assembly, `gcc_${name}`);
      const floor = multiplications / vectorsPerCycle / lanesIn(assembly);
      const ours = values.slice(0, -1);
      return [
        name,
        ...ours.map((value) => value.toFixed(2)),
        floor.toFixed(2),
        all,
        libm.toFixed(2),
        ...ours.map((value) => `${(libm / value).toFixed(1)}×`),
      ];
    });
    const names = sources.slice(0, -1).map(({ prefix }) => prefix);
    const header = [
      'f32 function',
      ...names,
      'multiplications',
      'instructions',
      'libm',
      ...names.map((name) => `libm / ${name}`),
    ];
    return [
      `Cycles per element in the first-level cache (${(1e-9 / seconds).toFixed(2)} GHz, ${vectorsPerCycle.toFixed(2)} vector multiply-adds per cycle).
\`multiplications\`: the cycles that those of gcc's loop alone would take; \`instructions\`: all on vectors for ${lanesIn(assembly)} elements.`,
      table(header, rows),
    ].join('\n\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
