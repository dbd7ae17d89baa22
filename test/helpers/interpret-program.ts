// A whole program in the kernel interpreter.

import { interpretKernel } from '../../src/ir/kernel-interpreter.ts';
import type { Program, ProgramBuffer } from '../../src/ir/program.ts';
import { bytesPerElement } from '../../src/ir/types.ts';

/**
 * Runs a program kernel by kernel on the arrays of its inputs and states, by name; states are updated in place.
 * arena buffers share memory by offset as they do in C, in units of elements.
 */
export function interpretProgram(
  program: Program,
  inputs: ReadonlyMap<string, Float64Array>,
  subgroupSize?: number,
): Map<string, Float64Array> {
  const outputs = new Map(
    program.outputs.map((buffer) => [buffer.name, new Float64Array(buffer.type.shape.reduce((n, d) => n * d, 1))]),
  );
  const arena = new Map<string, Float64Array>();
  const memoryOf = (buffer: ProgramBuffer, size: number): Float64Array => {
    switch (buffer.storage) {
      case 'input':
        return inputs.get(buffer.name)!;
      case 'output':
        return outputs.get(buffer.name)!;
      case 'constant':
      case 'external':
        return Float64Array.from(buffer.data!, Number);
      case 'state':
        return inputs.get(buffer.name)!;
      case 'prepared':
      case 'arena': {
        const key = `${buffer.storage}:${buffer.offset}:${size}:${bytesPerElement[buffer.type.dtype]}`;
        const found = arena.get(key) ?? new Float64Array(size);
        arena.set(key, found);
        return found;
      }
    }
  };
  for (const { kernel, args } of [...program.preparation, ...program.steps]) {
    interpretKernel(
      kernel,
      new Map(kernel.parameters.map(({ buffer }, i) => [buffer, memoryOf(args[i]!, buffer.size)])),
      subgroupSize,
    );
  }
  return outputs;
}
