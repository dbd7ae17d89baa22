// A model at every stage of its compilation, none of which runs a kernel.

import { printProgram as printC } from '../codegen/c/program.ts';
import { printProgram as printJs } from '../codegen/js/program.ts';
import { printWgsl } from '../codegen/wgsl/program.ts';
import type { Func } from '../ir/graph.ts';
import { printKernelText } from '../ir/kernel-text.ts';
import type { Launch, Program } from '../ir/program.ts';
import { printProgramText } from '../ir/program-text.ts';
import { leavesOf } from '../ir/steps.ts';
import { printFunc } from '../ir/text.ts';
import { cpuMachine } from '../passes/cpu.ts';
import { expectWgslTypes } from '../passes/gpu/legalize.ts';
import { gpuMachine } from '../passes/gpu/machine.ts';
import { type GpuKind, gpuTargets } from '../passes/gpu/schedule.ts';
import { graphPasses } from '../passes/graph-passes.ts';
import { compileToProgram } from '../passes/pipeline.ts';
import { scriptTarget, targets } from '../passes/schedule.ts';
import { noteUnused } from '../passes/tuning.ts';
import { type Cpu, findCompiler, hasCompiler } from '../runtime/c/compiler.ts';
import { tunedChoices } from '../runtime/c/processor.ts';
import { type Definition, prepareDefinition } from '../runtime/definition.ts';
import { recordText } from '../runtime/tuning-file.ts';
import { tunedFor } from '../runtime/webgpu/tuned.ts';
import { weightsOfStates } from '../runtime/weights.ts';
import { Misuse } from './failure.ts';
import { noteTuning } from './terminal.ts';

export type Target = 'c' | 'wgsl' | 'js';
export type TextStage = 'graph' | 'optimized' | 'kernels' | 'program' | Target;

/** The function as it is compiled: states that it only reads are constants or weights. */
export function boundFunc(definition: Definition): Func {
  return prepareDefinition(definition, weightsOfStates(definition.variables, undefined)).func;
}

/** Constants beyond a few cache lines are no part of texts. */
const mostInlineElements = 64;

/** What a program is made for, beside its target. */
export interface Making {
  /** Target c: the processor. Default: the machine's, or any where there is no C compiler. */
  readonly cpu?: Cpu | undefined;
  /** Target wgsl: what kernels are made for. Default: the record's, else cards. */
  readonly kernels?: GpuKind | undefined;
  /** Targets c and wgsl: the path of a tuning record. */
  readonly tuning?: string | undefined;
}

export function programFor(func: Func, target: Target, making: Making): Program {
  if (target === 'js') return compileToProgram(func, { schedule: scriptTarget, mostInlineElements });
  const { machine, tuned } = target === 'wgsl' ? deviceFor(func, making) : processorFor(making);
  const program = compileToProgram(func, target === 'wgsl' ? { machine } : { machine, mostInlineElements });
  if (tuned !== null) noteUnused(tuned, tuned.name, noteTuning);
  return program;
}

function deviceFor(func: Func, { kernels, tuning }: Making) {
  expectWgslTypes(func);
  const tuned = tuning === undefined ? null : tunedFor(kernels, recordText(tuning));
  return { tuned, machine: gpuMachine(gpuTargets[tuned?.kernels ?? kernels ?? 'card'], tuned?.choose) };
}

function processorFor({ cpu, tuning }: Making) {
  const native = cpu === undefined || cpu === 'native';
  const chosen = native ? (hasCompiler() || cpu === 'native' ? findCompiler().cpu : 'plain') : cpu;
  const tuned = tuning === undefined ? null : tunedChoices(tuning, targets[chosen].vectorBytes);
  return { tuned, machine: cpuMachine(targets[chosen], tuned?.choose) };
}

export function stageText(definition: Definition, stage: TextStage, target: Target, making: Making): string {
  if (stage === 'graph') return printFunc(definition.func);
  const func = boundFunc(definition);
  switch (stage) {
    case 'optimized':
      return printFunc(passesOf(func).at(-1)!.func);
    case 'kernels':
      return kernelsOf(programFor(func, target, making))
        .map(printKernelText)
        .join('\n\n');
    case 'program':
      return printProgramText(programFor(func, target, making));
    case 'c':
      return printC(programFor(func, 'c', making)).code.trimEnd();
    case 'js':
      return printJs(programFor(func, 'js', making)).trimEnd();
    case 'wgsl':
      return wgslText(programFor(func, 'wgsl', making));
  }
}

const kernelsOf = ({ preparation, steps }: Program): Launch['kernel'][] => [
  ...new Set(leavesOf([...preparation, ...steps]).map(({ kernel }) => kernel)),
];

/** Every shader under its name; a state is shown in a block of its own. */
function wgslText(program: Program): string {
  const printed = printWgsl(program, (name) => ({ block: `state ${name}`, offset: 0, bytes: 0 }));
  return printed.modules.map(({ name, code }) => `// ${name}\n${code.trimEnd()}`).join('\n\n');
}

/** The graph as it is after a pass, which a number tells apart from earlier runs of the same: `simplify.2`. */
export function graphAfter(definition: Definition, pass: string): string {
  const steps = passesOf(boundFunc(definition));
  const found = steps.find(({ name }) => name === pass);
  if (found === undefined)
    throw new Misuse(
      `--pass ${pass}: there is no such pass; in order they are ${steps.map(({ name }) => name).join(', ')}`,
    );
  return printFunc(found.func);
}

/** Every pass in order with what it makes. */
function passesOf(func: Func): { readonly name: string; readonly func: Func }[] {
  const runs = new Map<string, number>();
  let current = func;
  return graphPasses.map((pass) => {
    const run = (runs.get(pass.name) ?? 0) + 1;
    runs.set(pass.name, run);
    current = pass.run(current);
    return { name: run === 1 ? pass.name : `${pass.name}.${run}`, func: current };
  });
}
