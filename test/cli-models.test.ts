// The command `ashlar` on ONNX files, on artifacts that it wrote itself, and with trained weights.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readNpy, writeNpy } from '../src/io/npy.ts';
import { writeSafetensors } from '../src/io/safetensors.ts';
import { CommandLine } from './helpers/cli.ts';
import { modelOf, node } from './helpers/onnx-file.ts';

let ashlar: CommandLine;
const path = (file: string): string => join(ashlar.folder, file);
const read = (file: string) => readNpy(readFileSync(path(file)));
const floats = (shape: readonly number[], ...data: number[]): Uint8Array =>
  writeNpy({ shape, dtype: 'f32', data: Float32Array.from(data) });

beforeAll(async () => {
  ashlar = await CommandLine.build();
  ashlar.write('x.npy', floats([2, 3], 1, 2, 3, 4, 5, 6));
  ashlar.write(
    'affine.ts',
    `import { func, input, variable } from 'ashlar';
const x = input('x', [2, 3]);
const w = variable('w', [3, 2], { initial: () => [1, 0, 0, 1, 1, 1] });
const b = variable('b', [2], { initial: () => [0, 0] });
export const affine = func({ name: 'affine', inputs: [x], outputs: { y: x.matmul(w).add(b) } });
`,
  );
});
afterAll(() => ashlar.remove());

describe('--state', () => {
  it('gives variables the values of a safetensors file', () => {
    const tensor = (shape: readonly number[], ...data: number[]) => ({
      shape,
      dtype: 'f32' as const,
      data: Float32Array.from(data),
    });
    const w = tensor([3, 2], 0, 1, 0, 1, 0, 1);
    ashlar.write(
      'trained.safetensors',
      writeSafetensors([
        ['w', w],
        ['b', tensor([2], 10, 20)],
        ['best/w', w],
      ]),
    );
    ashlar.json(['run', 'affine.ts', '--state', 'trained.safetensors', '-i', 'x=x.npy', '-o', 'trained']);
    expect(read('trained/y.npy').data).toEqual(Float32Array.of(10, 26, 10, 35));
    ashlar.json(['run', 'affine.ts', '-i', 'x=x.npy', '-o', 'untrained']);
    expect(read('untrained/y.npy').data).toEqual(Float32Array.of(4, 5, 10, 11));
  });

  it('refuses files that lack a variable or are not there', () => {
    ashlar.write(
      'other.safetensors',
      writeSafetensors([['w', { shape: [2], dtype: 'f32', data: new Float32Array(2) }]]),
    );
    const other = ashlar.run(['inspect', 'affine.ts', '--state', 'other.safetensors']);
    expect([other.code, other.stderr]).toEqual([
      1,
      'ashlar: other.safetensors: tensor "w": f32[3,2] expected, f32[2] found\n',
    ]);
    expect(ashlar.run(['inspect', 'affine.ts', '--state', 'none.safetensors']).code).toBe(2);
  });
});

describe('.onnx files', () => {
  beforeAll(() => {
    const inputs = { 'a=b/c:0': [1, ['rows', 3]], half: [10, [3]] } as const;
    const nodes = [node('Cast', ['half'], ['wide'], { to: { i: 1n } }), node('Mul', ['a=b/c:0', 'wide'], ['p/0'])];
    ashlar.write(
      'scale.onnx',
      modelOf({ nodes: [...nodes, node('Cast', ['p/0'], ['q'], { to: { i: 10n } })], inputs, outputs: ['p/0', 'q'] }),
    );
    ashlar.write('half.npy', writeNpy({ shape: [3], dtype: 'f16', data: Uint16Array.of(0x3c00, 0x4000, 0xb800) }));
  });

  it('keep the names and types of inputs and outputs, half precision too', () => {
    const args = ['scale.onnx', '--dim', 'rows=2', '-i', 'a=b/c:0=x.npy', '-i', 'half=half.npy', '-o', 'scaled'];
    expect(ashlar.json(['run', ...args]).outputs).toEqual({
      'p/0': { file: 'scaled/p_0.npy', dtype: 'f32', shape: [2, 3] },
      q: { file: 'scaled/q.npy', dtype: 'f16', shape: [2, 3] },
    });
    expect(read('scaled/p_0.npy').data).toEqual(Float32Array.of(1, 4, -1.5, 4, 10, -3));
    expect(read('scaled/q.npy').data).toEqual(Uint16Array.of(0x3c00, 0x4400, 0xbe00, 0x4400, 0x4900, 0xc200));
  });

  it('are named after the file; dimensions without a size are 1, or an input is given a shape', () => {
    expect(ashlar.json(['inspect', 'scale.onnx'])).toMatchObject({ name: 'scale', inputs: { 'a=b/c:0': 'f32[1,3]' } });
    const told = 'scale.onnx: rows taken as 1; --dim rows=SIZE says otherwise\n';
    expect(ashlar.run(['inspect', 'scale.onnx']).stderr).toBe(told);
    expect(ashlar.run(['inspect', 'scale.onnx', '--dim', 'rows=1']).stderr).toBe('');
    const shaped = ashlar.json(['inspect', 'scale.onnx', '--shape', 'a=b/c:0=4,3']);
    expect(shaped.outputs).toEqual({ 'p/0': 'f32[4,3]', q: 'f16[4,3]' });
  });

  it('are refused with the file’s name, before anything is written', () => {
    const refused = (...args: string[]) => {
      const { code, stderr } = ashlar.run(['compile', ...args, '-t', 'c', '-o', 'never']);
      return [code, stderr];
    };
    ashlar.write('junk.onnx', 'this is no model');
    ashlar.write(
      'odd.onnx',
      modelOf({ nodes: [node('Nonsense', ['x'], ['y'])], inputs: { x: [1, [2]] }, outputs: ['y'] }),
    );
    expect(refused('junk.onnx')).toEqual([1, expect.stringMatching(/^ashlar: junk\.onnx: the ONNX model /)]);
    expect(refused('odd.onnx')).toEqual([
      1,
      expect.stringMatching(/^ashlar: odd\.onnx: not supported: .*\n.*Nonsense/),
    ]);
    expect(refused('scale.onnx', '--dim', 'columns=2')).toEqual([1, expect.stringContaining('it names "rows"')]);
    expect(refused('scale.onnx', '--export', 'f')).toEqual([2, expect.stringContaining('an .onnx file has one')]);
    expect(readdirSync(ashlar.folder)).not.toContain('never');
  });

  it('cannot make a terminal do anything by their names', () => {
    const name = 'in\u001b]0;title\u0007\u009b2J';
    ashlar.write(
      'names.onnx',
      modelOf({
        nodes: [node('Abs', [name], ['../\u001b[2J'])],
        inputs: { [name]: [1, [2]] },
        outputs: ['../\u001b[2J'],
      }),
    );
    ashlar.write('two.npy', floats([2], -1, 2));
    const ran = [
      ashlar.run(['inspect', 'names.onnx']),
      ashlar.run(['run', 'names.onnx', '-o', 'named']),
      ashlar.run(['run', 'names.onnx', '-i', `${name}=two.npy`, '-o', 'named']),
    ];
    expect(ran.map(({ code }) => code)).toEqual([0, 2, 0]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what must not be there
    for (const { stdout, stderr } of ran) expect(stdout + stderr).not.toMatch(/[\u0007\u001b\u009b]/);
    expect(readdirSync(path('named'))).toEqual(['__2J.npy']);
  });

  it('give inputs that shapes depend on as constants', () => {
    const inputs = { x: [1, [2, 3]], shape: [7, [1]] } as const;
    ashlar.write('reshape.onnx', modelOf({ nodes: [node('Reshape', ['x', 'shape'], ['y'])], inputs, outputs: ['y'] }));
    ashlar.write('shape.npy', writeNpy({ shape: [1], dtype: 'i64', data: BigInt64Array.of(-1n) }));
    expect(ashlar.run(['inspect', 'reshape.onnx']).stderr).toContain('must be known at import');
    expect(ashlar.json(['inspect', 'reshape.onnx', '--constant', 'shape=shape.npy']).outputs).toEqual({ y: 'f32[6]' });
    const given = ['-i', 'x=x.npy', '-i', 'shape=shape.npy', '-o', 'reshaped'];
    expect(ashlar.json(['run', 'reshape.onnx', ...given]).outputs).toMatchObject({ y: { shape: [6] } });
  });
});

describe('artifacts', () => {
  const expected = Float32Array.of(4, 5, 10, 11);

  it.each([
    ['c', []],
    ['c', ['--weights', 'file']],
    ['js', []],
  ])('of target %s %s are written, run, measured and inspected', (target, more) => {
    const out = ['artifact', target, ...more].join('-');
    const { files, name } = ashlar.json(['compile', 'affine.ts', '-t', target, '-o', out, ...more]);
    expect(name).toBe('affine');
    for (const { path: file, bytes } of files) expect(readFileSync(path(file)).length).toBe(bytes);
    expect(readdirSync(path(out)).length).toBe(files.length);
    ashlar.json(['run', out, '-i', 'x=x.npy', '-o', `${out}-results`]);
    expect(read(`${out}-results/y.npy`).data).toEqual(expected);
    expect(ashlar.json(['bench', out, '--seconds', '0.02'])).toMatchObject({ target, threads: 1 });
    expect(ashlar.json(['inspect', out])).toMatchObject({ format: 'ashlar artifact', target, name: 'affine' });
    expect(ashlar.run(['inspect', out]).stdout).toContain('  affine  (x: f32[2,3]) → y: f32[2,2]\n');
  });

  it('of JavaScript run without Ashlar', () => {
    ashlar.json(['compile', 'affine.ts', '-t', 'js', '-o', 'alone', '--name', 'other']);
    const program = `const { load } = await import(${JSON.stringify(pathToFileURL(path('alone/other.mjs')).href)});
console.log([...(await load()).other({ x: Float32Array.of(1, 2, 3, 4, 5, 6) }).y].join());`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      cwd: '/',
    });
    expect(stdout).toBe('4,5,10,11\n');
  });

  it('are written for WebGPU', () => {
    const { files } = ashlar.json(['compile', 'affine.ts', '-t', 'wgsl', '-o', 'web']);
    const names = files.map((file: { path: string }) => file.path).sort();
    expect(names).toEqual(expect.arrayContaining(['web/affine.bin', 'web/affine.d.ts', 'web/affine.js']));
  });

  it('that are damaged, or no artifacts, are one error', () => {
    ashlar.json(['compile', 'affine.ts', '-t', 'js', '-o', 'damaged']);
    const code = readFileSync(path('damaged/affine.mjs'));
    writeFileSync(path('damaged/affine.mjs'), code.subarray(1));
    const refused = (...args: string[]) => {
      const ran = ashlar.run(args);
      return [ran.code, ran.stderr];
    };
    expect(refused('run', 'damaged', '-i', 'x=x.npy', '-o', 'never')).toEqual([
      1,
      expect.stringMatching(/^ashlar: damaged\/affine\.mjs has \d+ bytes, the manifest says \d+/),
    ]);
    expect(readdirSync(ashlar.folder)).not.toContain('never');
    ashlar.write('empty/readme.txt', '');
    expect(refused('bench', 'empty')).toEqual([1, expect.stringContaining('empty is no artifact')]);
    expect(refused('verify', 'damaged')).toEqual([2, expect.stringContaining('this command needs the model itself')]);
    expect(refused('inspect', 'damaged', '-s', 'c')).toEqual([
      2,
      expect.stringContaining("other stages are the model's"),
    ]);
    expect(refused('bench', 'damaged', '-t', 'c')[0]).not.toBe(0);
    expect(refused('bench', 'damaged', '--state', 's')).toEqual([2, expect.stringContaining('--state is for models')]);
  });

  it('are not written where an option does not fit or the target lacks something', () => {
    const refused = (...args: string[]) => {
      const { code, stderr } = ashlar.run(['compile', 'affine.ts', '-o', 'never', ...args]);
      return [code, stderr];
    };
    expect(refused('-t', 'c', '--cpu', 'z80')).toEqual([
      2,
      expect.stringContaining('"z80" is none of native, x86-64-v4'),
    ]);
    expect(refused('-t', 'c', '--cpu', 'native,plain')).toEqual([2, expect.stringContaining('give it alone')]);
    expect(refused('-t', 'wgsl', '--weights', 'file')).toEqual([
      2,
      expect.stringContaining('--weights is for target c'),
    ]);
    expect(refused('-t', 'js', '--name', '../up')).toEqual([1, expect.stringContaining("a module's name is letters")]);
    ashlar.write(
      'wide.ts',
      "import { func, input } from 'ashlar';\nconst x = input('x', [2], 'f64');\nexport default func({ inputs: [x], outputs: { y: x.exp() } });\n",
    );
    const wide = ashlar.run(['compile', 'wide.ts', '-t', 'wgsl', '-o', 'never']);
    expect([wide.code, wide.stderr]).toEqual([
      1,
      expect.stringMatching(/^ashlar: target webgpu has no f64: input "x" is f64\[2\]/),
    ]);
    expect(readdirSync(ashlar.folder)).not.toContain('never');
  });
});
