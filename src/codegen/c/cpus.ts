// Processors as C names them: what a compiler predefines for one, how code for it is asked for, and how it is known at run time.

import type { CpuName } from '../../passes/schedule.ts';

export interface CpuInC {
  /** Macros of compilers that can make code for it: for its architecture, with vectors as GNU C has them. */
  readonly macros: readonly string[];
  /**
   * Instruction sets that its code uses beyond the architecture's first, by the names that the `target` attribute and
   * __builtin_cpu_supports know. Compilers predefine `__NAME__` where all code may use one.
   */
  readonly features: readonly string[];
  /** What makes a compiler use them in all code. */
  readonly flags: readonly string[];
}

const avx2 = ['avx2', 'fma', 'bmi', 'bmi2'];

export const cpusInC: Readonly<Record<CpuName, CpuInC>> = {
  'x86-64-v4': {
    macros: ['__GNUC__', '__x86_64__'],
    features: [...avx2, 'avx512f', 'avx512cd', 'avx512bw', 'avx512dq', 'avx512vl'],
    flags: ['-march=x86-64-v4'],
  },
  'x86-64-v3': { macros: ['__GNUC__', '__x86_64__'], features: avx2, flags: ['-march=x86-64-v3'] },
  armv8: { macros: ['__GNUC__', '__aarch64__'], features: [], flags: ['-march=armv8-a'] },
  plain: { macros: ['__GNUC__'], features: [], flags: [] },
  scalar: { macros: [], features: [], flags: [] },
};

/** The macros that say that all code may be that of a processor. */
export function macrosOf(cpu: CpuName): string[] {
  const { macros, features } = cpusInC[cpu];
  return [...macros, ...features.map((name) => `__${name.toUpperCase()}__`)];
}
