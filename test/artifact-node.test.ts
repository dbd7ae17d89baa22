// The Node module of an exported folder: over the compiled library, without Ashlar, and with shapes that TypeScript checks.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeFunc, parameter } from '../src/ir/graph.ts';
import { builder } from '../src/ir/ops/index.ts';
import { compile } from '../src/runtime/compile.ts';
import { exportC } from '../src/runtime/export-c.ts';
import { build, digits, digitsImage, digitsReference } from './helpers/artifact.ts';
import { expectClose } from './helpers/close.ts';
import { trainingStep } from './helpers/models.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
// Within the project, where modules find the package koffi.
mkdirSync(join(project, '.cache'), { recursive: true });
const folder = mkdtempSync(join(project, '.cache', 'artifact-node-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Arrays = Record<string, Float32Array | Int32Array | Float64Array>;
interface Program {
  run(inputs: Arrays, outputs?: Arrays): Arrays;
  readonly state: { names(): string[]; get(name: string): Float32Array; set(name: string, value: Float32Array): void };
}

const library = (name: string): string =>
  ({ darwin: `lib${name}.dylib`, win32: `${name}.dll` })[process.platform as string] ?? `lib${name}.so`;
const buildLibrary = (directory: string, name: string): string =>
  build(directory, 'gcc', ['-std=c11', '-O1', '-shared', '-fPIC'], [`${name}.c`], library(name));
const load = async (directory: string, name: string, options: object = {}): Promise<Program> =>
  (await import(pathToFileURL(join(directory, `${name}.mjs`)).href)).load(options);

const mapped = join(folder, 'mapped');

beforeAll(async () => {
  await exportC(digits(), { directory: mapped, weights: 'file', cpu: 'plain' });
  buildLibrary(mapped, 'digits');
});

describe('the Node module', () => {
  it('answers, into new arrays or those given', async () => {
    const { run } = await load(mapped, 'digits');
    const { label, probabilities } = digitsReference();
    const results = run({ image: digitsImage });
    expect([...results.label!]).toEqual([label]);
    expectClose(results.probabilities!, probabilities, 1e-5);
    const into = { probabilities: new Float32Array(10) };
    expect(run({ image: digitsImage }, into).probabilities).toBe(into.probabilities);
    expect(into.probabilities).toEqual(results.probabilities);
  });

  it('refuses what it cannot take', async () => {
    const { run } = await load(mapped, 'digits');
    const shared = new Float32Array(64);
    const cases: readonly (readonly [Arrays, Arrays | undefined, string])[] = [
      [{}, undefined, 'input "image" is f32[1,1,8,8]: Float32Array of 64 expected, nothing given'],
      [{ image: new Float64Array(64) }, undefined, 'Float64Array of 64 given'],
      [{ image: new Float32Array(63) }, undefined, 'Float32Array of 63 given'],
      [{ image: digitsImage, more: digitsImage }, undefined, 'input "more" does not exist; there are image'],
      [{ image: digitsImage }, { p: shared }, 'output "p" does not exist; there are label, probabilities'],
      [{ image: shared }, { probabilities: shared.subarray(3, 13) }, 'a buffer that is written overlaps another'],
    ];
    for (const [inputs, outputs, message] of cases) expect(() => run(inputs, outputs)).toThrow(message);
    await expect(load(mapped, 'digits', { weights: new Uint8Array(64) })).rejects.toThrow('64 given');
    const other = new Uint8Array((await import('node:fs')).readFileSync(join(mapped, 'digits.weights')));
    other[9]! ^= 1;
    await expect(load(mapped, 'digits', { weights: other })).rejects.toThrow('the weights are others');
  });

  it('says how the library is built where there is none', async () => {
    const directory = join(folder, 'bare');
    await exportC(digits(), { directory, cpu: 'plain' });
    await expect(load(directory, 'digits')).rejects.toThrow('cmake -B build -DBUILD_SHARED_LIBS=ON');
    buildLibrary(directory, 'digits');
    const { run } = await load(directory, 'digits');
    expectClose(run({ image: digitsImage }).probabilities!, digitsReference().probabilities, 1e-5);
  });

  it('trains, its states kept from run to run', async () => {
    const directory = join(folder, 'step');
    await exportC(trainingStep(8), { directory, weights: 'file', cpu: 'plain' });
    buildLibrary(directory, 'step');
    const { run, state } = await load(directory, 'step', { threads: 2 });
    const x = Float32Array.from({ length: 8 * 64 }, (_, i) => ((i * 7919) % 13) / 13 - 0.5);
    const y = Int32Array.from({ length: 8 }, (_, i) => i);
    const step = await compile(trainingStep(8), { target: 'js' });
    for (let i = 0; i < 3; i++) expectClose(run({ x, y }).loss!, step({ x, y }).loss, 1e-4);
    expect(state.names()).toEqual(step.state.names());
    state.set('dense1.bias', new Float32Array(16).fill(2));
    expect(state.get('dense1.bias')).toEqual(new Float32Array(16).fill(2));
    expect(() => run({ x, y: y.map(() => 10) })).toThrow('an index in an input is out of its range');
  });

  it('takes hostile names as they are', async () => {
    const names = ['"; process.exit(9); //', '\u2028', '__proto__', "'`$" + '{1}'];
    const parameters = names.map((name) => parameter(name, { dtype: 'f32', shape: [2] }));
    const results = parameters.map((p, i) => ({
      name: `${names[i]}`,
      role: 'output' as const,
      value: builder.exp(p.value),
    }));
    const func = makeFunc('*/ x', parameters, results);
    const directory = join(folder, 'hostile');
    const { code } = await exportC({ func, variables: [] }, { directory, cpu: 'plain' });
    const name = code.slice(directory.length + 1, -2);
    buildLibrary(directory, name);
    const { run } = await load(directory, name);
    const inputs = Object.fromEntries(names.map((key) => [key, Float32Array.of(0, 1)]));
    expect(Object.entries(run(inputs)).map(([key, value]) => [key, value[0]])).toEqual(names.map((key) => [key, 1]));
  });
});

describe('the typings', () => {
  const head = `import { load, type DigitsInputs, type RowMajor } from './digits.mjs';
const digits = load({ threads: 2 });
`;
  const uses: readonly (readonly [what: string, text: string, message: RegExp | null])[] = [
    [
      'what they should',
      `const { label, probabilities } = digits.run({ image: new Float32Array(64) }, { probabilities: new Float32Array(10) });
export const first: number = probabilities[0]!;
export const ten: RowMajor<Float32Array, readonly [1, 10]> = probabilities;
export const integers: Int32Array = label;
export const inputs: DigitsInputs = { image: new Float32Array(64) };`,
      null,
    ],
    ['another array', 'digits.run({ image: new Int32Array(64) });', /Int32Array/],
    ['no input', 'digits.run({});', /'image' is missing/],
    [
      'unknown input',
      'digits.run({ image: new Float32Array(64), more: new Float32Array(1) });',
      /'more' does not exist/,
    ],
    [
      'another shape',
      'const { probabilities } = digits.run({ image: new Float32Array(64) });\ndigits.run({ image: probabilities });',
      /not assignable/,
    ],
    ['unknown output', 'digits.run({ image: new Float32Array(64) }).logits;', /'logits' does not exist/],
  ];

  it('take arrays and know shapes, and refuse what is none of theirs', () => {
    const paths = uses.map(([, text], i) => {
      const path = join(mapped, `use${i}.mts`);
      writeFileSync(path, `${head}${text}\nexport {};\n`);
      return path;
    });
    const program = ts.createProgram(paths, {
      strict: true,
      noEmit: true,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      target: ts.ScriptTarget.ES2023,
      types: [],
    });
    for (const [i, [what, , message]] of uses.entries()) {
      const found = ts.getPreEmitDiagnostics(program, program.getSourceFile(paths[i]!));
      const errors = found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
      expect(errors.length, what).toBe(message === null ? 0 : 1);
      if (message !== null) expect(errors[0], what).toMatch(message);
    }
  });
});
