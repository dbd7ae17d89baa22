// Operators of ONNX that draw random numbers, by the import's seed: their distributions, what makes draws differ and what makes them equal.

import { describe, expect, it } from 'vitest';
import { fromOnnx, type OnnxOptions } from '../src/onnx/import.ts';
import { UnsupportedModelError } from '../src/onnx/unsupported.ts';
import { type CompileTargetOptions, compile } from '../src/runtime/compile.ts';
import { modelOf, node } from './helpers/onnx-file.ts';
import { testDevice } from './helpers/webgpu.ts';

const [float, int64, bool, double] = [1, 7, 9, 11];
const int = (i: number) => ({ type: 2, i: BigInt(i) });
const real = (f: number) => ({ type: 1, f });
const ints = (list: readonly number[]) => ({ type: 7, ints: list.map(BigInt) });

const device = await testDevice();
const targets: readonly CompileTargetOptions[] = [
  { target: 'c' },
  { target: 'js' },
  ...(typeof device === 'string' ? [] : [{ target: 'wgsl' } as const]),
];

type Arrays = Readonly<Record<string, ArrayLike<number>>>;
async function results(
  bytes: Uint8Array,
  inputs: Record<string, Float32Array | Uint32Array>,
  options: OnnxOptions = { seed: 7 },
  target: CompileTargetOptions = { target: 'js' },
): Promise<Arrays> {
  const run = await compile(fromOnnx(bytes, options), target);
  return (await run(inputs)) as unknown as Arrays;
}

const mean = (list: ArrayLike<number>): number => Array.from(list).reduce((sum, x) => sum + x, 0) / list.length;
const deviation = (list: ArrayLike<number>): number => Math.sqrt(mean(Array.from(list, (x) => (x - mean(list)) ** 2)));
const count = 10_000;
const shape = ints([100, 100]);

/** Every operator, drawing by its number. */
const all = modelOf({
  nodes: [
    node('RandomNormal', [], ['normal'], { shape, mean: real(3), scale: real(2) }),
    node('RandomUniform', [], ['uniform'], { shape, low: real(-1), high: real(4) }),
    node('RandomNormalLike', ['x'], ['normalLike']),
    node('RandomUniformLike', ['x'], ['uniformLike']),
    node('Bernoulli', ['x'], ['trials']),
    node('Multinomial', ['logits'], ['classes'], { sample_size: int(5000), dtype: int(int64) }),
    node('Dropout', ['x', 'ratio', 'trains'], ['dropped', 'mask']),
  ],
  inputs: { x: [float, [100, 100]], logits: [float, [2, 3]] },
  initializers: [
    { name: 'ratio', dataType: float, floatData: [0.3] },
    { name: 'trains', dataType: bool, int32Data: [1] },
  ],
  outputs: ['normal', 'uniform', 'normalLike', 'uniformLike', 'trials', 'classes', 'dropped', 'mask'],
});
const x = new Float32Array(count).fill(0.25);
const logits = Float32Array.from([0.7, 0.2, 0.1, 1, 2, 1], Math.log);

describe('random operators of ONNX', () => {
  it('draw from their distributions', async () => {
    const found = await results(all, { x, logits });
    const near = (given: number, wanted: number): void => expect(Math.abs(given - wanted)).toBeLessThan(0.06);
    near(mean(found.normal!), 3);
    near(deviation(found.normal!), 2);
    near(mean(found.uniform!), 1.5);
    near(deviation(found.uniform!), 5 / Math.sqrt(12));
    near(mean(found.normalLike!), 0);
    near(deviation(found.normalLike!), 1);
    near(mean(found.uniformLike!), 0.5);
    near(mean(found.trials!), 0.25);
    const classes = Array.from(found.classes!, Number);
    [0.7, 0.2, 0.1].forEach((p, k) => {
      near(classes.slice(0, 5000).filter((c) => c === k).length / 5000, p);
    });
    [0.25, 0.5, 0.25].forEach((p, k) => {
      near(classes.slice(5000).filter((c) => c === k).length / 5000, p);
    });
    near(mean(found.mask!), 0.7);
    const kept = Math.fround(0.25 / Math.fround(1 - Math.fround(0.3)));
    expect(Array.from(found.dropped!)).toEqual(Array.from(found.mask!, (keeps) => (keeps ? kept : 0)));
  });

  it('draw the same numbers on every target', async () => {
    const [first, ...others] = await Promise.all(
      targets.map((target) => results(all, { x, logits }, { seed: 3 }, target)),
    );
    for (const other of others)
      for (const name of ['uniformLike', 'trials', 'mask', 'classes'])
        if (other[name] !== undefined)
          expect(Array.from(other[name]!, Number)).toEqual(Array.from(first![name]!, Number));
  });

  it('in double have digits that float has not, and float16 is stored as such', async () => {
    const bytes = modelOf({
      nodes: [
        node('RandomUniform', [], ['wide'], { shape: ints([9]), dtype: int(double) }),
        node('RandomNormal', [], ['half'], { shape: ints([9]), dtype: int(10) }),
      ],
      outputs: ['wide', 'half'],
    });
    const definition = fromOnnx(bytes, { seed: 1 });
    expect(definition.outputs.map(({ dtype }) => dtype)).toEqual(['f64', 'f16']);
    const { wide } = await results(bytes, {});
    expect(Array.from(wide!).some((value) => value !== Math.fround(value))).toBe(true);
  });

  it('draw alike by a seed of their own, and otherwise each its own', async () => {
    const draw = (name: string, attributes = {}) =>
      node('RandomUniform', [], [name], { shape: ints([4]), ...attributes });
    const bytes = modelOf({
      nodes: [
        draw('a'),
        draw('b'),
        draw('c', { seed: real(2) }),
        draw('d', { seed: real(2) }),
        draw('e', { seed: real(3) }),
      ],
      outputs: ['a', 'b', 'c', 'd', 'e'],
    });
    const { a, b, c, d, e } = await results(bytes, {});
    expect(a).not.toEqual(b);
    expect(c).toEqual(d);
    expect(c).not.toEqual(e);
    expect((await results(bytes, {})).a).toEqual(a);
    expect((await results(bytes, {}, { seed: 8 })).c).not.toEqual(c);
  });

  it('draw anew in each call by a seed that is an input', async () => {
    const bytes = modelOf({ nodes: [node('RandomNormal', [], ['y'], { shape: ints([3]) })], outputs: ['y'] });
    const definition = fromOnnx(bytes, { seed: 'seed' });
    expect(definition.inputs).toEqual([{ name: 'seed', elementType: 'uint32', dtype: 'u32', shape: [] }]);
    const run = await compile(definition, { target: 'js' });
    const first = run({ seed: Uint32Array.of(7) }).y;
    expect(run({ seed: Uint32Array.of(8) }).y).not.toEqual(first);
    expect(run({ seed: Uint32Array.of(7) }).y).toEqual(first);
    expect((await results(bytes, {}, { seed: 7 })).y).toEqual(first);
  });

  it('draw anew in every step of Loop and Scan', async () => {
    const body = (inputs: readonly string[], outputs: readonly string[], nodes: readonly object[]) => ({
      nodes,
      inputs: inputs.map((name) => ({ name })),
      outputs: outputs.map((name) => ({ name })),
    });
    const draw = node('RandomUniform', [], ['r'], { shape: ints([2]) });
    const loop = body(['i', 'c'], ['go', 'r'], [node('Identity', ['c'], ['go']), draw]);
    const scan = body(['s'], ['t'], [draw, node('Add', ['s', 'r'], ['t'])]);
    const bytes = modelOf({
      nodes: [
        node('Loop', ['n', ''], ['loops'], { body: { type: 5, g: loop } }),
        node('Scan', ['x'], ['scans'], { body: { type: 5, g: scan }, num_scan_inputs: int(1) }),
      ],
      inputs: { x: [float, [5, 2]] },
      initializers: [{ name: 'n', dataType: int64, int64Data: [6n] }],
      outputs: ['loops', 'scans'],
    });
    const { loops, scans } = await results(bytes, { x: new Float32Array(10) });
    expect(new Set([...Array.from(loops!), ...Array.from(scans!)]).size).toBe(22);
  });

  it('need a seed, and say so', () => {
    const bytes = modelOf({ nodes: [node('RandomNormal', [], ['y'], { shape: ints([3]) })], outputs: ['y'] });
    expect(() => fromOnnx(bytes)).toThrow(UnsupportedModelError);
    expect(() => fromOnnx(bytes)).toThrow('it draws random numbers: give the import a seed');
    const named = modelOf({
      nodes: [node('RandomNormalLike', ['x'], ['y'])],
      inputs: { x: [float, [2]] },
      outputs: ['y'],
    });
    expect(() => fromOnnx(named, { seed: 'x' })).toThrow('the model has an input "x"');
    expect(() => fromOnnx(named, { seed: 1.5 })).toThrow('a seed that is a whole number');
  });
});
