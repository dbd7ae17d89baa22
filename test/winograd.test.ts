// Winograd's form of a 3 × 3 convolution: chosen where it pays, right at the ragged edges, and within its error bound.

import { describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { parseFunc } from '../src/ir/text.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { targets } from '../src/passes/schedule.ts';
import { arrayFrom, type TypedArray } from '../src/runtime/arrays.ts';
import { compile } from '../src/runtime/compile.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';

const attrs = 'strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1';
const layer = (x: string, w: string, text = attrs): string => `func @f(%x: f32[${x}], %w: f32[${w}]) {
  %0 = conv(%x, %w) {${text}}
  %1 = relu(%0)
  return y = %1
}`;
const usesWinograd = (text: string): boolean =>
  leavesOf(compileToProgram(parseFunc(text)).steps).some(({ kernel }) => kernel.name.endsWith('_image'));

describe('Winograd convolution', () => {
  it('is chosen for many channels and pixels, stride 1 and 2 to 5 taps', () => {
    expect(usesWinograd(layer('1,64,56,56', '64,64,3,3'))).toBe(true);
    expect(usesWinograd(layer('1,64,56,56', '64,64,3,3', attrs.replace('strides=[1,1]', 'strides=[2,2]')))).toBe(false);
    for (const taps of ['5,5', '4,4', '2,2', '3,5'])
      expect(usesWinograd(layer('1,64,56,56', `64,64,${taps}`))).toBe(true);
    for (const taps of ['7,7', '1,3']) expect(usesWinograd(layer('1,64,56,56', `64,64,${taps}`))).toBe(false);
    expect(
      usesWinograd(layer('1,64,56,56', '64,64,3,3', attrs.replace('rhsDilation=[1,1]', 'rhsDilation=[2,2]'))),
    ).toBe(false);
    expect(usesWinograd(layer('1,3,56,56', '64,3,3,3'))).toBe(false);
  });

  for (const [what, x, w] of [
    ['whole tiles', '1,32,16,16', '64,32,3,3'],
    ['ragged tiles, two images', '2,32,19,14', '48,32,3,3'],
    ['features that end in the middle of a panel', '1,64,24,24', '80,64,3,3'],
    ['2 × 2 taps', '1,32,14,11', '32,32,2,2'],
    ['4 × 4 taps', '1,32,13,14', '32,32,4,4'],
    ['5 × 5 taps', '1,32,14,13', '32,32,5,5'],
    ['3 × 2 taps', '1,32,15,15', '32,32,3,2'],
  ] as const) {
    it(`agrees with the reference: ${what}`, async () => {
      const text = layer(x, w);
      expect(usesWinograd(text)).toBe(true);
      const func = parseFunc(text);
      const inputs = sampleInputs(func, 3, [-1, 1]);
      const [expected] = evaluateFunc(func, inputs);
      const given = Object.fromEntries(
        func.parameters.map(({ name, value }, i) => [name, arrayFrom(value.type, inputs[i]!.data)]),
      );
      const run = await compile<Record<string, TypedArray>, Record<string, TypedArray>>(
        { func, variables: [] },
        { target: 'c' },
      );
      const { y } = run(given);
      // A sum of n products of numbers up to 1 has some √n · 2⁻²⁴ of rounding; the transforms bring its worst to 24 to 36 times that.
      const products = func.parameters[1]!.value.type.shape.slice(1).reduce((count, dim) => count * dim, 1);
      const bound = 48 * Math.sqrt(products) * 2 ** -24;
      let worst = 0;
      expected!.data.forEach((wanted, i) => {
        worst = Math.max(worst, Math.abs(Number(y![i]) - wanted));
      });
      expect(worst).toBeLessThan(bound);
    });
  }

  it('of many large images goes through them in blocks, in the memory of one', async () => {
    const [images, channels, size] = [3, 32, 288];
    const text = layer(`${images},${channels},${size},${size}`, `${channels},${channels},3,3`);
    const program = compileToProgram(parseFunc(text));
    const named = leavesOf(program.steps).filter(({ kernel }) => kernel.name.endsWith('_image'));
    // 36 cells of 72 · 72 tiles with 32 channels and features are 48 MB an image: two fit into 128 MB.
    expect(named.length).toBe(2);
    expect(program.arenaBytes).toBeLessThan(2 * 50e6 + images * channels * 290 * 290 * 4 + 1e6);
    const each = channels * size * size;
    const x = Float32Array.from({ length: images * each }, (_, i) => Math.fround(Math.sin(i)));
    const w = Float32Array.from({ length: channels * channels * 9 }, (_, i) => Math.fround(Math.cos(i)));
    type Run = (inputs: Record<string, Float32Array>) => Record<string, Float32Array>;
    const compiled = async (of: string): Promise<Run> =>
      (await compile({ func: parseFunc(of), variables: [] }, { target: 'c' })) as unknown as Run;
    const { y } = (await compiled(text))({ x, w });
    const alone = await compiled(layer(`1,${channels},${size},${size}`, `${channels},${channels},3,3`));
    for (const image of [0, 2]) {
      const own = alone({ x: x.subarray(image * each, (image + 1) * each), w }).y!;
      expect(Buffer.compare(Buffer.from(own.buffer), Buffer.from(y!.buffer, image * 4 * each, 4 * each))).toBe(0);
    }
  });

  it('is exact in real arithmetic: interpreted in float64 it loses nothing', () => {
    const func = parseFunc(layer('1,16,13,12', '16,16,3,3').replace('relu(%0)', 'neg(%0)'));
    const inputs = sampleInputs(func, 8, [-1, 1]);
    const [expected] = evaluateFunc(func, inputs);
    const program = compileToProgram(func, { schedule: targets.armv8 });
    expect(leavesOf(program.steps).some(({ kernel }) => kernel.name.endsWith('_image'))).toBe(true);
    const { y } = Object.fromEntries(
      interpretProgram(program, new Map(func.parameters.map(({ name }, i) => [name, inputs[i]!.data]))),
    );
    expected!.data.forEach((wanted, i) => {
      expect(y![i]).toBeCloseTo(wanted, 5);
    });
  });
});
