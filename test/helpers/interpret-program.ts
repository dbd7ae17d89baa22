// A whole program in the kernel interpreter.

import type { Axis } from '../../src/ir/index-expr.ts';
import { interpretKernel } from '../../src/ir/kernel-interpreter.ts';
import type { Program, ProgramBuffer, ProgramStep } from '../../src/ir/program.ts';
import { isBranch, isLoop } from '../../src/ir/steps.ts';
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
  const holds = (buffer: ProgramBuffer): boolean => memoryOf(buffer, 1)[0] !== 0;
  const run = (steps: readonly ProgramStep[], iterations: ReadonlyMap<Axis, number>): void => {
    for (const step of steps) {
      if (isBranch(step)) run(holds(step.predicate) ? step.then : step.otherwise, iterations);
      else if (isLoop(step)) {
        for (let i = 0; i < step.count; i++) {
          const inside = new Map(iterations);
          if (step.axis !== null) inside.set(step.axis, i);
          if (step.condition !== null) {
            run(step.condition.steps, inside);
            if (!holds(step.condition.predicate)) break;
          }
          run(step.steps, inside);
        }
      } else {
        const { kernel, args } = step;
        const memory = new Map(kernel.parameters.map(({ buffer }, i) => [buffer, memoryOf(args[i]!, buffer.size)]));
        interpretKernel(kernel, memory, subgroupSize, iterations);
      }
    }
  };
  run([...program.preparation, ...program.steps], new Map());
  return outputs;
}
