// The command `ashlar` as a process: what it prints, what it writes, what it refuses, and its exit codes.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readNpy, writeNpy } from '../src/io/npy.ts';
import { CommandLine } from './helpers/cli.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const gpu = await testDevice();

let ashlar: CommandLine;
const path = (file: string): string => join(ashlar.folder, file);
const floats = (shape: readonly number[], ...data: number[]): Uint8Array =>
  writeNpy({ shape, dtype: 'f32', data: Float32Array.from(data) });

beforeAll(async () => {
  ashlar = await CommandLine.build();
  ashlar.write('sizes.ts', 'export const hidden: number = 5;\n');
  ashlar.write(
    'my models/net.ts',
    `import { func, input, nn } from 'ashlar';
import { hidden } from '../sizes.ts';

nn.setSeed(1);
const x = input('x', [2, 3]);
const network = nn.sequential(nn.dense(3, hidden), nn.relu, nn.dense(hidden, 4), nn.softmax);
export const net = func({ name: 'net', inputs: [x], outputs: { y: network(x) } });
`,
  );
  ashlar.write(
    'two.ts',
    `import { func, gather, input, nn } from 'ashlar';

const x = input('x', [2, 3]);
const rows = input('which row?', [2], 'i32');
console.log('said while it loads');
const step = nn.dense(3, 1, { name: 'd' });
const loss = step(x).square().mean();
export const sums = func({ name: 'sums', inputs: [x], outputs: { 'a/b': x.sum(0), 'a?b': x.sum(1) } });
export const pick = func({ name: 'pick', inputs: [x, rows], outputs: { y: gather(x, rows, 0) } });
export const train = func({ name: 'train', inputs: [x], outputs: { loss }, updates: nn.sgd(loss, step.variables, { lr: 0.1 }) });
export const three = 3;
`,
  );
  ashlar.write(
    'dtypes.mjs',
    `import { func, input } from 'ashlar';

const inputs = ['f64', 'i64', 'bool', 'i8', 'u32'].map((dtype) => input(dtype, [2, 2], dtype));
export default func({ name: 'dtypes', inputs, outputs: Object.fromEntries(inputs.map((x) => [x.name, x.transpose()])) });
`,
  );
  ashlar.write('x.npy', floats([2, 3], 1, 2, 3, 4, 5, 6));
});
afterAll(() => {
  ashlar.remove();
  if (typeof gpu !== 'string') gpu.destroy();
});

describe('the command line', () => {
  it('prints help with examples for every command, on stdout, and its version', () => {
    const { code, stdout, stderr } = ashlar.run(['--help']);
    expect([code, stderr]).toEqual([0, '']);
    const commands = ['compile', 'run', 'bench', 'inspect', 'verify', 'tune', 'check'];
    for (const command of commands) {
      expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
      const help = ashlar.run([command, '--help']);
      expect([help.code, help.stderr]).toEqual([0, '']);
      expect(help.stdout).toContain(`Examples:\n  $ ashlar ${command} `);
    }
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
    expect(ashlar.run(['--version']).stdout).toBe(`${version}\n`);
  });

  it.each([
    ['an unknown command', ['inspekt', 'two.ts'], "unknown command 'inspekt'\n(Did you mean inspect?)"],
    ['an unknown option', ['inspect', 'two.ts', '--stages', 'c'], "unknown option '--stages'"],
    ['a missing model', ['inspect'], "missing required argument 'model'"],
    ['a missing option', ['compile', 'two.ts', '--out', 'o'], "required option '-t, --target <target>' not specified"],
    ['an unknown target', ['run', 'two.ts', '-t', 'cuda', '-o', 'o'], 'Allowed choices are c, wgsl, js.'],
    ['no number of threads', ['bench', 'two.ts', '--threads', '0'], 'a whole number of at least 1 expected'],
    ['no seconds', ['bench', 'two.ts', '--seconds', 'x'], 'a positive number expected'],
    ['no assignment', ['run', 'two.ts', '-i', 'x', '-o', 'o'], 'NAME=FILE.npy expected'],
    ['a model that is not there', ['inspect', 'nothing.ts'], 'nothing.ts does not exist; a model is a .ts, .mts, .js'],
    ['a file that is no model', ['inspect', 'x.npy'], 'x.npy: .npy is none that models have; a model is a .ts'],
    ['--dim for a module', ['inspect', 'two.ts', '--dim', 'n=2'], '--dim is for .onnx files'],
    ['--threads for JavaScript', ['bench', 'two.ts', '-t', 'js', '--threads', '2'], '--threads is for target c'],
    ['--cpu for JavaScript', ['compile', 'two.ts', '-t', 'js', '--cpu', 'plain', '-o', 'o'], '--cpu is for target c'],
    ['a stage of another target', ['inspect', 'two.ts', '-s', 'js', '-t', 'c'], '--stage js is of target js'],
  ])('%s is misuse', (_what, args, message) => {
    const { code, stdout, stderr } = ashlar.run(args);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^ashlar: /);
    expect([code, stdout]).toEqual([2, '']);
  });

  it('keeps colours from pipes', () => {
    const { stdout, stderr } = ashlar.run(['inspect', 'my models/net.ts'], { FORCE_COLOR: '1' });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what must not be there
    expect(stdout + stderr).not.toMatch(/\u001b/);
  });
});

describe('models', () => {
  it('a module with several functions needs --export, and lists them', () => {
    const list = [
      '  sums   (x: f32[2,3]) → a/b: f32[3], a?b: f32[2]',
      '  pick   (x: f32[2,3], which row?: i32[2]) → y: f32[2,3]',
      '  train  (x: f32[2,3]) → loss: f32[], 3 updates',
    ].join('\n');
    const several = ashlar.run(['inspect', 'two.ts']);
    expect(several.code).toBe(2);
    expect(several.stderr).toContain(
      `two.ts exports several functions; choose one with --export NAME:\n${sorted(list)}`,
    );
    expect(ashlar.run(['inspect', 'two.ts', '--export', 'four']).stderr).toContain(
      'four is not exported; there are:\n',
    );
    expect(ashlar.run(['inspect', 'two.ts', '--export', 'three']).stderr).toContain(
      'three is not a function made with',
    );
  });

  it('what a module says while it loads is not among the results', () => {
    const { stdout, stderr } = ashlar.run(['inspect', 'two.ts', '--export', 'sums', '--json']);
    expect(stderr).toBe('said while it loads\n');
    expect(JSON.parse(stdout).name).toBe('sums');
  });

  it.each([
    [
      'throws.ts',
      'interface A {\n  a: number;\n}\nconst f = (a: A[]) => a[1]!.a;\nf([]);\n',
      "throws.ts throws TypeError: Cannot read properties of undefined (reading 'a')\n  at throws.ts:4:29\n  at throws.ts:5:1\n",
    ],
    ['value.mjs', 'throw { reason: 3 };\n', 'value.mjs throws {"reason":3}\n'],
    ['syntax.ts', 'const x = ;\n', 'syntax.ts:1:11: Unexpected ";"\n'],
    ['import.ts', "import { a } from './none';\nexport const b = a;\n", 'import.ts:1:19: Could not resolve "./none"\n'],
    [
      'empty.ts',
      'export const a = 1;\n',
      'empty.ts exports no function: it has a; make one with func({ inputs, outputs }) and export it\n',
    ],
    [
      'shapes.ts',
      "import { input } from 'ashlar';\n\nenum Size {\n  Two = 2,\n}\nconst x = input('x', [Size.Two, 3] as number[]);\nexport const y = x\n  .matmul(x);\n",
      'matmul(x: f32[2,3], x: f32[2,3]): the last axis of the first (3) must equal the last but one axis of the second (2)\n  at shapes.ts:8:4\n',
    ],
  ])('%s is one error with the user’s line', (name, code, message) => {
    ashlar.write(name, code);
    const ran = ashlar.run(['inspect', name]);
    expect(ran.stderr).toBe(`ashlar: ${message}`);
    expect([ran.code, ran.stdout]).toEqual([1, '']);
  });

  it('knows its own place, whatever it imports', () => {
    ashlar.write('places/data.json', '{ "n": 7 }');
    ashlar.write(
      'places/model.mts',
      `import { readFileSync } from 'node:fs';
import { func, input } from 'ashlar';
import data from './data.json' with { type: 'json' };
const { n } = JSON.parse(readFileSync(new URL('data.json', import.meta.url), 'utf8'));
const x = input('x', [n, data.n, import.meta.dirname.endsWith('places') ? 1 : 2]);
export default func({ inputs: [x], outputs: { y: x.exp() } });
`,
    );
    expect(ashlar.json(['inspect', 'places/model.mts']).inputs).toEqual({ x: 'f32[7,7,1]' });
  });
});

/** Exports of a module come in the order of their names. */
const sorted = (lines: string): string => lines.split('\n').sort().join('\n');

describe('ashlar inspect', () => {
  const net = 'my models/net.ts';

  it('summarises: kernels with sizes, work and lines, and memory that adds up', () => {
    const { kernels, flops, bytes, memory, outputs } = ashlar.json(['inspect', net]);
    expect(outputs).toEqual({ y: 'f32[2,4]' });
    expect(kernels[0]).toMatchObject({ results: ['f32[2,5]'], calls: 1, sources: [`${net}:7:67`] });
    expect(flops).toBe(kernels.reduce((sum: number, kernel: { flops: number }) => sum + kernel.flops, 0));
    expect(flops).toBeGreaterThanOrEqual(2 * 2 * (3 * 5 + 5 * 4));
    expect(bytes).toBeGreaterThan(0);
    // Biases begin at 0, which adds nothing.
    expect(memory.weights).toBe(4 * (3 * 5 + 5 * 4));
    expect([memory.inputs, memory.outputs, memory.states]).toEqual([24, 32, 0]);
    expect(memory.peak).toBe(memory.arena + memory.weights + memory.inputs + memory.outputs);
    const { stdout } = ashlar.run(['inspect', net]);
    expect(stdout).toMatch(/^kernel +result +calls +FLOP +read \+ written +line$/m);
    expect(stdout).toMatch(/^peak memory .*: arena .*, weights 140 B, inputs 24 B, outputs 32 B$/m);
  });

  it.each([
    ['graph', /^func @net\(%x: f32\[2,3\], state %dense1\.weight: f32\[3,5\]/],
    ['optimized', /^func @net\(%x: f32\[2,3\]\) \{\n.*= constant/],
    ['kernels', /^kernel \w+\(read /],
    ['program', /^program net \{\n {2}arena: \d+ bytes\n/],
    ['c', /net_run\(/],
    ['wgsl', /@compute @workgroup_size\(/],
    ['js', /function bind\(states, externals\)/],
  ])('--stage %s', (stage, text) => {
    const printed = ashlar.json(['inspect', net, '--stage', stage]);
    expect(printed).toEqual({ stage, text: expect.stringMatching(text) });
  });

  it('prints the stage alone without --json', () => {
    const { code, stdout } = ashlar.run(['inspect', net, '--stage', 'program']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^program net \{\n {2}arena: \d+ bytes\n.*\n\}\n$/s);
  });

  it('--pass shows the graph after a pass, or lists the passes', () => {
    const { stdout } = ashlar.run(['inspect', net, '--pass', 'simplify.2']);
    expect(stdout).toMatch(/^func @net\(/);
    const { code, stderr } = ashlar.run(['inspect', net, '--pass', 'none']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/there is no such pass; in order they are inline-calls, .*simplify, .*simplify\.2/);
  });
});

describe('ashlar run', () => {
  it.each(['c', 'js'])('writes what the function computes on target %s', (target) => {
    const out = `out-${target}`;
    const { outputs } = ashlar.json(['run', 'two.ts', '--export', 'sums', '-t', target, '-i', 'x=x.npy', '-o', out]);
    expect(outputs).toEqual({
      'a/b': { file: join(out, 'a_b.npy'), dtype: 'f32', shape: [3] },
      'a?b': { file: join(out, 'a_b_2.npy'), dtype: 'f32', shape: [2] },
    });
    expect(readNpy(readFileSync(path(outputs['a/b'].file)))).toEqual({
      dtype: 'f32',
      shape: [3],
      data: Float32Array.of(5, 7, 9),
    });
    expect(readNpy(readFileSync(path(outputs['a?b'].file))).data).toEqual(Float32Array.of(6, 15));
    expect(readdirSync(path(out)).sort()).toEqual(['a_b.npy', 'a_b_2.npy']);
  });

  it('reads and writes every dtype, also column by column', () => {
    const data = {
      f64: Float64Array.of(1.5, -2, Number.NaN, 1e300),
      i64: BigInt64Array.of(1n, -2n, 2n ** 53n, -(2n ** 62n)),
      bool: Uint8Array.of(1, 0, 0, 1),
      i8: Int8Array.of(-128, 127, 3, 4),
      u32: Uint32Array.of(0, 4294967295, 3, 4),
    } as const;
    for (const [dtype, elements] of Object.entries(data))
      ashlar.write(`${dtype}.npy`, writeNpy({ shape: [2, 2], dtype: dtype as 'f64', data: elements }));
    const fortran = Buffer.from(writeNpy({ shape: [2, 2], dtype: 'i8', data: data.i8 })).toString('latin1');
    ashlar.write(
      'i8.npy',
      Buffer.from(fortran.replace("'fortran_order': False,", "'fortran_order': True, "), 'latin1'),
    );
    const inputs = Object.keys(data).flatMap((dtype) => ['-i', `${dtype}=${dtype}.npy`]);
    ashlar.json(['run', 'dtypes.mjs', ...inputs, '-o', 'transposed']);
    for (const [dtype, [a, b, c, d]] of Object.entries(data)) {
      const { data: found, ...type } = readNpy(readFileSync(path(`transposed/${dtype}.npy`)));
      expect(type).toEqual({ dtype, shape: [2, 2] });
      expect([...found]).toEqual(dtype === 'i8' ? [a, b, c, d] : [a, c, b, d]);
    }
  });

  it('names the inputs that are missing, and refuses others, before anything is written', () => {
    const refused = (...args: string[]) => {
      const { code, stderr } = ashlar.run(['run', 'two.ts', '--export', 'pick', '-o', 'refused', ...args]);
      expect(existsSync(path('refused'))).toBe(false);
      return [code, stderr.replace('said while it loads\nashlar: ', '')];
    };
    ashlar.write('rows.npy', writeNpy({ shape: [2], dtype: 'i32', data: Int32Array.of(1, 0) }));
    ashlar.write('far.npy', writeNpy({ shape: [2], dtype: 'i32', data: Int32Array.of(1, 2) }));
    ashlar.write('wide.npy', writeNpy({ shape: [3, 2], dtype: 'f64', data: new Float64Array(6) }));
    ashlar.write('cut.npy', floats([2, 3], 1, 2, 3, 4, 5, 6).subarray(0, 140));
    ashlar.write('text.npy', 'these are no numbers');
    expect(refused('-i', 'x=x.npy')).toEqual([2, "an input is missing:\n  --input 'which row?'=FILE.npy   i32[2]\n"]);
    expect(refused('-i', 'z=x.npy')[1]).toBe(
      'there is no input "z"; the function has x: f32[2,3], which row?: i32[2]\n',
    );
    expect(refused('-i', 'x=x.npy', '-i', 'x=x.npy')).toEqual([2, 'input "x" is given twice\n']);
    expect(refused('-i', 'x=none.npy')).toEqual([2, '--input x: none.npy does not exist\n']);
    expect(refused('-i', 'x=wide.npy')).toEqual([
      1,
      "--input x: f32[2,3] expected, wide.npy holds f64[3,2] (in NumPy: array.astype('float32').reshape(2, 3))\n",
    ]);
    expect(refused('-i', 'x=cut.npy')).toEqual([1, expect.stringContaining('cut.npy: cut short: ')]);
    expect(refused('-i', 'x=text.npy')).toEqual([1, expect.stringContaining('text.npy: not a .npy file')]);
    expect(refused('-i', 'x=x.npy', '-i', 'which row?=far.npy')).toEqual([
      1,
      expect.stringContaining('input "which row?": indices from 0 to 1 expected, 2 given at element 1'),
    ]);
  });

  it('writes all outputs or none', () => {
    ashlar.write('half/a_b_2.npy/in the way', '');
    const { code, stderr } = ashlar.run(['run', 'two.ts', '--export', 'sums', '-i', 'x=x.npy', '-o', 'half']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('the outputs cannot be written')]);
    expect(readdirSync(path('half')).filter((file) => file.endsWith('.part'))).toEqual([]);
  });
});

describe('ashlar bench', () => {
  it.each(['c', 'js'])('measures calls on random inputs, indices in range, on target %s', (target) => {
    const result = ashlar.json(['bench', 'two.ts', '--export', 'pick', '-t', target, '--seconds', '0.1']);
    expect(Object.keys(result)).toEqual(['median_ms', 'min_ms', 'runs', 'target', 'threads']);
    expect(result).toMatchObject({ target, threads: 1 });
    expect(result.min_ms).toBeGreaterThan(0);
    expect(result.median_ms).toBeGreaterThanOrEqual(result.min_ms);
    expect(result.runs).toBeGreaterThanOrEqual(3);
  });

  it('says it in a sentence without --json, and takes threads and inputs', () => {
    const args = [
      'bench',
      'two.ts',
      '--export',
      'sums',
      '--seconds',
      '0.05',
      '-t',
      'c',
      '--threads',
      '2',
      '-i',
      'x=x.npy',
    ];
    expect(ashlar.run(args).stdout).toMatch(
      /^median [\d.e-]+ ms, min [\d.e-]+ ms of \d+ runs \(target c, 2 threads\)\n$/,
    );
  });
});

describe('ashlar verify', () => {
  it('finds that targets agree, state of a training step included', () => {
    const { ok, cases, targets } = ashlar.json(['verify', 'two.ts', '--export', 'train', '--targets', 'c,js']);
    expect(ok).toBe(true);
    expect(cases).toEqual(['random', 'zeros', 'ones', 'negative', 'tiny', 'large', 'infinite', 'NaN']);
    expect(targets.map(({ target }: { target: string }) => target)).toEqual(['c', 'js']);
    for (const { outputs } of targets) {
      expect(outputs.map(({ name }: { name: string }) => name)).toEqual([
        ...['loss', 'd.weight', 'd.bias', 'optimizer.step'],
      ]);
      for (const output of outputs) {
        expect(output.ok).toBe(true);
        expect(output.of_bound).toBeLessThan(1);
        expect(output.compared).toBeGreaterThan(0);
      }
    }
  });

  it('ends with 1 and shows the element where a target computes something else', () => {
    ashlar.write(
      'changing.ts',
      `import { func, input, variable } from 'ashlar';
let calls = 0;
const x = input('x', [3]);
const w = variable('w', [3], { initial: () => [1, 2, 3 + calls++ / 1000] });
export default func({ name: 'changing', inputs: [x], outputs: { y: x.mul(w) } });
`,
    );
    const { code, stdout } = ashlar.run(['verify', 'changing.ts', '--targets', 'js']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^js +y +f32 .*WRONG$/m);
    expect(stdout).toMatch(/^wrong: js, y\[2\] in case \w+: [\d.e-]+ expected, [\d.e-]+ found \(bound /m);
  });
});

describe('ashlar tune', () => {
  it('writes a record that bench takes, and refuses a target without schedules', () => {
    ashlar.write(
      'product.ts',
      `import { func, input } from 'ashlar';
const a = input('a', [48, 64]);
export default func({ name: 'product', inputs: [a], outputs: { y: a.matmul(input('b', [64, 40]).mul(0).add(1)) } });
`.replace("input('b', [64, 40]).mul(0).add(1)", 'a.transpose()'),
    );
    const { record, problems, skipped } = ashlar.json([
      'tune',
      'product.ts',
      '--seconds',
      '0.001',
      '-o',
      'tuned/p.json',
    ]);
    expect(record).toBe('tuned/p.json');
    expect(problems.length + skipped).toBe(1);
    expect(JSON.parse(readFileSync(path(record), 'utf8'))).toMatchObject({ threads: 1 });
    expect(ashlar.json(['bench', 'product.ts', '-t', 'c', '--seconds', '0.05', '--tuning', record]).target).toBe('c');
    const { code, stderr } = ashlar.run(['tune', 'product.ts', '-t', 'js']);
    const reason = 'target js has nothing to tune: each of its kernels has one form; targets c and wgsl can be tuned';
    expect([code, stderr]).toEqual([1, `ashlar: ${reason}\n`]);
  });

  it.skipIf(typeof gpu === 'string')(
    titleOf('writes a record of a device, with which results are the same and kernels are others', gpu),
    () => {
      ashlar.write(
        'product.ts',
        `import { func, input } from 'ashlar';
const a = input('a', [48, 64]);
export default func({ name: 'product', inputs: [a], outputs: { y: a.matmul(a.transpose()) } });
`,
      );
      ashlar.write('a.npy', floats([48, 64], ...Array.from({ length: 48 * 64 }, (_, i) => ((i * 37) % 101) / 50 - 1)));
      const { record, problems } = ashlar.json(['tune', 'product.ts', '-t', 'wgsl', '-o', 'device.json']);
      expect(record).toBe('device.json');
      expect(problems).toMatchObject([{ calls: 1, refused: 0 }]);
      expect(problems[0].measured).toBeGreaterThan(4);
      const written = JSON.parse(readFileSync(path(record), 'utf8'));
      expect(written).toMatchObject({ version: 2, target: 'wgsl', device: { vendor: expect.any(String) } });
      // Whether anything won is the machine's business: here something always has.
      const choice =
        written.device.kernels === 'card'
          ? { form: 'reduction', columns: 1, rows: 64, rowsFirst: true, chunks: 1 }
          : { form: 'blocks', rows: 2, columns: 4, invocations: 64 };
      const won = (problem: string) => ({ problem, choice, untuned: 2, tuned: 1 });
      const entries = [won(problems[0].problem), won('another')];
      ashlar.write('won.json', JSON.stringify({ ...written, entries }));

      const unused = 'the tuning record won.json: 1 entries fit no problem of it:\nanother\n';
      const outputs = (out: string, ...more: string[]): Float32Array => {
        const { stderr, code } = ashlar.run(['run', 'product.ts', '-t', 'wgsl', '-i', 'a=a.npy', '-o', out, ...more]);
        expect([code, stderr]).toEqual([0, more.length === 0 ? '' : unused]);
        return readNpy(readFileSync(path(`${out}/y.npy`))).data as Float32Array;
      };
      const [untuned, tuned] = [outputs('untuned'), outputs('tuned', '--tuning', 'won.json')];
      for (const [i, value] of untuned.entries()) expect(Math.abs(value - tuned[i]!)).toBeLessThan(1e-4);
      const { kernels } = written.device;
      const shaders = (...more: string[]) =>
        ashlar.json(['inspect', 'product.ts', '-s', 'wgsl', ...more]).text as string;
      expect(shaders('--tuning', 'won.json')).not.toBe(shaders('--kernels', kernels));
      const compiled = (out: string, ...more: string[]): string => {
        const { stderr } = ashlar.run(['compile', 'product.ts', '-t', 'wgsl', '-o', out, ...more]);
        expect(stderr).toBe(more[0] === '--tuning' ? unused : '');
        return readFileSync(path(`${out}/product.js`), 'utf8');
      };
      expect(compiled('module', '--tuning', 'won.json')).not.toBe(compiled('plain', '--kernels', kernels));

      ashlar.write('other.json', JSON.stringify({ ...written, device: { ...written.device, vendor: 'other' } }));
      const refused = (...args: string[]) => ashlar.run(args).stderr;
      expect(refused('bench', 'product.ts', '-t', 'wgsl', '--tuning', 'other.json')).toMatch(
        /^ashlar: the tuning record other\.json was measured on "other .*", this is ".*"; tune again here\n$/,
      );
      expect(refused('bench', 'product.ts', '-t', 'c', '--tuning', 'won.json')).toBe(
        'ashlar: the tuning record won.json was measured for target wgsl, this is target c; tune for it\n',
      );
    },
  );

  it('refuses options that a target has no use for', () => {
    for (const [line, message] of [
      ['compile product.ts -t c -o o --kernels card', '--kernels is for target wgsl; leave it out for c'],
      ['compile product.ts -t js -o o --tuning won.json', '--tuning is for targets c and wgsl; leave it out for js'],
      ['tune product.ts -t wgsl --threads 2', '--threads is for target c; leave it out for wgsl'],
      ['inspect product.ts -t js --kernels card', '--kernels is for target wgsl; leave it out for js'],
    ] as const) {
      const { code, stderr } = ashlar.run(line.split(' '));
      expect([code, stderr]).toEqual([2, `ashlar: ${message}\n`]);
    }
  });
});

describe('ashlar check', () => {
  const open = "const open = input('open', [3]);\nexport const sum = open.add(input('other', [2, 4]));\n";
  const message =
    'add(open: f32[3], other: f32[2,4]): shapes that broadcast expected: aligned at the last axis, dimensions equal or 1';

  it('gives editors what types and the graph show to be wrong, each once, with its place', () => {
    ashlar.write(
      'wrong.ts',
      `import { func, input } from 'ashlar';
const image = input('image', [64, 784]);
const product = image.matmul(input('weights', [512, 10]));
export const late = func({ inputs: [image], outputs: { product } });
`,
    );
    ashlar.write('late.ts', `import { input } from 'ashlar';\n${open.replace('[3]', '[3] as number[]')}`);
    ashlar.write('dtype.ts', "import { input } from 'ashlar';\nexport const n: number = input('x', [2]).sum();\n");
    const { code, stdout } = ashlar.run(['check', 'wrong.ts', 'late.ts', 'dtype.ts', 'my models/net.ts', '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      ok: false,
      diagnostics: [
        {
          ...{ file: 'wrong.ts', line: 3, column: 30, endLine: 3, endColumn: 57, code: 'shape' },
          message:
            'cannot multiply [64,784] by [512,10]: the last axis of the first must equal the last but one of the second',
        },
        {
          ...{ file: 'dtype.ts', line: 2, column: 14, endLine: 2, endColumn: 15, code: 'TS2322' },
          message: `Type 'Tensor<[], "f32">' is not assignable to type 'number'.`,
        },
        { file: 'late.ts', line: 3, column: 25, endLine: 3, endColumn: 25, code: 'build', message },
      ],
    });
  });

  it('gives people a line for each, and the number of errors', () => {
    ashlar.write('late.mjs', `import { input } from 'ashlar';\n${open}`);
    const { code, stdout } = ashlar.run(['check', 'late.mjs', 'dtypes.mjs']);
    expect(code).toBe(1);
    expect(stdout).toBe(`late.mjs:3:25: error build: ${message}\n2 modules: 1 error\n`);
  });

  it('ends with 0 where there is nothing to say, with 2 for what is no module', () => {
    expect(ashlar.json(['check', 'dtypes.mjs'])).toEqual({ ok: true, diagnostics: [] });
    expect(ashlar.run(['check', 'x.npy']).code).toBe(2);
  });
});
