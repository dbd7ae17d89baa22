// Trials: the kernels of one fused group, with its epilogue and its layouts, as a program of their own. Candidates of a
// problem read and write the same memory and differ in their kernels alone.

import { makeFunc, type Parameter, type Value } from '../../ir/graph.ts';
import { opTable } from '../../ir/ops/index.ts';
import type { Program } from '../../ir/program.ts';
import { leavesOf } from '../../ir/steps.ts';
import type { TensorType } from '../../ir/types.ts';
import type { Fused, Group } from '../../passes/fuse.ts';
import { constantBuffers, lower } from '../../passes/lower.ts';
import type { Machine } from '../../passes/machine.ts';
import { planProgram } from '../../passes/plan.ts';
import { shareKernels } from '../../passes/share-kernels.ts';
import { allocate, type TypedArray } from '../arrays.ts';

export interface TrialProgram {
  readonly program: Program;
  /** The values of its inputs and outputs. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** A group of a function, or of one nested in it, as a program; what is the same in all iterations is what `settled` says. */
export function trialProgram(fused: Fused, group: Group, machine: Machine, settled: 'input' | 'weight'): TrialProgram {
  const own = around(fused, group, settled)!;
  const { func, plan } = own;
  const outputs = group.stored;
  const lowered = shareKernels(lower({ ...own, plan: { ...plan, groups: [group] } }, opTable, machine));
  const known = new Set<Value>([...outputs, ...constantBuffers(func)]);
  const inputs = new Set<Value>();
  for (const { kernel } of leavesOf(lowered.steps)) {
    for (const { buffer } of kernel.parameters) {
      const value = lowered.buffers.get(buffer) ?? null;
      if (value !== null && !known.has(value)) inputs.add(value);
    }
  }
  const weights = func.parameters.filter(({ role }) => role === 'weight');
  const trial = makeFunc(
    'trial',
    [...weights, ...[...inputs].map((value, i): Parameter => ({ name: `in${i}`, role: 'input', value }))],
    outputs.map((value, i) => ({ name: `out${i}`, role: 'output', value })),
  );
  const program = planProgram(trial, lowered, [], machine, { mostInlineElements: 64 });
  return { program, inputs: [...inputs], outputs };
}

/** The function whose group it is. */
function around(fused: Fused, group: Group, settled: 'input' | 'weight'): Fused | null {
  const { func, plan, nested } = fused;
  if (plan.groups.includes(group)) {
    const parameters = func.parameters.map(
      (given, i): Parameter => (i < fused.settled ? { ...given, role: settled } : given),
    );
    return { ...fused, func: { ...func, parameters } };
  }
  for (const inner of [...nested.values()].flatMap((functions) => [...functions.values()])) {
    const found = around(inner, group, settled);
    if (found !== null) return found;
  }
  return null;
}

/** The bits of f16's numbers from a half on. */
const halfFrom = 0x3800;

/** Numbers in [−1, 1) that are the same every time, of f16 in [½, 1); zeros for integers, which may be indices. */
export function filled(type: TensorType): TypedArray {
  const array = allocate(type);
  if (array instanceof Float32Array || array instanceof Float64Array)
    for (let i = 0; i < array.length; i++) array[i] = ((i * 7919) % 2003) / 1001.5 - 1;
  if (type.dtype === 'f16') for (let i = 0; i < array.length; i++) array[i] = halfFrom + ((i * 7919) % 1021);
  return array;
}

/** A difference of this share of the largest number is rounding in another order; what a wrong index does is far more. */
const roundingShare = 2 ** -10;

/** What of the results differs by more than rounding, or null. */
export function difference(expected: readonly TypedArray[], found: readonly TypedArray[]): string | null {
  for (const [position, array] of expected.entries()) {
    const other = found[position]!;
    const isFloat = array instanceof Float32Array || array instanceof Float64Array;
    let largest = 0;
    for (let i = 0; i < array.length; i++)
      if (Number.isFinite(Number(array[i]))) largest = Math.max(largest, Math.abs(Number(array[i])));
    const allowed = isFloat ? largest * roundingShare : 0;
    for (let i = 0; i < array.length; i++) {
      const [a, b] = [Number(array[i]), Number(other[i])];
      if (!Object.is(a, b) && !(Math.abs(a - b) <= allowed))
        return `element ${i} of result ${position} is ${b}, untuned ${a}`;
    }
  }
  return null;
}
