// From a function to something that can be called, on the target that is asked for or that this machine has.

import { UserError } from '../ir/errors.ts';
import type { CompileOptions } from '../passes/pipeline.ts';
import { compileToC } from './c/compile.ts';
import { type Cpu, hasCompiler } from './c/compiler.ts';
import type { Tuning } from './c/processor.ts';
import { type Definition, type Executable, prepareDefinition } from './definition.ts';
import { compileToJs } from './js/compile.ts';
import type { StateStore } from './state.ts';
import { type Weights, weightsOfStates } from './weights.ts';
import { weightsOfFile } from './weights-file.ts';

export interface CompileTargetOptions {
  /**
   * 'c': kernels in C, compiled by the system's compiler. 'js': the same program in JavaScript, which runs anywhere and some
   * 20 times slower. Default: $ASHLAR_TARGET, else C, or JavaScript, with a note on stderr, where there is no C compiler.
   */
  readonly target?: 'c' | 'js';
  /** Threads that C kernels may use. Default: $OMP_NUM_THREADS, else 1. */
  readonly threads?: number;
  /** The C compiler's command. Default: $ASHLAR_CC, else gcc, clang or cc. */
  readonly compiler?: string;
  /**
   * The processor that C code is made for. Default: native, all that this machine has; a lesser one that it can run is for
   * measurements and tests.
   */
  readonly cpu?: Cpu;
  /** State to share with other compiled functions. Default: a new store. */
  readonly state?: StateStore;
  /**
   * True: states that the function does not update become constants with the values that they have now, packed once for
   * the kernels that read them. Later changes of those states are not seen; without a state given here, they are not kept
   * in one. Default false.
   */
  readonly freeze?: boolean;
  /**
   * A safetensors file with the values of the states that the function does not update: as with `freeze` they become
   * constants. They are read one at a time, so the model never lies in memory beside its packed form.
   */
  readonly weights?: string;
  /** Receives every stage in text form. $ASHLAR_DUMP=all prints them to stderr. */
  readonly print?: (stage: string, text: string) => void;
  /** False: one kernel per operation, for comparison. */
  readonly fusion?: boolean;
  /** What `tune` measured on this machine, or the path of its file. Entries that fit no contraction are ignored, with a note to `print`. */
  readonly tuning?: Tuning;
}

/**
 * Compiles a function for this machine. Compiled C libraries are cached by content. Throws UserError for options that do not go
 * together, LimitationError where an operation has no form on the target.
 */
export async function compile<Inputs, Outputs>(
  definition: Definition<Inputs, Outputs>,
  options: CompileTargetOptions = {},
): Promise<Executable<Inputs, Outputs>> {
  const target = targetOf(options);
  const weights = weightsFor(definition, options);
  try {
    const prepared = prepareDefinition(definition, weights, options.state);
    const passes: CompileOptions = {
      mostInlineElements,
      ...(options.fusion === undefined ? {} : { fusion: options.fusion }),
      ...printer(options.print),
    };
    const compiled =
      target === 'js' ? compileToJs(prepared, weights, passes) : compileToC(prepared, weights, options, passes);
    return compiled as Executable<Inputs, Outputs>;
  } finally {
    weights?.close();
  }
}

/** Constants beyond a few cache lines stay out of the text: it compiles faster and is the same for other weights. */
const mostInlineElements = 64;

function targetOf({ target, compiler, cpu, threads, tuning }: CompileTargetOptions): 'c' | 'js' {
  const named = target ?? (process.env.ASHLAR_TARGET || undefined);
  if (named !== undefined && named !== 'c' && named !== 'js')
    throw new UserError(`target: 'c' or 'js' expected, ${JSON.stringify(named)} given`);
  if (target === 'js' && compiler !== undefined) throw new UserError('target js takes no compiler; leave it out');
  if (target === 'js' && cpu !== undefined) throw new UserError('target js runs on any processor; leave cpu out');
  if (target === 'js' && threads !== undefined && threads !== 1)
    throw new UserError(`target js runs on one thread, ${threads} given`);
  if (target === 'js' && tuning !== undefined) throw new UserError('target js takes no tuning; leave it out');
  if (named !== undefined) return named;
  if (compiler !== undefined || process.env.ASHLAR_CC || hasCompiler()) return 'c';
  noteJavaScript();
  return 'js';
}

let noted = false;

function noteJavaScript(): void {
  if (noted) return;
  noted = true;
  process.stderr.write(
    'ashlar: no C compiler was found, so programs run in JavaScript, some 20 times slower; gcc or clang would be used ' +
      '(on Debian or Ubuntu "apt-get install gcc"), and target: \'js\' asks for JavaScript without this note\n',
  );
}

/** Where the elements of states that become constants come from; null where none do. The caller closes it. */
export function weightsFor(
  { func, variables }: Definition,
  { weights, freeze, state }: CompileTargetOptions,
): Weights | null {
  if (weights !== undefined) return weightsOfFile(weights);
  const hasWeights = func.parameters.some(({ role }) => role === 'weight');
  return freeze === true || hasWeights ? weightsOfStates(variables, state, freeze === true) : null;
}

function printer(print: CompileTargetOptions['print']): { print?: (stage: string, text: string) => void } {
  if (print !== undefined) return { print };
  if (process.env.ASHLAR_DUMP !== 'all') return {};
  return { print: (stage, text) => process.stderr.write(`--- ${stage}\n${text}\n`) };
}
