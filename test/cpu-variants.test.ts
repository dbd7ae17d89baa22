// Code for several processors from one function: the same results, from one set of packed weights.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import type { Program } from '../src/ir/program.ts';
import { bakePreparation } from '../src/passes/bake.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { type CpuName, targets } from '../src/passes/schedule.ts';
import { expectClose } from './helpers/close.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';
import { everyForm, sharing } from './helpers/variants.ts';

const names = Object.keys(targets) as CpuName[];
const variants = (func: Func): [CpuName, Program][] =>
  sharing(names).map(([name, schedule]) => [name, bakePreparation(compileToProgram(func, { schedule }))]);

describe('programs of one function for several processors', () => {
  it('share their constants and agree with the reference', () => {
    const func = everyForm(1, 5);
    const inputs = sampleInputs(func, 3, [-1, 1]);
    const [expected] = evaluateFunc(func, inputs);
    const [[, widest], ...others] = variants(func) as [[CpuName, Program], ...[CpuName, Program][]];
    const constants = (program: Program) => program.constants.map(({ type, data }) => ({ type, data }));
    for (const [name, program] of [[names[0], widest] as const, ...others]) {
      expect(constants(program), name).toEqual(constants(widest));
      const { y } = Object.fromEntries(interpretProgram(program, new Map([['x', inputs[0]!.data as Float64Array]])));
      expectClose(y!, expected!.data, 1e-5);
    }
  });
});
