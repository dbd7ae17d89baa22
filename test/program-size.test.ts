// What compiled programs consist of, held against a committed list: kernels, bytes that they move, memory, and C text. No
// time is measured, so this says the same on every machine; a fusion that is lost shows at once. `ASHLAR_UPDATE=1 npx vitest
// run test/program-size.test.ts` writes the list anew where more is what was meant.

import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { ashlarModel, models } from '../bench/models/index.ts';
import { compared, comparedStep } from '../bench/training/models.ts';
import { printProgram } from '../src/codegen/c/program.ts';
import type { Func } from '../src/ir/graph.ts';
import { builder } from '../src/ir/ops/index.ts';
import type { Program } from '../src/ir/program.ts';
import { bytesPerElement, sizeOf } from '../src/ir/types.ts';
import { bindStates } from '../src/passes/bind-states.ts';
import { largestOperand } from '../src/passes/fold.ts';
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

function sizesOf(program: Program): ProgramSize {
  const bytes = program.steps.flatMap(({ args }) =>
    args.map(({ type }) => sizeOf(type.shape) * bytesPerElement[type.dtype]),
  );
  return {
    kernels: program.steps.length,
    movedBytes: bytes.reduce((sum, size) => sum + size, 0),
    arenaBytes: program.arenaBytes,
    preparedBytes: program.preparedBytes,
    sourceBytes: printProgram(program).code.length,
  };
}

/** A network as inference compiles it: weights apart, small states folded. */
function inferenceOf(name: string): Func {
  const { definition } = ashlarModel(models[name]!, name);
  const byName = new Map(definition.variables.map((variable) => [variable.name, variable]));
  return bindStates(definition.func, builder, (state) => byName.get(state)!.initial(), largestOperand);
}

const programs: Readonly<Record<string, () => Func>> = {
  ...Object.fromEntries(Object.keys(models).map((name) => [name, () => inferenceOf(name)])),
  ...Object.fromEntries(compared.map((model) => [`training ${model.name}`, () => comparedStep(model).step.func])),
};

const list = new URL('./program-size.json', import.meta.url);
const updating = process.env.ASHLAR_UPDATE === '1';
const committed = updating ? {} : (JSON.parse(readFileSync(list, 'utf8')) as Record<string, ProgramSize>);

describe('compiled programs are no larger than before', () => {
  const found: Record<string, ProgramSize> = {};
  afterAll(() => {
    if (updating) writeFileSync(list, `${JSON.stringify(found, null, 2)}\n`);
  });

  for (const [name, make] of Object.entries(programs)) {
    it(name, () => {
      const size = sizesOf(compileToProgram(make(), { mostInlineElements: 64 }));
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
