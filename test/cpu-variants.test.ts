// Code for several processors from one function: the same results, from one set of packed weights.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import type { Program } from '../src/ir/program.ts';
import { parseFunc } from '../src/ir/text.ts';
import { Baked, bakePreparation, interpretingBaker } from '../src/passes/bake.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { type CpuName, targets } from '../src/passes/schedule.ts';
import type { TypedArray } from '../src/runtime/arrays.ts';
import { findCompiler } from '../src/runtime/c/compiler.ts';
import { type CompileTargetOptions, compile } from '../src/runtime/compile.ts';
import { expectClose } from './helpers/close.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { trainingStep } from './helpers/models.ts';
import { sampleInputs } from './helpers/samples.ts';
import { everyForm, sharing } from './helpers/variants.ts';

const names = (Object.keys(targets) as CpuName[]).filter((name) => name !== 'scalar');
const variants = (func: Func): [CpuName, Program][] =>
  sharing(names).map(([name, schedule]) => [
    name,
    bakePreparation(compileToProgram(func, { schedule }), new Baked(interpretingBaker)),
  ]);

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

describe.runIf(process.arch === 'x64')('compiled for', () => {
  const runs = names.filter((name) => {
    try {
      return findCompiler('gcc', name).cpu === name;
    } catch {
      return false;
    }
  });
  type Arrays = Record<string, TypedArray>;

  it.each(runs)('%s, every form of a contraction is right', async (cpu) => {
    const func = everyForm(1, 13);
    const inputs = sampleInputs(func, 4, [-1, 1]);
    const [expected] = evaluateFunc(func, inputs);
    const run = await compile<Arrays, Arrays>({ func, variables: [] }, { cpu, compiler: 'gcc' });
    const { y } = run({ x: Float32Array.from(inputs[0]!.data) });
    expectClose(y as Float32Array, expected!.data, 1e-4);
  });

  it.each(runs)('%s, products of matrices that change are right', async (cpu) => {
    const func = parseFunc(
      'func @f(%x: f32[2,37,130], %y: f32[2,130,53]) {\n%0 = dot(%x, %y) {contract=[[2],[1]], batch=[[0],[0]]}\nreturn z = %0\n}',
    );
    const inputs = sampleInputs(func, 5, [-1, 1]);
    const [expected] = evaluateFunc(func, inputs);
    const run = await compile<Arrays, Arrays>({ func, variables: [] }, { cpu, compiler: 'gcc' });
    const { z } = run({ x: Float32Array.from(inputs[0]!.data), y: Float32Array.from(inputs[1]!.data) });
    expectClose(z as Float32Array, expected!.data, 1e-4);
  });

  it.each(runs)('%s, a training step lowers the same loss', async (cpu) => {
    const x = Float32Array.from({ length: 8 * 64 }, (_, i) => ((i * 7919) % 13) / 13 - 0.5);
    const y = Int32Array.from({ length: 8 }, (_, i) => i);
    const losses = async (options: CompileTargetOptions & { target: 'c' | 'js' }): Promise<number[]> => {
      const step = await compile(trainingStep(8), options);
      return Array.from({ length: 5 }, () => step({ x, y }).loss[0]!);
    };
    expectClose(await losses({ target: 'c', cpu, compiler: 'gcc' }), await losses({ target: 'js' }), 1e-4);
  });

  it('refuses a processor that it does not know or have', async () => {
    const func = everyForm(1, 5);
    await expect(compile({ func, variables: [] }, { cpu: 'armv8' })).rejects.toThrow(
      /code for armv8 does not run on this machine, which has .*plain/,
    );
    await expect(compile({ func, variables: [] }, { cpu: 'z80' as never })).rejects.toThrow(
      /there are native, x86-64-v4/,
    );
    await expect(compile({ func, variables: [] }, { target: 'js', cpu: 'native' })).rejects.toThrow(
      /target js is not compiled for a processor; leave cpu out/,
    );
  });
});
