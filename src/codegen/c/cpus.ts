// Processors as C names them: what a compiler predefines for one, how code for it is asked for, and how it is known at run time.

import type { CpuName } from '../../passes/schedule.ts';

export interface CpuInC {
  /** The macro that compilers predefine for its architecture; null for any. */
  readonly architecture: string | null;
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
    architecture: '__x86_64__',
    features: [...avx2, 'avx512f', 'avx512cd', 'avx512bw', 'avx512dq', 'avx512vl'],
    flags: ['-march=x86-64-v4'],
  },
  'x86-64-v3': { architecture: '__x86_64__', features: avx2, flags: ['-march=x86-64-v3'] },
  armv8: { architecture: '__aarch64__', features: [], flags: ['-march=armv8-a'] },
  plain: { architecture: null, features: [], flags: [] },
};

/** The macros that say that all code may be that of a processor. */
export function macrosOf(cpu: CpuName): string[] {
  const { architecture, features } = cpusInC[cpu];
  return [...(architecture === null ? [] : [architecture]), ...features.map((name) => `__${name.toUpperCase()}__`)];
}
