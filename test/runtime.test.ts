// The native runtime: calls and their mistakes, shared state, the cache and the compiler when they do not do what they should.

import { execFile, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { writeSafetensorsFile } from '../src/io/files.ts';
import type { SafeTensor } from '../src/io/safetensors.ts';
import { UserError } from '../src/ir/errors.ts';
import { leavesOf } from '../src/ir/steps.ts';
import { func, gather, input, variable } from '../src/lang/index.ts';
import * as nn from '../src/nn/index.ts';
import { expectArray } from '../src/runtime/call-checks.ts';
import { compile } from '../src/runtime/compile.ts';
import { StateStore } from '../src/runtime/state.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'ashlar-runtime-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const x = input('x', [2, 3]);
const labels = input('labels', [2], 'i32');
const twice = func({ name: 'twice', inputs: [x], outputs: { y: x.mul(2) } });

describe('a call', () => {
  it('returns new arrays, or fills those given', async () => {
    const run = await compile(twice, { target: 'c' });
    const given = { x: Float32Array.of(1, 2, 3, 4, 5, 6) };
    const first = run(given);
    const second = run(given);
    expect([...first.y]).toEqual([2, 4, 6, 8, 10, 12]);
    expect(second.y).not.toBe(first.y);
    const y = new Float32Array(6);
    expect(run(given, { outputs: { y } }).y).toBe(y);
    expect([...y]).toEqual([2, 4, 6, 8, 10, 12]);
  });

  it('reads and writes parts of larger arrays in place', async () => {
    const run = await compile(twice, { target: 'c' });
    const memory = Float32Array.from({ length: 12 }, (_, i) => i);
    run({ x: memory.subarray(0, 6) }, { outputs: { y: memory.subarray(6) } });
    expect([...memory]).toEqual([0, 1, 2, 3, 4, 5, 0, 2, 4, 6, 8, 10]);
  });

  const mistakes: readonly [what: string, inputs: object, outputs: object, message: string][] = [
    ['a missing input', {}, {}, 'input "x" is missing: f32[2,3], a Float32Array of 6'],
    ['an unknown input', { x: new Float32Array(6), z: 1 }, {}, 'input "z" does not exist; the function has x'],
    ['an array of another type', { x: new Float64Array(6) }, {}, 'a Float32Array expected, Float64Array given'],
    ['a plain array', { x: [1, 2, 3, 4, 5, 6] }, {}, 'a Float32Array expected, Array given'],
    ['null', { x: null }, {}, 'a Float32Array expected'],
    ['a wrong length', { x: new Float32Array(5) }, {}, 'input "x" is f32[2,3]: 6 elements expected, 5 given'],
    ['an unknown output', { x: new Float32Array(6) }, { w: new Float32Array(6) }, 'output "w" does not exist'],
    ['a short output', { x: new Float32Array(6) }, { y: new Float32Array(2) }, '6 elements expected, 2 given'],
  ];
  for (const [what, inputs, outputs, message] of mistakes) {
    it(`refuses ${what}`, async () => {
      const run = await compile(twice, { target: 'c' });
      expect(() => run(inputs as never, { outputs })).toThrow(UserError);
      expect(() => run(inputs as never, { outputs })).toThrow(message);
    });
  }

  it('refuses an output that shares memory with an input or another output', async () => {
    const run = await compile(func({ name: 'two', inputs: [x], outputs: { y: x.mul(2), z: x.add(1) } }), {
      target: 'c',
    });
    const memory = new Float32Array(18);
    expect(() => run({ x: memory.subarray(0, 6) }, { outputs: { y: memory.subarray(3, 9) } })).toThrow(
      'output "y" shares memory with input "x"',
    );
    expect(() =>
      run({ x: memory.subarray(0, 6) }, { outputs: { y: memory.subarray(6, 12), z: memory.subarray(6, 12) } }),
    ).toThrow('output "y" shares memory with output "z"');
  });

  it('refuses labels out of range before any kernel runs', async () => {
    const w = variable('w', [4], { initial: 1 });
    const picked = gather(w, labels);
    const run = await compile(func({ name: 'pick', inputs: [labels], outputs: { picked }, updates: [[w, w.add(1)]] }), {
      target: 'c',
    });
    expect(() => run({ labels: Int32Array.of(1, 4) })).toThrow(
      /input "labels": indices from 0 to 3 expected, 4 given at element 1/,
    );
    expect(() => run({ labels: Int32Array.of(-1, 0) })).toThrow(/-1 given at element 0/);
    expect([...run.state.get('w')]).toEqual([1, 1, 1, 1]);
    expect([...run({ labels: Int32Array.of(3, 0) }).picked]).toEqual([1, 1]);
    expect([...run.state.get('w')]).toEqual([2, 2, 2, 2]);
  });

  it('clamps indices that the function computes itself', async () => {
    const w = variable('table', [4], { initial: [10, 20, 30, 40] });
    const run = await compile(func({ name: 'clamp', inputs: [labels], outputs: { y: gather(w, labels.mul(100)) } }), {
      target: 'c',
    });
    expect([...run({ labels: Int32Array.of(-5, 7) }).y]).toEqual([10, 40]);
  });

  it('refuses a number of threads that is not one', async () => {
    for (const threads of [0, -1, 1.5, Number.NaN]) {
      await expect(compile(twice, { threads })).rejects.toThrow('threads: a whole number of at least 1 expected');
    }
  });

  it('computes with two threads what it computes with one', async () => {
    const big = input('big', [200_000]);
    const definition = func({ name: 'sum', inputs: [big], outputs: { sum: big.sum(), y: big.exp() } });
    const one = await compile(definition, { target: 'c', threads: 1 });
    const two = await compile(definition, { target: 'c', threads: 2 });
    const given = { big: Float32Array.from({ length: 200_000 }, (_, i) => (i % 100) / 100) };
    expect(two(given)).toEqual(one(given));
  });
});

describe('state', () => {
  const w = variable('w', [3], { initial: [1, 2, 3] });
  const count = variable('count', [], { dtype: 'i32', trainable: false });
  const step = func({
    name: 'step',
    inputs: [],
    outputs: {},
    updates: [
      [w, w.mul(2)],
      [count, count.add(1)],
    ],
  });
  const read = func({ name: 'read', inputs: [], outputs: { w: w.add(0) } });

  it('is read, written and shared by name', async () => {
    const run = await compile(step, { target: 'c' });
    const look = await compile(read, { state: run.state });
    run({});
    run({});
    expect([...run.state.get('w')]).toEqual([4, 8, 12]);
    expect([...run.state.get('count')]).toEqual([2]);
    expect([...look({}).w]).toEqual([4, 8, 12]);
    run.state.set('w', Float32Array.of(1, 0, 0));
    run({});
    expect([...look({}).w]).toEqual([2, 0, 0]);
    run.state.set('w', [5, 5, 5]);
    expect([...look({}).w]).toEqual([5, 5, 5]);
    run.state.set(w, [6, 6, 6]);
    expect([...run.state.get(w)]).toEqual([6, 6, 6]);
    expect(run.state.names()).toEqual(['w', 'count']);
  });

  it('given out is a copy', async () => {
    const run = await compile(step, { target: 'c' });
    run.state.get(w).fill(0);
    expect([...run.state.get('w')]).toEqual([1, 2, 3]);
  });

  it('says what is wrong with a name, a length or a type', async () => {
    const { state } = await compile(step, { target: 'c' });
    expect(() => state.get('v')).toThrow('state "v" does not exist; there are w, count');
    expect(() => state.set('w', [1])).toThrow('state "w" is f32[3]: 3 elements expected, 1 given');
    expect(() => state.set('w', new Float64Array(3))).toThrow('a Float32Array expected, Float64Array given');
    const other = func({ name: 'other', inputs: [], outputs: { y: variable('w', [4]).add(1) } });
    await expect(compile(other, { state })).rejects.toThrow(
      'state "w" is shared as f32[3], this function declares f32[4]',
    );
  });

  it('is not shared between two compilations that do not ask for it', async () => {
    const first = await compile(step, { state: new StateStore() });
    const second = await compile(step, { target: 'c' });
    first({});
    expect([...second.state.get('w')]).toEqual([1, 2, 3]);
  });
});

describe('frozen states', () => {
  const images = input('images', [1, 3, 9, 9]);
  nn.setSeed(4);
  const network = nn.sequential(nn.conv2d(3, 16, 3, { padding: 'same' }), nn.relu, nn.flatten(), nn.dense(16 * 81, 20));
  const definition = func({ name: 'net', inputs: [images], outputs: { y: network(images) } });
  const given = { images: Float32Array.from({ length: 243 }, (_, i) => Math.sin(i)) };

  it('give the same results, with their weights packed once and not in the C text', async () => {
    const plain = await compile(definition, { target: 'c' });
    const run = await compile(definition, { state: plain.state, freeze: true });
    const packs = (launches: typeof run.program.steps): number =>
      leavesOf(launches).filter(({ kernel }) => kernel.name.endsWith('_pack')).length;
    expect(packs(plain.program.steps)).toBe(1);
    expect(packs(run.program.steps)).toBe(0);
    expect(packs(run.program.preparation)).toBe(2);
    expect(run.source.length).toBeLessThan(40_000);
    const expected = plain(given).y;
    run(given).y.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 4);
    });
  });

  it('keep the values of the moment they were frozen', async () => {
    const scale = variable('scale', [2], { initial: [2, 3] });
    const doubled = func({ name: 'doubled', inputs: [], outputs: { y: scale.mul(2) } });
    const state = new StateStore();
    state.declare('scale', scale.type, () => [2, 3]);
    const run = await compile(doubled, { freeze: true, state });
    state.set(scale, [0, 0]);
    expect([...run({}).y]).toEqual([4, 6]);
  });

  it('that the function updates stay states', async () => {
    const count = variable('count', []);
    const run = await compile(func({ name: 'counting', inputs: [], outputs: {}, updates: [[count, count.add(1)]] }), {
      target: 'c',
      freeze: true,
    });
    run({});
    run({});
    expect([...run.state.get(count)]).toEqual([2]);
  });
});

describe('weights from a file', () => {
  const images = input('images', [1, 400]);
  nn.setSeed(4);
  const network = nn.sequential(nn.dense(400, 200), nn.relu, nn.dense(200, 3));
  const definition = func({ name: 'filed', inputs: [images], outputs: { y: network(images) } });
  const given = { images: Float32Array.from({ length: 400 }, (_, i) => Math.sin(i)) };
  type Tensors = Map<string, SafeTensor>;

  /** The network's weights as a file, changed in one respect. */
  const fileOf = (state: StateStore, name: string, change: (tensors: Tensors) => void = () => {}): string => {
    const tensors: Tensors = new Map(
      state.names().map((key) => [key, { ...state.type(key), data: state.get(key) as SafeTensor['data'] }]),
    );
    change(tensors);
    const path = join(scratch, `${name}.safetensors`);
    writeSafetensorsFile(path, tensors);
    return path;
  };

  it('give the results of the states that they were', async () => {
    const plain = await compile(definition, { target: 'c' });
    const run = await compile(definition, { target: 'c', weights: fileOf(plain.state, 'whole') });
    const expected = plain(given).y;
    run(given).y.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 5);
    });
    expect(run.state.names()).toEqual([]);
  });

  it('must be there, of their type, in a file of the format', async () => {
    const { state } = await compile(definition, { target: 'c' });
    const [kernel] = state.names() as [string];
    const lacking = fileOf(state, 'lacking', (tensors) => tensors.delete(kernel));
    await expect(compile(definition, { weights: lacking })).rejects.toThrow(
      `${lacking} has no tensor "${kernel}": f32[400,200] expected`,
    );
    const turned = fileOf(state, 'turned', (tensors) =>
      tensors.set(kernel, { ...tensors.get(kernel)!, shape: [200, 400] }),
    );
    await expect(compile(definition, { weights: turned })).rejects.toThrow('f32[400,200] expected, f32[200,400] found');
    const integers = fileOf(state, 'integers', (tensors) =>
      tensors.set(kernel, { dtype: 'i32', shape: [400, 200], data: new Int32Array(80_000) }),
    );
    await expect(compile(definition, { weights: integers })).rejects.toThrow(
      'f32[400,200] expected, i32[400,200] found',
    );
    const missing = join(scratch, 'missing.safetensors');
    await expect(compile(definition, { weights: missing })).rejects.toThrow(`${missing} cannot be read`);
    const short = join(scratch, 'short.safetensors');
    writeFileSync(short, Uint8Array.of(1, 2, 3));
    await expect(compile(definition, { weights: short })).rejects.toThrow('8 bytes expected for the header length');
    writeFileSync(short, readFileSync(fileOf(state, 'whole')).subarray(0, 1000));
    await expect(compile(definition, { weights: short })).rejects.toThrow(UserError);
  });

  it.runIf(process.platform === 'linux')('are never all in memory beside what is made of them', () => {
    const { stdout, stderr } = inProcess(wideLayers(8, 2048), {});
    const [weights, grown] = stdout.split(' ').map(Number) as [number, number];
    expect(stderr).toBe('');
    expect(grown).toBeGreaterThan(weights);
    expect(grown).toBeLessThan(1.5 * weights);
  });
});

/** Prints the bytes of weights of a stack of dense layers, and by how much compiling and running it raised the peak of memory. */
const wideLayers = (count: number, width: number): string => `
  import { readFileSync } from 'node:fs';
  import { func, input, variable } from '${project}src/index.ts';
  import { compile, writeSafetensorsFile } from '${project}src/node.ts';
  const peak = () => 1024 * Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  const layers = Array.from({ length: ${count} }, (_, i) => variable('w' + i, [${width}, ${width}]));
  const path = '${join(scratch, 'wide.safetensors')}';
  if (process.argv[2] === 'write') {
    const data = new Float32Array(${width ** 2}).fill(0.01);
    writeSafetensorsFile(path, layers.map(({ name }) => [name, { dtype: 'f32', shape: [${width}, ${width}], data }]));
    process.exit(0);
  }
  const { execFileSync } = await import('node:child_process');
  execFileSync(process.execPath, [...process.execArgv, process.argv[1], 'write']);
  const x = input('x', [1, ${width}]);
  const definition = func({ name: 'wide', inputs: [x], outputs: { y: layers.reduce((y, w) => y.matmul(w), x) } });
  const before = peak();
  const run = await compile(definition, { weights: path });
  run({ x: new Float32Array(${width}) });
  console.log(${4 * count * width ** 2}, peak() - before);
`;

/** Runs a program in a process of its own, with its own environment. */
function inProcess(
  code: string,
  env: Record<string, string>,
): { status: number | null; stdout: string; stderr: string } {
  const file = join(scratch, 'program.mts');
  writeFileSync(file, code);
  return spawnSync(process.execPath, ['--import', 'tsx', file], {
    cwd: project,
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, TSX_TSCONFIG_PATH: join(project, 'tsconfig.json'), ...env },
  });
}

const program = (seed: number): string => `
  import { func, input } from '${project}src/index.ts';
  import { compile } from '${project}src/node.ts';
  const x = input('x', [4]);
  try {
    const run = await compile(func({ name: 'f', inputs: [x], outputs: { y: x.mul(${seed}) } }));
    console.log([...run({ x: Float32Array.of(1, 2, 3, 4) }).y].join(' '));
  } catch (error) {
    console.log(error.name + ': ' + error.message);
  }
`;

describe('the compiler', () => {
  const none = { PATH: '/nonexistent', ASHLAR_CC: '' };

  it('that is not there, where C is asked for: the message says what to install', () => {
    const { stdout } = inProcess(program(2), { ...none, ASHLAR_TARGET: 'c' });
    expect(stdout).toContain('LimitationError: no C compiler was found (looked for gcc, clang and cc)');
    expect(stdout).toContain('apt-get install gcc');
  });

  it('that is not there: programs run in JavaScript, and a note says so once', () => {
    const { stdout, stderr } = inProcess(`${program(2)}\n{${program(3).replaceAll(/^ *import.*$/gm, '')}}`, none);
    expect(stdout).toBe('2 4 6 8\n3 6 9 12\n');
    expect(stderr.match(/no C compiler and no graphics card was found, so programs run in JavaScript/g)).toHaveLength(
      1,
    );
  });

  it('that was named and cannot be run', async () => {
    await expect(compile(twice, { compiler: 'no-such-compiler' })).rejects.toThrow(
      'the C compiler no-such-compiler cannot be run',
    );
  });

  it('that fails: its first lines are shown, and nothing is left in the cache', () => {
    const broken = join(scratch, 'broken-cc');
    writeFileSync(
      broken,
      '#!/bin/sh\ncase "$*" in *-shared*) echo "disk quota exceeded" >&2; exit 1;; esac\nexec gcc "$@"\n',
    );
    chmodSync(broken, 0o755);
    const cache = join(scratch, 'cache-broken');
    const { stdout } = inProcess(program(3), { ASHLAR_CC: broken, ASHLAR_CACHE: cache });
    expect(stdout).toMatch(/LimitationError: .*broken-cc could not compile/);
    expect(stdout).toContain('disk quota exceeded');
    expect(readdirSync(cache)).toEqual([]);
  });
});

describe('the cache', () => {
  it('is for its user alone', () => {
    const cache = join(scratch, 'cache-mode');
    expect(inProcess(program(4), { ASHLAR_CACHE: cache }).stdout).toBe('4 8 12 16\n');
    expect(statSync(cache).mode & 0o777).toBe(0o700);
    expect(readdirSync(cache).map((name) => name.replace(/[0-9a-f]{32}/, 'HASH'))).toEqual(['f-HASH.so']);
  });

  it('that others may write is not trusted', () => {
    const cache = join(scratch, 'cache-open');
    mkdirSync(cache);
    chmodSync(cache, 0o777);
    const { stdout, stderr } = inProcess(program(5), { ASHLAR_CACHE: cache });
    expect(stdout).toBe('5 10 15 20\n');
    expect(stderr).toContain('others may write to it');
    expect(readdirSync(cache)).toEqual([]);
  });

  it('that is a file, or cannot be made, is replaced by a private directory with a note', () => {
    const file = join(scratch, 'a-file');
    writeFileSync(file, '');
    for (const place of [file, join(file, 'below'), '/proc/ashlar']) {
      const { stdout, stderr } = inProcess(program(6), { ASHLAR_CACHE: place });
      expect(stdout).toBe('6 12 18 24\n');
      expect(stderr).toMatch(/the cache .* cannot be used \(.*\); compiling into/);
    }
  });

  it('with a damaged library compiles it again', () => {
    const cache = join(scratch, 'cache-damaged');
    inProcess(program(7), { ASHLAR_CACHE: cache });
    const [name] = readdirSync(cache) as [string];
    writeFileSync(join(cache, name), 'not a library');
    expect(inProcess(program(7), { ASHLAR_CACHE: cache }).stdout).toBe('7 14 21 28\n');
    expect(statSync(join(cache, name)).size).toBeGreaterThan(1000);
  });

  it('serves processes that compile the same at once', async () => {
    const cache = join(scratch, 'cache-shared');
    const file = join(scratch, 'shared.mts');
    writeFileSync(file, program(8));
    const runs = Array.from({ length: 4 }, () =>
      promisify(execFile)(process.execPath, ['--import', 'tsx', file], {
        cwd: project,
        env: { ...process.env, ASHLAR_CACHE: cache },
      }),
    );
    for (const { stdout } of await Promise.all(runs)) expect(stdout).toBe('8 16 24 32\n');
    expect(readdirSync(cache).length).toBe(1);
  });
});

describe('arrays of f16', () => {
  const half = input('half', [4], 'f16');
  const doubled = () => compile(func({ name: 'g', inputs: [half], outputs: { y: half.add(half) } }));

  it('hold bits', async () => {
    const run = await doubled();
    const { y } = await run({ half: Uint16Array.of(0x3c00, 0x3555, 0x7bff, 0x8001) });
    expect([...y]).toEqual([0x4000, 0x3955, 0x7c00, 0x8002]);
    expect(() => run({ half: new Float32Array(4) as never })).toThrow(
      /half.*f16\[4\]: a Uint16Array expected, Float32Array/,
    );
  });

  it('are taken as Float16Array where a runtime has that', async () => {
    class Float16Array {
      readonly length = 2;
      readonly byteOffset = 2;
      readonly buffer = Uint16Array.of(1, 2, 3).buffer;
    }
    const type = { dtype: 'f16', shape: [2] } as const;
    expect(expectArray('input', { name: 'half', type }, new Float16Array() as never)).toEqual(Uint16Array.of(2, 3));
  });
});
