// Weights in half precision: every form that packs them, every target and processor gives what the rounded weights give, and files
// have half the bytes.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import { roundToHalf } from '../src/ir/half.ts';
import { sizeOf } from '../src/ir/types.ts';
import { func } from '../src/lang/func.ts';
import { gather } from '../src/lang/functions.ts';
import { input, variable } from '../src/lang/variable.ts';
import { compile } from '../src/runtime/compile.ts';
import type { Definition } from '../src/runtime/definition.ts';
import { exportC } from '../src/runtime/export-c.ts';
import { exportJs } from '../src/runtime/export-js.ts';
import { halfWeights } from '../src/runtime/half-weights.ts';
import { StateStore } from '../src/runtime/state.ts';
import { compilers } from './helpers/artifact.ts';
import { expectClose } from './helpers/close.ts';
import { everyForm } from './helpers/variants.ts';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-halves-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const whole = everyForm(1, 13);
const { definition, weights } = halfWeights({ func: whole, variables: [] });
const [{ value }] = whole.parameters as [(typeof whole.parameters)[number]];
const x = Float32Array.from({ length: sizeOf(value.type.shape) }, (_, i) => ((i * 7919) % 13) / 16 - 0.375);
const expected = evaluateFunc(definition.func, [{ type: value.type, data: Float64Array.from(x) }])[0]!.data;

describe('a network of every form with weights in half precision', () => {
  it('has weights of 256 elements and more as f16', () => {
    const dtypes = weights.map(({ shape, dtype }) => [sizeOf(shape) >= 256, dtype]);
    expect(new Set(dtypes.map(String))).toEqual(new Set(['true,f16']));
    const constants = definition.func.nodes.filter(({ op }) => op === 'constant').map((node) => node.results[0]!.type);
    for (const { dtype, shape } of constants) if (shape.length > 1 && sizeOf(shape) >= 256) expect(dtype).toBe('f16');
  });

  it.each(['x86-64-v4', 'x86-64-v3', 'plain', 'scalar'] as const)('is right in C for %s', async (cpu) => {
    const run = await compile(definition as Definition<{ x: Float32Array }>, { target: 'c', cpu }).catch((error) => {
      if (/does not run on this machine/.test(error.message)) return null;
      throw error;
    });
    if (run === null) return;
    const [found] = Object.values(run({ [whole.parameters[0]!.name]: x } as never));
    expectClose(found as Float32Array, expected, 1e-5);
  });

  it('is right in JavaScript', async () => {
    const run = await compile(definition as Definition<{ x: Float32Array }>, { target: 'js' });
    const [found] = Object.values(run({ [whole.parameters[0]!.name]: x } as never));
    expectClose(found as Float32Array, expected, 1e-5);
  });

  const artifacts = compilers.flatMap((compiler) =>
    (['file', 'embed'] as const).map((weights) => ({ compiler, weights })),
  );
  it.each(artifacts)('is an artifact that gives the same: $compiler, $weights', async ({ compiler, weights }) => {
    const directory = join(folder, compiler, weights);
    await exportC(definition, { directory, weights });
    writeFileSync(join(directory, 'x.bin'), new Uint8Array(x.buffer));
    const flags = ['-std=c11', '-O0', '-Wall', '-Wextra', '-Werror', '-fsanitize=address,undefined'];
    execFileSync(compiler, [...flags, '-o', 'run', 'main.c', 'every_form.c', '-lm'], { cwd: directory });
    const files = weights === 'file' ? ['every_form.weights', 'x.bin'] : ['x.bin'];
    const printed = execFileSync('./run', files, {
      cwd: directory,
      encoding: 'utf8',
      // The example leaves its buffers to the system.
      env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' },
    });
    const found = printed.split('\n').slice(1, -1).map(Number);
    expectClose(Float32Array.from(found), expected.slice(0, found.length), 1e-5);
  });

  it('takes half of the bytes in a file, and the manifest says so', async () => {
    exportJs({ whole: { func: whole, variables: [] } }, { name: 'whole', directory: join(folder, 'whole') });
    const { weights: file, manifest } = exportJs(
      { half: definition },
      { name: 'half', directory: join(folder, 'half') },
    );
    const bytes = statSync(join(folder, 'whole/whole.bin')).size;
    expect(statSync(file).size).toBeLessThan(bytes * 0.55);
    const { weights: types } = JSON.parse(readFileSync(manifest, 'utf8'));
    expect(types.f16).toBeGreaterThan(bytes * 0.45);
  });
});

describe('halfWeights', () => {
  const numbers = (count: number, of: (i: number) => number): number[] =>
    Array.from({ length: count }, (_, i) => of(i));
  const table = variable('table', [40, 16], { initial: numbers(640, Math.sin) });
  const beyond = variable('beyond', [16, 16], { initial: numbers(256, (i) => (i === 3 ? 70_000 : i)) });
  const scale = variable('scale', [512], { initial: 1 / 3 });
  const rows = input('rows', [2], 'i32');
  const y = gather(table, rows, 0).matmul(beyond);
  const model = func({ name: 'model', inputs: [rows], outputs: { y, z: scale.add(1) } });

  it('leaves numbers that f16 has not, and what nothing multiplies or looks up', () => {
    const { weights: found, definition: half } = halfWeights(model);
    expect(found).toEqual([
      { name: 'table', shape: [40, 16], dtype: 'f16', reason: null },
      { name: 'beyond', shape: [16, 16], dtype: 'f32', reason: 'numbers beyond ±65504' },
    ]);
    const types = Object.fromEntries(half.func.parameters.map(({ name, value }) => [name, value.type.dtype]));
    expect(types).toEqual({ rows: 'i32', table: 'f16', beyond: 'f32', scale: 'f32' });
  });

  it.each(['c', 'js'] as const)('takes trained values of a store on target %s', async (target) => {
    const store = new StateStore();
    store.declare('table', table.value.type, () => Float32Array.from({ length: 640 }, (_, i) => i / 7));
    const { definition: half } = halfWeights(model, { state: store });
    const run = await compile(half, { target, freeze: true });
    const { y: found } = run({ rows: Int32Array.of(39, 1) });
    const exact = (row: number, column: number): number => {
      let sum = 0;
      for (let k = 0; k < 16; k++) {
        const at = k * 16 + column;
        sum += roundToHalf(Math.fround((row * 16 + k) / 7)) * (at === 3 ? 70_000 : at);
      }
      return sum;
    };
    expectClose(
      found,
      Float64Array.from({ length: 32 }, (_, i) => exact(i < 16 ? 39 : 1, i % 16)),
      1e-5,
    );
  });
});
