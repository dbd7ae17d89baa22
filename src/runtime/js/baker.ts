// Preparations run in JavaScript: what is written into an artifact is computed by the same code on every machine.

import { helperText } from '../../codegen/js/helpers.ts';
import { printKernel } from '../../codegen/js/statements.ts';
import type { Kernel } from '../../ir/kernel.ts';
import { sizeOf } from '../../ir/types.ts';
import type { Baker } from '../../passes/bake.ts';
import { allocate, arrayFrom } from '../arrays.ts';

type Numbers = Exclude<ReturnType<typeof allocate>, BigInt64Array>;

export const scriptBaker: Baker<Numbers> = {
  hold: ({ type, data }) => {
    if (data === null) return allocate(type) as Numbers;
    if (data.length === sizeOf(type.shape)) return arrayFrom(type, data) as Numbers;
    return (allocate(type) as Numbers).fill(Number(data[0]));
  },
  run: (kernel, memory) => functionOf(kernel)(...memory),
};

function functionOf(kernel: Kernel): (...memory: readonly Numbers[]) => void {
  const helpers = new Set<string>();
  const text = printKernel(kernel, 'kernel', helpers);
  const needed = [...helpers].sort().map(helperText);
  return new Function(`'use strict';\nconst f = Math.fround;\n${needed.join('\n')}\n${text}\nreturn kernel;`)();
}
