// The floor of reading: how fast memory of a given size can be summed, again and again, measured on this machine in this
// run, in large pages where the runtime has them too. What fits in a cache stays there, so the size says which memory is measured.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { alignedBytes } from '../src/runtime/c/library.ts';

const source = `
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef __linux__
#include <sys/mman.h>
#endif
#if defined(__AVX512F__)
enum { lanes = 16 };
#else
enum { lanes = 8 };
#endif
enum { chains = 8 };
typedef float vector __attribute__((vector_size(lanes * 4)));
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static float sum(const vector *from, long count) {
  vector sums[chains];
  for (int i = 0; i < chains; i++) sums[i] = (vector){0};
  for (long v = 0; v + chains <= count; v += chains) {
    _Pragma("GCC unroll 8")
    for (int i = 0; i < chains; i++) sums[i] += from[v + i];
  }
  float total = 0;
  for (int i = 0; i < chains; i++) for (int j = 0; j < lanes; j++) total += sums[i][j];
  return total;
}
float read_all(const float *memory, long bytes, int threads) {
  const long count = bytes / (long)sizeof(vector) / threads;
  float all = 0;
  _Pragma("omp parallel for num_threads(threads) reduction(+ : all)")
  for (int t = 0; t < threads; t++) all += sum((const vector *)memory + t * count, count);
  return all;
}
int main(int argc, char **argv) {
  (void)argc;
  const int threads = atoi(argv[1]);
  float all = 0;
  for (char **size = argv + 2; *size != NULL; size++) {
    const long bytes = atol(*size) / 4096 * 4096 + 4096;
    const long count = bytes / (long)sizeof(vector) / threads;
    vector *memory = aligned_alloc(4096, bytes);
#ifdef __linux__
    if (bytes >= 1l << 22) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    for (long i = 0; i < bytes / 4; i++) ((float *)memory)[i] = 1e-9f;
    const long repeats = 1 + 20000000 / bytes;
    double best = 1e9;
    for (int trial = 0; trial < 20; trial++) {
      const double start = now();
      _Pragma("omp parallel for num_threads(threads) reduction(+ : all)")
      for (int t = 0; t < threads; t++) for (long r = 0; r < repeats; r++) {
        __asm__ volatile("" ::: "memory");
        all += sum(memory + t * count, count);
      }
      const double seconds = now() - start;
      if (seconds < best) best = seconds;
    }
    printf("%.3f\\n", (double)count * threads * sizeof(vector) * repeats / best * 1e-9);
    free(memory);
  }
  fprintf(stderr, "%g\\n", all);
}
`;

const flags = ['-O3', '-march=native', '-fassociative-math', '-fno-signed-zeros', '-fno-trapping-math', '-fopenmp'];

function compiled<T>(compiler: string, extra: readonly string[], use: (path: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'ashlar-bandwidth-'));
  try {
    const program = join(folder, 'bandwidth');
    writeFileSync(`${program}.c`, source);
    execFileSync(compiler, [...flags, ...extra, '-o', program, `${program}.c`]);
    return use(program);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A function that reads so many bytes once, of memory of its own in large pages, for turns within one process. */
export function openReader(bytes: number, threads: number, compiler = 'gcc'): () => void {
  const memory = alignedBytes(bytes).fill(1);
  const read = compiled(compiler, ['-shared', '-fPIC'], (path) =>
    koffi.load(path).func('float read_all(void *memory, long bytes, int threads)'),
  );
  return () => void read(memory, bytes, threads);
}

/** GB/s at which so many bytes are read again and again, for each of the sizes. */
export function readBandwidth(sizes: readonly number[], threads: number, compiler = 'gcc'): number[] {
  return compiled(compiler, [], (program) => {
    const lines = execFileSync(program, [threads, ...sizes].map(String), {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return lines.trim().split('\n').map(Number);
  });
}
