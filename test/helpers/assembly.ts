// Counts in a compiler's assembly: what a vector loop costs, as far as it can be said without a clock.

export interface VectorInstructions {
  readonly all: number;
  /** Multiplications, fused or not. */
  readonly multiplications: number;
}

/** f32 in the widest register that the assembly uses. */
export const lanesIn = (assembly: string): number => (/zmm/.test(assembly) ? 16 : /ymm/.test(assembly) ? 8 : 4);

/** A function's lines, from its label to its end. */
export function bodyOf(assembly: string, name: string): string {
  const from = assembly.indexOf(`\n${name}:`);
  return assembly.slice(from, assembly.indexOf('.cfi_endproc', from));
}

/** Instructions on the widest registers in the busiest block of a function. */
export function vectorInstructions(assembly: string, name: string): VectorInstructions {
  const widest = { 16: 'zmm', 8: 'ymm', 4: 'xmm' }[lanesIn(assembly)]!;
  const blocks = bodyOf(assembly, name).split(/\n\.L\w+:/);
  const most = (pattern: RegExp): number => Math.max(...blocks.map((block) => block.match(pattern)?.length ?? 0));
  return {
    all: most(new RegExp(`\\t.*${widest}`, 'g')),
    multiplications: most(new RegExp(`\\tv?(fn?m(add|sub)\\d*|mul)p[sd]\\t.*${widest}`, 'g')),
  };
}
