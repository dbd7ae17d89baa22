// What compiling a model costs, in a process of its own: nothing is warm, and no other figure sees its memory. Prints
// Compiled as JSON. Usage: compile-figures.ts MODEL [language | onnx] [FILE.onnx].

import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { StateStore } from 'ashlar/node';
import { printProgram } from '../src/codegen/c/program.ts';
import { countedLeaves } from '../src/ir/steps.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { compileModel } from './compile-model.ts';
import { definitionOf, type Origin } from './definition.ts';
import { constantBytes, type KernelWork, workOf } from './roofline.ts';

export interface CompileFigures {
  /** Passes, lowering, planning and printing, the first time in a process. */
  readonly graphToCSeconds: number;
  readonly compilerSeconds: number;
  readonly sourceBytes: number;
  readonly kernels: number;
  readonly arenaBytes: number;
  /** Constants that are packed before the first run. */
  readonly preparedBytes: number;
  /** Bytes of weights that a run reads. */
  readonly constantBytes: number;
}

export interface Compiled {
  readonly figures: CompileFigures;
  readonly works: readonly KernelWork[];
}

async function seconds(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function compileFigures(name: string, origin: Origin, file: string): Promise<Compiled> {
  const definition = definitionOf(name, origin, file);
  const state = new StateStore();
  for (const variable of definition.variables) state.declare(variable.name, variable.type, () => variable.initial());
  const graphToCSeconds = await seconds(() => printProgram(compileToProgram(definition.func)));
  const options = { threads: 1, state };
  const first = await seconds(() => compileModel(definition, options));
  // The second time the library is in the cache: the difference is the C compiler's.
  const again = await seconds(() => compileModel(definition, options));
  const { source, program } = await compileModel(definition, options);
  const figures: CompileFigures = {
    graphToCSeconds,
    compilerSeconds: Math.max(0, first - again),
    sourceBytes: Buffer.byteLength(source),
    kernels: program.steps.length,
    arenaBytes: program.arenaBytes,
    preparedBytes: program.preparedBytes,
    constantBytes: constantBytes(program),
  };
  return {
    figures,
    works: countedLeaves(program.steps, 1).flatMap(({ leaf, times }) =>
      Array.from({ length: times }, () => workOf(leaf)),
    ),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name, origin = 'language', file = ''] = process.argv.slice(2) as [string, Origin?, string?];
  process.stdout.write(JSON.stringify(await compileFigures(name, origin, file)));
}
