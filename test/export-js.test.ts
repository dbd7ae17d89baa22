// A function as a module in JavaScript: it computes what the compiled function computes, keeps its state, and refuses what
// is not meant for it.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { func, input, nn } from 'ashlar';
import { compile, exportJs } from 'ashlar/node';
import ts from 'typescript';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-export-js-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => nn.resetNames());

function network() {
  nn.setSeed(2);
  const x = input('x', [4, 16]);
  const label = input('which class?', [4], 'i32');
  const model = nn.sequential(nn.dense(16, 24), nn.relu, nn.dense(24, 3));
  const loss = nn.crossEntropy(model(x), label).mean();
  return {
    train: func({
      name: 'train',
      inputs: [x, label],
      outputs: { loss },
      updates: nn.adam(loss, model.variables, { lr: 0.02 }),
    }),
    read: func({ name: 'read', inputs: [x], outputs: { p: nn.softmax(model(x)) } }),
  };
}

const x = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i * i));
const label = Int32Array.of(0, 1, 2, 1);

/** Node keeps modules by their address: each export has its own. */
const load = async (file: string, options?: object) =>
  (await import(/* @vite-ignore */ pathToFileURL(file).href)).load(options);

describe('exportJs', () => {
  it('writes functions that train and read the same states as compiled ones do', async () => {
    const { train, read } = network();
    const { module } = exportJs({ train, read }, { name: 'digits', directory: join(folder, 'both') });
    const exported = await load(module);
    const step = await compile(train, { target: 'js' });
    const infer = await compile(read, { target: 'js', state: step.state });
    for (let i = 0; i < 5; i++)
      expect(exported.train({ x, 'which class?': label })).toEqual(step({ x, 'which class?': label }));
    expect(exported.read({ x })).toEqual(infer({ x }));
    expect(exported.state.names()).toContain('dense1.weight');
    expect(exported.state.get('dense1.weight')).toEqual(step.state.get('dense1.weight'));
    exported.state.set('dense2.bias', Float32Array.of(50, 0, 0));
    expect(exported.read({ x }).p[0]).toBeCloseTo(1);
    const p = new Float32Array(12);
    expect(exported.read({ x }, { p }).p).toBe(p);
  });

  it('gives every load states of its own', async () => {
    const { module } = exportJs(network(), { name: 'own', directory: join(folder, 'own') });
    const [first, second] = [await load(module), await load(module)];
    first.train({ x, 'which class?': label });
    expect(first.state.get('dense2.bias')).not.toEqual(second.state.get('dense2.bias'));
  });

  it('writes trained weights of a store', async () => {
    const { train, read } = network();
    const step = await compile(train, { target: 'js' });
    for (let i = 0; i < 3; i++) step({ x, 'which class?': label });
    const { module } = exportJs({ read }, { name: 'trained', directory: join(folder, 'trained'), state: step.state });
    const infer = await compile(read, { target: 'js', state: step.state });
    expect((await load(module)).read({ x })).toEqual(infer({ x }));
  });

  it('gives the same bytes for the same functions', () => {
    const [one, two] = ['one', 'two'].map((name) => {
      nn.resetNames();
      return exportJs(network(), { name: 'same', directory: join(folder, name) });
    });
    for (const key of ['module', 'typings', 'weights', 'manifest'] as const)
      expect(readFileSync(one![key])).toEqual(readFileSync(two![key]));
  });

  it('refuses arrays, indices and weights that are not meant', async () => {
    const { module, weights } = exportJs(network(), { name: 'strict', directory: join(folder, 'strict') });
    const { train, read, state } = await load(module);
    expect(() => read({})).toThrow('input "x" is f32[4,16]: Float32Array of 64 expected, nothing given');
    expect(() => read({ x: new Float64Array(64) })).toThrow('Float32Array of 64 expected, Float64Array of 64 given');
    expect(() => read({ x, y: x })).toThrow('input "y" does not exist; there are x');
    expect(() => read({ x }, { p: x.subarray(0, 12) })).toThrow('output "p" shares memory with another array');
    expect(() => train({ x, 'which class?': Int32Array.of(0, 1, 3, 0) })).toThrow(
      'input "which class?": indices from 0 to 2 expected, 3 given at element 2',
    );
    expect(() => state.get('toString')).toThrow('state "toString" does not exist');
    const bytes = readFileSync(weights);
    await expect(load(module, { weights: bytes.subarray(8) })).rejects.toThrow(/the weights of strict are \d+ bytes/);
    bytes[0]! ^= 1;
    await expect(load(module, { weights: bytes })).rejects.toThrow(
      /these are not the weights of strict: their hash is/,
    );
    const odd = input('__proto__', [2]);
    const proto = func({ inputs: [odd], outputs: { y: odd.exp() } });
    expect(() => exportJs({ proto }, { name: 'proto', directory: folder })).toThrow(/cannot be called __proto__/);
    expect(() => exportJs(network(), { name: '../out', directory: folder })).toThrow(/a module's name is letters/);
  });

  it('has typings that TypeScript understands', () => {
    const { typings } = exportJs(network(), { name: 'typed', directory: join(folder, 'typed') });
    const use = join(folder, 'typed/use.mts');
    const text = `import { load, type RowMajor, type TypedStates } from './typed.mjs';
const { read, train, state } = await load();
const { p } = read({ x: new Float32Array(64) });
const plain: Float32Array = p;
const shaped: RowMajor<Float32Array, readonly [4, 3]> = p;
// @ts-expect-error labels are whole numbers
train({ x: plain, 'which class?': plain });
// @ts-expect-error x is [4, 16], p is [4, 3]
read({ x: p });
const weight: TypedStates['dense1.weight'] = state.get('dense1.weight');
state.set('dense1.weight', weight);
// @ts-expect-error the other weight has another shape
state.set('dense2.weight', weight);
// @ts-expect-error there is no such state
state.get('dense3.weight');
export { shaped };
`;
    ts.sys.writeFile(use, text);
    const options = {
      strict: true,
      module: ts.ModuleKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
      noEmit: true,
      types: [],
    };
    const program = ts.createProgram([use, typings], options);
    expect(ts.getPreEmitDiagnostics(program).map(({ messageText }) => messageText)).toEqual([]);
  });

  it.each(['response', 'row-major', 'promise'])('can be called %s, as types of its typings are', (name) => {
    const x = input('x', [2]);
    const double = func({ name: 'double', inputs: [x], outputs: { y: x.mul(2) } });
    const { typings } = exportJs({ double }, { name, directory: join(folder, name) });
    const program = ts.createProgram([typings], {
      strict: true,
      noEmit: true,
      types: [],
      target: ts.ScriptTarget.ES2022,
    });
    expect(ts.getPreEmitDiagnostics(program).map(({ messageText }) => messageText)).toEqual([]);
  });
});
