// Several programs of one function, each scheduled for another processor, as one C file. Constants, helpers and the entry
// stand once. Kernels with the same text in several programs are written once too, as functions that are always inlined: a
// compiler then makes lanes of them for whichever processor's kernel they became part of. Kernels with vectors of their own
// are written for each, because gcc takes vectors apart before it inlines.

import { InternalError } from '../../ir/errors.ts';
import type { Kernel } from '../../ir/kernel.ts';
import type { Launch, Program, ProgramBuffer } from '../../ir/program.ts';
import type { CpuName } from '../../passes/schedule.ts';
import { isShared } from '../../passes/team.ts';
import { stepParameters } from './artifact-entry.ts';
import { cpusInC, macrosOf } from './cpus.ts';
import type { Scope } from './expressions.ts';
import type { Namer } from './names.ts';
import { argument, printSteps } from './program.ts';
import { kernelKey, printCallOf, printKernel } from './statements.ts';

/** A program and the processor that it was scheduled for. */
export interface Variant {
  readonly cpu: CpuName;
  readonly program: Program;
}

const suffixOf = (cpu: CpuName): string => cpu.replaceAll('-', '_');
/** Defined where a variant is compiled; by a caller's flags, where it is to be the only one. */
const macroOf = (cpu: CpuName): string => `ASH_CPU_${suffixOf(cpu).toUpperCase()}`;

/** What the variants of a program come to in C. */
export interface VariantTexts {
  readonly scope: Omit<Scope, 'namer'>;
  /** Which variants are compiled: preprocessor lines. */
  readonly selection: string;
  /** What variants have in common, then each variant's kernels and steps. */
  readonly texts: readonly string[];
  /** The function that gives the steps for the processor that it runs on. */
  readonly choose: { readonly name: string; readonly text: string };
}

/**
 * Prints variants, the widest first. Their inputs, outputs, states and constants are the same, and nothing is left to
 * prepare. `constants` has the C expression of each constant's address.
 */
export function printVariants(
  variants: readonly [Variant, ...Variant[]],
  name: string,
  names: Namer,
  constants: ReadonlyMap<ProgramBuffer, string>,
): VariantTexts {
  const programs = variants.map(({ program }) => program);
  if (programs.some(({ preparation, externals }) => preparation.length + externals.length > 0))
    throw new InternalError('a program for several processors has constants outside of its text');
  const cpus = variants.map(({ cpu }) => cpu);
  const stepNames = cpus.map((cpu) => names.fresh(`${name}_steps_${suffixOf(cpu)}`));
  const choose = names.fresh(`${name}_steps`);
  const kernels = new VariantKernels(programs, names);
  const sections = variants.map((variant, i) => printSection(variant, stepNames[i]!, kernels, constants));
  return {
    scope: kernels.scope,
    selection: selection(cpus),
    texts: [...kernels.bodies, ...sections],
    choose: { name: choose, text: printChoice(cpus, stepNames, choose) },
  };
}

/** The kernels of all variants: those written once, and what each variant adds. */
class VariantKernels {
  readonly scope: Omit<Scope, 'namer'> = { helpers: new Set(), vectors: new Map() };
  readonly bodies: string[] = [];
  readonly #keys = new Map<Kernel, string>();
  readonly #withVectors = new Set<string>();
  readonly #uses = new Map<string, number>();
  readonly #bodyNames = new Map<string, string>();
  readonly #names: Namer;

  constructor(programs: readonly Program[], names: Namer) {
    this.#names = names;
    for (const { steps } of programs) {
      const keys = new Set(steps.map(({ kernel }) => this.#keyOf(kernel)));
      for (const key of keys) this.#uses.set(key, (this.#uses.get(key) ?? 0) + 1);
    }
  }

  #keyOf(kernel: Kernel): string {
    const found = this.#keys.get(kernel);
    if (found !== undefined) return found;
    const vectors: Scope['vectors'] = new Map();
    const key = kernelKey(kernel, { ...this.scope, vectors });
    if (vectors.size > 0) this.#withVectors.add(key);
    this.#keys.set(kernel, key);
    return key;
  }

  /** The functions of a variant that its launches call, in order and without repetition, and the calls. */
  launch(
    cpu: CpuName,
    steps: readonly Launch[],
    given: (launch: Launch) => string[],
  ): { texts: string[]; calls: string[] } {
    const functions = new Map<string, string>();
    const texts: string[] = [];
    const calls = steps.map((launch) => {
      const key = this.#keyOf(launch.kernel);
      let function_ = functions.get(key);
      if (function_ === undefined) {
        const { name, text } = this.#define(launch.kernel, key, suffixOf(cpu));
        function_ = name;
        functions.set(key, name);
        texts.push(text);
      }
      return `${function_}(${[...given(launch), ...(isShared(launch.kernel) ? ['worker'] : [])].join(', ')});`;
    });
    return { texts, calls };
  }

  #define(kernel: Kernel, key: string, suffix: string): { name: string; text: string } {
    if (this.#uses.get(key) === 1 || this.#withVectors.has(key)) {
      const name = this.#names.fresh(`kernel_${kernel.name}_${suffix}`);
      return { name, text: printKernel(kernel, name, this.scope) };
    }
    let body = this.#bodyNames.get(key);
    if (body === undefined) {
      body = this.#names.fresh(`kernel_${kernel.name}`);
      this.#bodyNames.set(key, body);
      this.bodies.push(printKernel(kernel, body, this.scope, 'ASH_BODY'));
    }
    const name = this.#names.fresh(`${body}_${suffix}`);
    return { name, text: printCallOf(body, kernel, name, this.scope) };
  }
}

/** Which variants are compiled: one that flags name, else those that could be the best on some machine that runs the code. */
function selection(cpus: readonly CpuName[]): string {
  const defined = (macro: string): string => `defined(${macro})`;
  const always = (cpu: CpuName): string => `(${macrosOf(cpu).map(defined).join(' && ')})`;
  const conditions = cpus.map((cpu, i) => {
    const { architecture } = cpusInC[cpu];
    const better = cpus.slice(0, i).map((other) => `!${always(other)}`);
    const parts = [...(architecture === null ? [] : [defined(architecture)]), ...better];
    return `#if ${parts.join(' && ') || '1'}\n#define ${macroOf(cpu)}\n#endif`;
  });
  const any = cpus.map((cpu) => defined(macroOf(cpu))).join(' || ');
  return `/* Variants: one that the compiler's flags name, as -D${macroOf(cpus[0]!)}, else all that may be the best where the code runs. */
#if !(${any})
${conditions.join('\n')}
#endif
#ifdef __clang__
/* What only a variant that is left out would call. */
#pragma clang diagnostic ignored "-Wunused-function"
#endif
#if !(${any})
#error "this file was made for ${cpus.join(', ')}"
#endif`;
}

const pragmas = ({ features }: (typeof cpusInC)[CpuName]): { begin: string; end: string } => {
  if (features.length === 0) return { begin: '', end: '' };
  const list = features.join(',');
  return {
    begin: `#ifdef __clang__
#pragma clang attribute push(__attribute__((target("${list}"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("${list}")
#endif

`,
    end: `

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif`,
  };
};

/** A variant's kernels and its steps. */
function printSection(
  { cpu, program }: Variant,
  name: string,
  kernels: VariantKernels,
  constants: ReadonlyMap<ProgramBuffer, string>,
): string {
  const { texts, calls } = kernels.launch(cpu, program.steps, ({ kernel, args }) =>
    args.map((buffer, i) => argument(program, buffer, kernel.parameters[i]!.access === 'read', constants)),
  );
  const { begin, end } = pragmas(cpusInC[cpu]);
  const steps = `static void ${name}(ash_worker *worker, ${stepParameters}) {
${['worker', 'weight_bytes', 'workspace', 'states', 'inputs', 'outputs'].map((given) => `  (void)${given};`).join('\n')}
${printSteps(program.steps, calls).join('\n')}
}`;
  return `#ifdef ${macroOf(cpu)}\n${begin}${[...texts, steps].join('\n\n')}${end}\n#endif`;
}

function printChoice(cpus: readonly CpuName[], steps: readonly string[], name: string): string {
  const choices = cpus.map((cpu, i) => {
    const supported = cpusInC[cpu].features.map((feature) => `__builtin_cpu_supports("${feature}")`);
    const found = `return ${steps[i]!};`;
    const line = supported.length === 0 ? `  ${found}` : `  if (${supported.join(' && ')})\n    ${found}`;
    return `#ifdef ${macroOf(cpu)}\n${line}\n#endif`;
  });
  return `typedef void ash_steps(ash_worker *worker, ${stepParameters});

/* The variant for the processor that this runs on; NULL where there is none. */
static ash_steps *${name}(void) {
${choices.join('\n')}
  return NULL;
}`;
}

/** What the header says about processors. */
export function describeProcessors(cpus: readonly CpuName[]): string {
  return `Made for ${cpus.join(', ')}: the best for the processor is chosen in every call, and the file needs no flags for it. Flags such as
 * -march=native leave out what they make needless; -D and one of ${cpus.map(macroOf).join(', ')} keeps that one alone.`;
}
