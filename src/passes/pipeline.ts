// From a graph to a program: the graph passes, fusion, lowering and the memory plan, in that order.

import { type Func, type Node, nestedFuncs } from '../ir/graph.ts';
import { printKernelText } from '../ir/kernel-text.ts';
import { builder, opTable } from '../ir/ops/index.ts';
import type { Program, RangeCheck } from '../ir/program.ts';
import { leavesOf } from '../ir/steps.ts';
import { withAttention } from './attention.ts';
import { cpuMachine } from './cpu.ts';
import { type Fused, fuse, withoutFusion } from './fuse.ts';
import { optimize } from './graph-passes.ts';
import { hoistKernels } from './hoist.ts';
import { inputChecks } from './input-checks.ts';
import { lower } from './lower.ts';
import { settledConstants } from './lower-loop.ts';
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

/** Everything before lowering. */
export function fuseGraph(func: Func, machine: Machine, { fusion = true, print }: CompileOptions = {}): Fused {
  const { splitsPhases } = machine;
  const optimized = optimize(func, print === undefined ? { splitsPhases } : { splitsPhases, print });
  return fuseFunc(optimized, machine, fusion);
}

/** The groups of a function and of those nested in it; `sliced`, `settled`: see separateResults and Fused. */
function fuseFunc(
  func: Func,
  machine: Machine,
  fusion: boolean,
  sliced = Number.POSITIVE_INFINITY,
  settled = 0,
): Fused {
  const separated = separateResults(func, builder, opTable, sliced, machine.isPhases);
  const groups = fusion ? fuse(separated, opTable, machine.rowsPay) : withoutFusion(separated, opTable);
  const joined = [withAttention, withWindows, withOperands];
  const plan = fusion ? joined.reduce((all, join) => join(all, separated, opTable, machine), groups) : groups;
  const loops = separated.nodes.filter(({ op }) => opTable[op].lowering.class === 'loop');
  const nestedFor = (inner: Machine): Fused['nested'] =>
    new Map(loops.map((node) => [node, fuseNested(node, inner, fusion)]));
  const phases = fusion ? machine.loopKernels?.phases : undefined;
  return {
    func: separated,
    plan,
    settled,
    nested: nestedFor(machine),
    inPhases: phases === undefined ? new Map() : nestedFor(phases),
  };
}

function fuseNested(node: Node, machine: Machine, fusion: boolean): Map<Func, Fused> {
  // Outputs of a scan's body, behind its carries, lie slice by slice in their stacks.
  const from = node.op === 'scan' ? (node as Node<'scan'>).attrs.carries : Number.POSITIVE_INFINITY;
  const fused = (inner: Func): Fused => fuseFunc(inner, machine, fusion, from, settledConstants(node));
  return new Map(nestedFuncs(node).map((inner) => [inner, fused(inner)]));
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

function lowerFused(fused: Fused, checks: readonly RangeCheck[], machine: Machine, options: CompileOptions): Program {
  const { print } = options;
  const lowered = shareKernels(hoistKernels(lower(fused, opTable, machine)));
  print?.(
    'kernels',
    leavesOf(lowered.steps)
      .map(({ kernel }) => printKernelText(kernel))
      .join('\n\n'),
  );
  return machine.finish(planProgram(fused.func, lowered, checks, machine, options));
}
