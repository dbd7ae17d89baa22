// From a graph to a program: the graph passes, fusion, lowering and the memory plan, in that order.

import { LimitationError } from '../ir/errors.ts';
import type { Func } from '../ir/graph.ts';
import { printKernelText } from '../ir/kernel-text.ts';
import { builder, opTable } from '../ir/ops/index.ts';
import type { Program, RangeCheck } from '../ir/program.ts';
import { withAttention } from './attention.ts';
import { cpuMachine } from './cpu.ts';
import { type FusionPlan, fuse, withoutFusion } from './fuse.ts';
import { optimize } from './graph-passes.ts';
import { inputChecks } from './input-checks.ts';
import { lower } from './lower.ts';
import type { Machine } from './machine.ts';
import { withOperands } from './operands.ts';
import { type PlanOptions, planProgram } from './plan.ts';
import { separateResults } from './results.ts';
import { defaultTarget, type ScheduleTarget } from './schedule.ts';
import { shareKernels } from './share-kernels.ts';
import { withWindows } from './windows.ts';

export interface CompileOptions extends PlanOptions {
  readonly schedule?: ScheduleTarget;
  /** What kernels are made for. Default: a CPU with the given schedule. */
  readonly machine?: Machine;
  /** False: one kernel per operation, the measure that fusion is compared with. */
  readonly fusion?: boolean;
  /** Receives every stage by name, in text form. */
  readonly print?: (stage: string, text: string) => void;
}

/** A function as it is lowered, and which of its operations share a kernel. */
export interface Fused {
  readonly func: Func;
  readonly plan: FusionPlan;
}

/** Everything before lowering. */
export function fuseGraph(func: Func, machine: Machine, { fusion = true, print }: CompileOptions = {}): Fused {
  const { splitsPhases } = machine;
  const optimized = optimize(func, print === undefined ? { splitsPhases } : { splitsPhases, print });
  refuseLoops(optimized);
  const separated = separateResults(optimized, builder);
  const fused = fusion ? fuse(separated, opTable, machine.rowsPay) : withoutFusion(separated, opTable);
  const joined = [withAttention, withWindows, withOperands];
  const plan = fusion ? joined.reduce((all, join) => join(all, separated, opTable, machine), fused) : fused;
  return { func: separated, plan };
}

function refuseLoops({ nodes }: Func): void {
  const loop = nodes.find(({ op }) => opTable[op].lowering.class === 'loop');
  if (loop !== undefined)
    throw new LimitationError(`${loop.op} is evaluated but not compiled: write its steps out`, loop.source);
}

/** Compiles a function to a program: kernels in order, their buffers placed. Deterministic for a given function and options. */
export function compileToProgram(func: Func, options: CompileOptions = {}): Program {
  const { schedule = defaultTarget, machine = cpuMachine(schedule) } = options;
  return lowerFused(fuseGraph(func, machine, options), inputChecks(func), machine, options);
}

/** One program for each machine, all from the same graph: their constants are the same arrays. */
export function compileForMachines(func: Func, machines: readonly Machine[], options: CompileOptions = {}): Program[] {
  const fused = fuseGraph(func, machines[0]!, options);
  return machines.map((machine) => lowerFused(fused, inputChecks(func), machine, options));
}

function lowerFused(
  { func: separated, plan }: Fused,
  checks: readonly RangeCheck[],
  machine: Machine,
  options: CompileOptions,
): Program {
  const { print } = options;
  const lowered = shareKernels(lower(separated, plan, opTable, machine));
  print?.('kernels', lowered.kernels.map(printKernelText).join('\n\n'));
  return machine.finish(planProgram(separated, lowered, checks, machine, options));
}
