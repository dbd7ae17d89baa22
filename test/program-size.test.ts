// What compiled programs consist of, for CPUs and for GPUs, held against a committed list: kernels, bytes that they move,
// memory, and C or WGSL text. No time is measured, so this says the same on every machine; a fusion that is lost shows at once. `ASHLAR_UPDATE=1 npx vitest
// run test/program-size.test.ts` writes the list anew where more is what was meant.

import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { ashlarModel, models } from '../bench/models/index.ts';
import { compared, comparedStep } from '../bench/training/models.ts';
import { printProgram } from '../src/codegen/c/program.ts';
import type { Place } from '../src/codegen/wgsl/bindings.ts';
import { defaultLimits, printWgsl } from '../src/codegen/wgsl/program.ts';
import type { Func } from '../src/ir/graph.ts';
import { builder } from '../src/ir/ops/index.ts';
import type { Program } from '../src/ir/program.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { bytesPerElement, sizeOf } from '../src/ir/types.ts';
import { bindStates } from '../src/passes/bind-states.ts';
import { largestOperand } from '../src/passes/fold.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';

interface ProgramSize {
  readonly kernels: number;
  /** Of every kernel, the bytes of its operands and results. */
  readonly movedBytes: number;
  readonly arenaBytes: number;
  readonly preparedBytes: number;
  readonly sourceBytes: number;
}

/** How much more than the list says passes: names and constants of a schedule change a little now and then. */
const tolerance: Readonly<Record<keyof ProgramSize, number>> = {
  kernels: 0,
  movedBytes: 0.02,
  arenaBytes: 0.05,
  preparedBytes: 0.02,
  sourceBytes: 0.1,
};

function sizesOf(program: Program, sourceBytes: number): ProgramSize {
  const bytes = leavesOf(program.steps).flatMap(({ args }) =>
    args.map(({ type }) => sizeOf(type.shape) * bytesPerElement[type.dtype]),
  );
  return {
    kernels: leavesOf(program.steps).length,
    movedBytes: bytes.reduce((sum, size) => sum + size, 0),
    arenaBytes: program.arenaBytes,
    preparedBytes: program.preparedBytes,
    sourceBytes,
  };
}

function sizeInC(func: Func): ProgramSize {
  const program = compileToProgram(func, { mostInlineElements: 64 });
  return sizesOf(program, printProgram(program).code.length);
}

/** On a device without limits: the largest weights exceed the default ones. */
function sizeOnGpu(func: Func): ProgramSize {
  const program = compileToProgram(func, { machine: gpuMachine(defaultGpu) });
  const none = Number.POSITIVE_INFINITY;
  const limits = { ...defaultLimits, maxStorageBufferBindingSize: none, maxBufferSize: none };
  const place = (name: string): Place => ({ block: name, offset: 0, bytes: 4 });
  const { modules } = printWgsl(program, place, limits);
  return sizesOf(
    program,
    modules.reduce((sum, { code }) => sum + code.length, 0),
  );
}

/** A network as inference compiles it: weights apart, small states folded. */
function inferenceOf(name: string): Func {
  const { definition } = ashlarModel(models[name]!, name);
  const byName = new Map(definition.variables.map((variable) => [variable.name, variable]));
  return bindStates(definition.func, builder, (state) => byName.get(state)!.initial(), largestOperand);
}

const funcs: Readonly<Record<string, () => Func>> = {
  ...Object.fromEntries(Object.keys(models).map((name) => [name, () => inferenceOf(name)])),
  ...Object.fromEntries(compared.map((model) => [`training ${model.name}`, () => comparedStep(model).step.func])),
};

const programs: Readonly<Record<string, () => ProgramSize>> = {
  ...Object.fromEntries(Object.entries(funcs).map(([name, make]) => [name, () => sizeInC(make())])),
  ...Object.fromEntries(Object.entries(funcs).map(([name, make]) => [`${name} on a GPU`, () => sizeOnGpu(make())])),
};

const list = new URL('./program-size.json', import.meta.url);
const updating = process.env.ASHLAR_UPDATE === '1';
const committed = updating ? {} : (JSON.parse(readFileSync(list, 'utf8')) as Record<string, ProgramSize>);

describe('compiled programs are no larger than before', () => {
  const found: Record<string, ProgramSize> = {};
  afterAll(() => {
    if (updating) writeFileSync(list, `${JSON.stringify(found, null, 2)}\n`);
  });

  for (const [name, sizeNow] of Object.entries(programs)) {
    it(name, () => {
      const size = sizeNow();
      found[name] = size;
      if (updating) return;
      const before = committed[name];
      expect(before, `${name} is not in ${list.pathname}`).toBeDefined();
      for (const [figure, share] of Object.entries(tolerance) as [keyof ProgramSize, number][]) {
        expect(size[figure], `${figure} of ${name}`).toBeLessThanOrEqual(before![figure] * (1 + share));
      }
    });
  }
});
