// `ashlar compile --dtype`: artifacts with weights in fewer bytes, what is said of their accuracy, and files that cannot be used.

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLabels } from '../src/cli/weights/cost.ts';
import { narrowed } from '../src/cli/weights/narrowed.ts';
import { readSamples } from '../src/cli/weights/samples.ts';
import { readNpy, writeNpy } from '../src/io/npy.ts';
import { CommandLine } from './helpers/cli.ts';

let ashlar: CommandLine;
const path = (file: string): string => join(ashlar.folder, file);
const npy = (name: string, shape: readonly number[], of: (i: number) => number): string => {
  const data = Float32Array.from({ length: shape.reduce((size, dim) => size * dim, 1) }, (_, i) => of(i));
  return ashlar.write(name, writeNpy({ shape, dtype: 'f32', data }));
};

beforeAll(async () => {
  ashlar = await CommandLine.build();
  ashlar.write(
    'net.ts',
    `import { func, input, nn } from 'ashlar';
nn.setSeed(3);
const x = input('x', [2, 1, 8, 8]);
const network = nn.sequential(
  nn.conv2d(1, 16, 3, { padding: 'same' }), nn.relu, nn.conv2d(16, 32, 3, { padding: 'same' }), nn.relu, nn.maxPool(2),
  nn.flatten(), nn.dense(512, 64), nn.relu, nn.dense(64, 10));
export const net = func({ name: 'net', inputs: [x], outputs: { scores: network(x) } });
`,
  );
  npy('samples.npy', [7, 1, 8, 8], (i) => Math.sin(i * i));
  npy('x.npy', [2, 1, 8, 8], (i) => Math.sin(i * i));
  ashlar.run(['run', 'net.ts', '--target', 'js', '--input', 'x=x.npy', '--out', 'exact']);
});
afterAll(() => ashlar.remove());

const scores = (folder: string): Float32Array =>
  readNpy(readFileSync(path(`${folder}/scores.npy`))).data as Float32Array;
const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, x) => Math.max(most, Math.abs(x)), 0);

/** The largest error of an artifact's scores, in proportion to the largest score. */
function errorOf(artifact: string): number {
  const { code, stderr } = ashlar.run(['run', artifact, '--input', 'x=x.npy', '--out', `${artifact}-out`]);
  expect([code, stderr]).toEqual([0, '']);
  const exact = scores('exact');
  return largest(scores(`${artifact}-out`).map((score, i) => score - exact[i]!)) / largest(exact);
}

describe('compile --dtype', () => {
  it('f16 halves weights, on target c and js', () => {
    ashlar.run(['compile', 'net.ts', '--target', 'c', '--weights', 'file', '--out', 'whole']);
    const report = ashlar.json([
      'compile',
      'net.ts',
      '--target',
      'c',
      '--weights',
      'file',
      '--dtype',
      'f16',
      '--out',
      'half',
    ]);
    expect(report).toMatchObject({
      dtype: 'f16',
      cost: { samples: '3 random inputs, floats from −1 to 1', accuracy: null },
    });
    expect(report.weights.map((weight: { dtype: string }) => weight.dtype)).toEqual(['f16', 'f16', 'f16']);
    expect(report.cost.outputs[0].relative).toBeLessThan(2e-3);
    expect(statSync(path('half/net.weights')).size).toBeLessThan(statSync(path('whole/net.weights')).size * 0.5);
    expect(ashlar.run(['compile', 'net.ts', '--target', 'js', '--dtype', 'f16', '--out', 'half-js']).code).toBe(0);
    for (const artifact of ['half', 'half-js']) expect(errorOf(artifact)).toBeLessThan(2e-3);
    expect(ashlar.run(['inspect', 'half']).stdout).toMatch(/weights {2}.* of f32, 76 KB of f16/);
  });

  it('i8 makes bytes of weights and says what it costs, the same bytes each time', () => {
    ashlar.write(
      'labels.npy',
      writeNpy({ shape: [7], dtype: 'i64', data: BigInt64Array.from({ length: 7 }, (_, i) => BigInt(i)) }),
    );
    const args = ['--dtype', 'i8', '--calibration', 'samples.npy', '--labels', 'labels.npy', '--weights', 'file'];
    const { code, stdout } = ashlar.run(['compile', 'net.ts', '--target', 'c', ...args, '--out', 'bytes']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/conv2d2.weight +\[32,16,3,3\] +i8\n/);
    expect(stdout).toMatch(/f32: fewer than 256 elements/);
    expect(stdout).toMatch(/against f32 on the 7 samples of --calibration:\noutput +largest error.*\nscores /);
    expect(stdout).toMatch(/scores is right for [\d.]+ % of 7 labels in f32, for [\d.]+ % now/);
    expect(statSync(path('bytes/net.weights')).size).toBeLessThan(42_000);
    expect(errorOf('bytes')).toBeLessThan(0.05);
    ashlar.run(['compile', 'net.ts', '--target', 'c', ...args, '--out', 'again']);
    for (const file of ['net.c', 'net.weights', 'net.json'])
      expect(readFileSync(path(`again/${file}`)).equals(readFileSync(path(`bytes/${file}`)))).toBe(true);
    const manifest = readFileSync(path('again/net.json'), 'utf8');
    expect(JSON.parse(manifest)).toMatchObject({ weights: { i8: 38_016 } });
    writeFileSync(path('again/net.json'), manifest.replace('"i8": 38016', '"i9": 38016'));
    expect(ashlar.run(['inspect', 'again']).stderr).toMatch(/weights: one of f32, .* expected, "i9" given/);
  });

  it('i8 for target js, and of weights alone without calibration', () => {
    expect(
      ashlar.run(['compile', 'net.ts', '-t', 'js', '--dtype', 'i8', '--calibration', 'x=samples.npy', '-o', 'bytes-js'])
        .code,
    ).toBe(0);
    expect(ashlar.run(['compile', 'net.ts', '-t', 'c', '--dtype', 'i8', '--weights-only', '-o', 'stored']).code).toBe(
      0,
    );
    for (const artifact of ['bytes-js', 'stored']) expect(errorOf(artifact)).toBeLessThan(0.05);
  });

  it('refuses i8 without samples, and samples that cannot be, and writes nothing', () => {
    ashlar.write('cut.npy', readFileSync(path('samples.npy')).subarray(0, 500));
    const refused = (args: readonly string[]) =>
      ashlar.run(['compile', 'net.ts', '--target', 'js', '--dtype', 'i8', ...args, '--out', 'refused']);
    expect(refused([])).toMatchObject({ code: 2, stderr: expect.stringContaining('--weights-only') });
    expect(refused(['--calibration', 'cut.npy'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('cut.npy'),
    });
    expect(statSync(path('refused'), { throwIfNoEntry: false })).toBeUndefined();
  });
});

describe('samples', () => {
  const inputs = [{ name: 'x', type: { dtype: 'f32' as const, shape: [2, 8] } }];
  const outputs = [{ name: 'y', type: { dtype: 'f32' as const, shape: [2, 4] } }];
  const read = (...given: string[]) =>
    readSamples(
      inputs,
      given.map((text) => text.replace(/[\w.]+$/, (file) => path(file))),
    );

  it('come along the first axis, or with one more axis, and the last call may repeat some', () => {
    npy('five.npy', [5, 8], (i) => i);
    const rows = read('five.npy');
    expect([rows.calls, rows.count, rows.perCall]).toEqual([3, 5, 2]);
    expect([0, 1, 2].map((call) => rows.inputs(call).x![0])).toEqual([0, 16, 24]);
    npy('calls.npy', [3, 2, 8], (i) => i);
    const calls = read('x=calls.npy');
    expect([calls.calls, calls.count, calls.inputs(2).x![0]]).toEqual([3, 6, 32]);
  });

  it.each([
    ['that are not there', ['nix.npy'], /nix.npy does not exist/],
    ['of another input', ['z=five.npy'], /there is no input "z"/],
    ['given twice', ['five.npy', 'five.npy'], /is given twice/],
    ['of another shape', ['flat.npy'], /f32\[2,8\] with as many samples as you like.*holds f32\[7,64\]/],
    ['that are too few', ['one.npy'], /holds f32\[1,8\]/],
    ['that are none', ['none.npy'], /holds f32\[0,8\]/],
    ['of another dtype', ['double.npy'], /holds f64\[2,8\]/],
    ['that are no numbers', ['nan.npy'], /nan.npy has NaN as its element 5/],
  ])('%s are refused', (_title, given, message) => {
    npy('flat.npy', [7, 64], Math.sin);
    npy('one.npy', [1, 8], Math.sin);
    npy('none.npy', [0, 8], Math.sin);
    npy('nan.npy', [2, 8], (i) => (i === 5 ? Number.NaN : i));
    ashlar.write('double.npy', writeNpy({ shape: [2, 8], dtype: 'f64', data: new Float64Array(16) }));
    expect(() => read(...given)).toThrow(message);
  });

  it('have labels, each right where its score is the largest or it is the class', () => {
    npy('five.npy', [5, 8], (i) => i);
    const file = (name: string, data: Int32Array): string =>
      path(ashlar.write(name, writeNpy({ shape: [data.length], dtype: 'i32', data })));
    const labels = file('five-labels.npy', Int32Array.of(0, 1, 2, 3, 0));
    expect(readLabels(outputs, read('five.npy'), labels)).toMatchObject({ labels: [0, 1, 2, 3, 0], perCall: 2 });
    const few = file('few.npy', Int32Array.of(0, 1, 2));
    expect(() => readLabels(outputs, read('calls.npy'), labels)).toThrow(/6 expected, as there are samples; .* has 5/);
    expect(() => readLabels(outputs, read('five.npy'), few)).toThrow(/5 expected/);
    expect(() => readLabels(outputs, read('five.npy'), path('five.npy'))).toThrow(/whole numbers, one for each sample/);
    expect(() => readLabels([...outputs, ...outputs], read('five.npy'), labels)).toThrow(
      /several outputs have a score/,
    );
  });

  it.each([
    [{ dtype: 'f32', calibration: ['x'] }, /--calibration is for --dtype f16 and i8/],
    [{ dtype: 'f16', labels: 'x' }, /give both/],
    [{ dtype: 'f16', weightsOnly: true }, /--weights-only is for --dtype i8/],
  ] as const)('and options go together: %j', async (options, message) => {
    await expect(narrowed({} as never, options)).rejects.toThrow(message);
  });
});
