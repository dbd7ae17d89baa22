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

/** A processor that code is made for: one that is scheduled for, or one of these with an instruction that only some of them have. */
export type CpuInCode = CpuName | 'x86-64-v4-vnni';

const avx2 = ['avx2', 'fma', 'f16c', 'bmi', 'bmi2'];

const avx512 = [...avx2, 'avx512f', 'avx512cd', 'avx512bw', 'avx512dq', 'avx512vl'];
/** Sums of four products of bytes in one instruction. */
export const vnni = 'avx512vnni';

export const cpusInC: Readonly<Record<CpuInCode, CpuInC>> = {
  'x86-64-v4-vnni': {
    macros: ['__GNUC__', '__x86_64__'],
    features: [...avx512, vnni],
    flags: ['-march=x86-64-v4', '-mavx512vnni'],
  },
  'x86-64-v4': { macros: ['__GNUC__', '__x86_64__'], features: avx512, flags: ['-march=x86-64-v4'] },
  'x86-64-v3': { macros: ['__GNUC__', '__x86_64__'], features: avx2, flags: ['-march=x86-64-v3'] },
  armv8: { macros: ['__GNUC__', '__aarch64__'], features: [], flags: ['-march=armv8-a'] },
  plain: { macros: ['__GNUC__'], features: [], flags: [] },
  scalar: { macros: [], features: [], flags: [] },
};

/** The macros that say that all code may be that of a processor. */
export function macrosOf(cpu: CpuInCode): string[] {
  const { macros, features } = cpusInC[cpu];
  return [...macros, ...features.map((name) => `__${name.toUpperCase()}__`)];
}
