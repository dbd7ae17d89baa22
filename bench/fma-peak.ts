// The floor of arithmetic: independent multiply-adds in registers, measured on this machine in this run.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const source = `
#include <stdio.h>
#include <time.h>
#if defined(__AVX512F__)
enum { lanes = 16, chains = 24 };
#elif defined(__AVX2__)
enum { lanes = 8, chains = 12 };
#else
enum { lanes = 4, chains = 12 };
#endif
typedef float vector __attribute__((vector_size(lanes * 4)));
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
int main(void) {
  vector sums[chains];
  for (int i = 0; i < chains; i++) sums[i] = (vector){0};
  vector a, b;
  for (int i = 0; i < lanes; i++) { a[i] = 1.0000001f; b[i] = 1e-9f; }
  double best = 1e9;
  const long rounds = 50000; /* A third of a millisecond: some trials then meet no neighbour. */
  for (int trial = 0; trial < 600; trial++) {
    const double start = now();
    for (long r = 0; r < rounds; r++) {
      __asm__ volatile("" : "+v"(a), "+v"(b));
      _Pragma("GCC unroll 24")
      for (int i = 0; i < chains; i++) sums[i] = sums[i] * a + b;
    }
    const double seconds = now() - start;
    if (seconds < best) best = seconds;
  }
  float total = 0;
  for (int i = 0; i < chains; i++) for (int j = 0; j < lanes; j++) total += sums[i][j];
  fprintf(stderr, "%g\\n", total);
  printf("%.3f\\n", 2.0 * chains * lanes * rounds / best * 1e-9);
}
`;

/** GFLOP/s of f32 on one core; of products and sums where a processor does not fuse them. */
export function fmaPeak(compiler = 'gcc', architecture: readonly string[] = ['-march=native']): number {
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-peak-'));
  try {
    writeFileSync(join(folder, 'peak.c'), source);
    execFileSync(compiler, [
      '-O3',
      ...architecture,
      '-ffp-contract=fast',
      '-o',
      join(folder, 'peak'),
      join(folder, 'peak.c'),
    ]);
    return Number(execFileSync(join(folder, 'peak'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
