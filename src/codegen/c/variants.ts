// Several programs of one function, each scheduled for another processor, as one C file. Constants, helpers and the entry
// stand once. Kernels that differ in sizes at most are written once too, as a body that is always inlined into each of them
// with its sizes as constants: a compiler makes of it what it would make of the kernel written out, lanes for whichever
// processor it became part of included. Bodies with vectors of their own are written for each processor, because gcc takes
// vectors apart before it inlines.

import { InternalError } from '../../ir/errors.ts';
import type { Kernel } from '../../ir/kernel.ts';
import type { Launch, Program, ProgramBuffer } from '../../ir/program.ts';
import { leavesOf } from '../../ir/steps.ts';
import { walkStmts } from '../../passes/expr-rewrite.ts';
import { isShared } from '../../passes/team.ts';
import { describeKernel } from '../names.ts';
import { stepParameters } from './artifact-entry.ts';
import { type CpuInCode, cpusInC, macrosOf, vnni } from './cpus.ts';
import type { Scope } from './expressions.ts';
import type { Namer } from './names.ts';
import { argument } from './program.ts';
import { kernelKey, kernelShape, printBody, printCallOf, printKernel } from './statements.ts';
import { printTeamSteps, type StepTexts } from './steps.ts';

/** A program and the processor that it was scheduled for. */
export interface Variant {
  readonly cpu: CpuInCode;
  readonly program: Program;
}

/** The variants, and before the one for AVX-512 another where the processor's instruction for products of bytes has a use. */
export function withByteProducts(variants: readonly [Variant, ...Variant[]]): readonly [Variant, ...Variant[]] {
  return variants.flatMap((variant): Variant[] => {
    const isUseful =
      variant.cpu === 'x86-64-v4' && leavesOf(variant.program.steps).some(({ kernel }) => multipliesBytes(kernel));
    return isUseful ? [{ ...variant, cpu: 'x86-64-v4-vnni' }, variant] : [variant];
  }) as [Variant, ...Variant[]];
}

function multipliesBytes({ body }: Kernel): boolean {
  let found = false;
  walkStmts(body, (stmt) => {
    found ||= stmt.kind === 'accumulate' && stmt.value.kind === 'apply' && stmt.value.op === 'dot4';
  });
  return found;
}

const suffixOf = (cpu: CpuInCode): string => cpu.replaceAll('-', '_');
/** In names that stand in most lines. */
const shortOf = (cpu: CpuInCode): string => suffixOf(cpu).replace('x86_64_', '');
/** Defined where a variant is compiled; by a caller's flags, where it is to be the only one. */
const macroOf = (cpu: CpuInCode): string => `ASH_CPU_${suffixOf(cpu).toUpperCase()}`;

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
  const kernels = new VariantKernels(variants, names);
  const sections = variants.map((variant, i) => printSection(variant, stepNames[i]!, kernels, constants));
  return {
    scope: kernels.scope,
    selection: selection(cpus),
    texts: [...kernels.bodies, ...sections],
    choose: { name: choose, text: printChoice(cpus, stepNames, choose) },
  };
}

/** Kernels of one shape, which differ in sizes at most: a body that is written once. */
interface Family {
  /** Of each kernel that is written, the sizes. */
  readonly members: (readonly number[])[];
  /** What it is called and what the comment above it says, once it is printed. */
  body: { readonly name: string; readonly described: string } | null;
  /** By the place of a size in the text: which of the body's parameters it is, or -1 where all kernels have the same. */
  places: readonly number[];
}

/** The kernels of all variants: bodies that are written once, and what each variant adds. */
class VariantKernels {
  readonly scope: Omit<Scope, 'namer'> = { helpers: new Set(), vectors: new Map() };
  readonly bodies: string[] = [];
  readonly #keys = new Map<Kernel, string>();
  readonly #families = new Map<string, Family>();
  readonly #names: Namer;

  constructor(variants: readonly Variant[], names: Namer) {
    this.#names = names;
    for (const { cpu, program } of variants) {
      const known = new Set<string>();
      for (const { kernel } of leavesOf(program.steps)) {
        const key = this.#keyOf(kernel);
        if (known.has(key)) continue;
        known.add(key);
        const { family, sizes } = this.#familyOf(kernel, cpu);
        family.members.push(sizes);
      }
    }
    for (const family of this.#families.values()) family.places = differingPlaces(family.members);
  }

  #keyOf(kernel: Kernel): string {
    const key = this.#keys.get(kernel) ?? kernelKey(kernel, this.scope);
    this.#keys.set(kernel, key);
    return key;
  }

  /** Kernels that name vectors have a family in each variant: gcc takes vectors apart before it inlines. */
  #familyOf(kernel: Kernel, cpu: CpuInCode): { family: Family; sizes: readonly number[]; isCommon: boolean } {
    const vectors: Scope['vectors'] = new Map();
    const { key, sizes } = kernelShape(kernel, { ...this.scope, vectors });
    const isCommon = vectors.size === 0;
    const name = isCommon ? key : `${cpu} ${key}`;
    const family = this.#families.get(name) ?? { members: [], body: null, places: [] };
    this.#families.set(name, family);
    return { family, sizes, isCommon };
  }

  /** The functions of a variant that its launches call, as they come to be called without repetition, and the calls. */
  launches(cpu: CpuInCode, given: (launch: Launch) => string[]): { texts: string[]; call: StepTexts['call'] } {
    const functions = new Map<string, string>();
    const texts: string[] = [];
    const call: StepTexts['call'] = (launch, numbers) => {
      const key = this.#keyOf(launch.kernel);
      let function_ = functions.get(key);
      if (function_ === undefined) {
        function_ = this.#define(launch.kernel, cpu, texts);
        functions.set(key, function_);
      }
      const team = isShared(launch.kernel) ? ['worker'] : [];
      return `${function_}(${[...given(launch), ...numbers, ...team].join(', ')});`;
    };
    return { texts, call };
  }

  /** Adds a kernel to the texts of its variant; returns its name. */
  #define(kernel: Kernel, cpu: CpuInCode, texts: string[]): string {
    const { family, sizes, isCommon } = this.#familyOf(kernel, cpu);
    const name = this.#names.fresh(`kernel_${kernel.name}_${shortOf(cpu)}`);
    if (family.members.length === 1) {
      texts.push(printKernel(kernel, name, this.scope));
      return name;
    }
    family.body ??= this.#defineBody(kernel, family, isCommon ? null : cpu, isCommon ? this.bodies : texts);
    const given = Array.from({ length: countOf(family) }, (_, i) => sizes[family.places.indexOf(i)]!);
    texts.push(printCallOf(family.body, kernel, name, this.scope, given));
    return name;
  }

  #defineBody(kernel: Kernel, family: Family, cpu: CpuInCode | null, texts: string[]): Family['body'] & object {
    const name = this.#names.fresh(`body_${kernel.name}${cpu === null ? '' : `_${shortOf(cpu)}`}`);
    const sizes = Array.from({ length: countOf(family) }, (_, i) => `n${i}`);
    const nameOf = (place: number): string | null => sizes[family.places[place]!] ?? null;
    texts.push(printBody(kernel, name, this.scope, nameOf, sizes));
    return { name, described: describeKernel(kernel) };
  }
}

/** How many sizes a family's body takes. */
const countOf = ({ places }: Family): number => Math.max(-1, ...places) + 1;

/** Numbers the places at which kernels differ; those with the same size in each kernel have one number. */
function differingPlaces(members: readonly (readonly number[])[]): number[] {
  const numbers = new Map<string, number>();
  return members[0]!.map((size, place) => {
    const column = members.map((sizes) => sizes[place]!);
    if (column.every((other) => other === size)) return -1;
    const key = column.join();
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  });
}

/** Which variants are compiled: one that flags name, else those that could be the best on some machine that runs the code. */
function selection(cpus: readonly CpuInCode[]): string {
  const defined = (macro: string): string => `defined(${macro})`;
  const always = (cpu: CpuInCode): string => `(${macrosOf(cpu).map(defined).join(' && ') || '1'})`;
  const conditions = cpus.map((cpu, i) => {
    const better = cpus.slice(0, i).map((other) => `!${always(other)}`);
    const parts = [...cpusInC[cpu].macros.map(defined), ...better];
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

const pragmas = ({ features }: (typeof cpusInC)[CpuInCode]): { begin: string; end: string } => {
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

/** Which form of a helper a section has: that of the instruction, where its processors have one. */
const withInstruction = (chosen: 'vnni' | 'pairs'): string =>
  `#undef ash_dot4_i32x16\n#define ash_dot4_i32x16 ash_dot4_i32x16_${chosen}\n\n`;

/** A variant's kernels and its steps. */
function printSection(
  { cpu, program }: Variant,
  name: string,
  kernels: VariantKernels,
  constants: ReadonlyMap<ProgramBuffer, string>,
): string {
  const address = (buffer: ProgramBuffer): string => argument(program, buffer, constants);
  const { texts, call } = kernels.launches(cpu, ({ args }) => args.map(address));
  const walk = printTeamSteps(program.steps, { call, address });
  const { begin, end } = pragmas(cpusInC[cpu]);
  const isChosen = cpusInC[cpu].features.includes(vnni);
  const steps = `static void ${name}(ash_worker *worker, ${stepParameters}) {
${['worker', 'weight_bytes', 'workspace', 'states', 'inputs', 'outputs'].map((given) => `  (void)${given};`).join('\n')}
${walk.join('\n')}
}`;
  const [before, after] = isChosen ? [withInstruction('vnni'), `\n\n${withInstruction('pairs').trimEnd()}`] : ['', ''];
  return `#ifdef ${macroOf(cpu)}\n${before}${begin}${[...texts, steps].join('\n\n')}${end}${after}\n#endif`;
}

function printChoice(cpus: readonly CpuInCode[], steps: readonly string[], name: string): string {
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
export function describeProcessors(cpus: readonly CpuInCode[]): string {
  return `Made for ${cpus.join(', ')}: the best for the processor is chosen in every call, and the file needs no flags for it. Flags such as
 * -march=native leave out what they make needless; -D and one of ${cpus.map(macroOf).join(', ')} keeps that one alone.`;
}
