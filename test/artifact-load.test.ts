// Artifacts back in Node: the same answers from C, JavaScript and WGSL, and one clear error for every folder that is not what its manifest says.

import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../src/ir/errors.ts';
import { loadArtifact } from '../src/runtime/artifact/load.ts';
import type { NamedArrays } from '../src/runtime/artifact/loaded.ts';
import { parseManifest } from '../src/runtime/artifact/manifest.ts';
import { compile } from '../src/runtime/compile.ts';
import { exportC } from '../src/runtime/export-c.ts';
import { exportJs } from '../src/runtime/export-js.ts';
import { exportWeb } from '../src/runtime/export-web.ts';
import { digits, digitsImage, digitsReference } from './helpers/artifact.ts';
import { expectClose } from './helpers/close.ts';
import { trainingStep } from './helpers/models.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-artifact-load-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (...names: string[]): string => join(folder, ...names);

const expected = digitsReference();
const device = await testDevice();
if (typeof device !== 'string') device.destroy();

beforeAll(async () => {
  await exportC(digits(), { directory: at('file'), weights: 'file', cpu: 'plain' });
  await exportC(digits(), { directory: at('embed'), cpu: 'plain' });
});

async function expectDigits(place: string): Promise<void> {
  const artifact = await loadArtifact(place);
  const call = artifact.functions.digits!;
  expect(call.inputs).toEqual([{ name: 'image', type: { dtype: 'f32', shape: [1, 1, 8, 8] } }]);
  expect(call.outputs.map(({ name }) => name)).toEqual(['label', 'probabilities']);
  const { label, probabilities } = await call({ image: digitsImage });
  expect([...(label as Int32Array)]).toEqual([expected.label]);
  expectClose(probabilities as Float32Array, expected.probabilities, 1e-5);
  const wrong: NamedArrays[] = [
    {},
    { image: new Float32Array(63) },
    { image: new Float64Array(64) },
    { pixels: digitsImage },
  ];
  for (const inputs of wrong) await expect((async () => call(inputs))()).rejects.toThrow(UserError);
  artifact.close();
}

describe('an artifact is loaded', () => {
  it('from C, weights in the code or beside it', async () => {
    await expectDigits(at('embed'));
    await expectDigits(at('file'));
    await expectDigits(at('file', 'digits.json'));
  });

  it('from JavaScript', async () => {
    exportJs({ digits: digits() }, { name: 'digits', directory: at('js') });
    await expectDigits(at('js'));
  });

  it.skipIf(typeof device === 'string')(titleOf('from WGSL', device), async () => {
    await exportWeb({ digits: digits() }, { name: 'digits', directory: at('web') });
    await expectDigits(at('web'));
  });

  it.each(['embed', 'file'] as const)('with its states and their first values, weights: %s', async (weights) => {
    const directory = at(`step-${weights}`);
    await exportC(trainingStep(8), { directory, weights, cpu: 'plain' });
    const x = Float32Array.from({ length: 8 * 64 }, (_, i) => ((i * 7919) % 13) / 13 - 0.5);
    const y = Int32Array.from({ length: 8 }, (_, i) => i);
    const { functions, state } = await loadArtifact(directory, { threads: 2 });
    const losses = Array.from({ length: 4 }, () => (functions.step!({ x, y }) as { loss: Float32Array }).loss[0]!);
    const step = await compile(trainingStep(8), { target: 'js' });
    expectClose(
      losses,
      Array.from({ length: 4 }, () => step({ x, y }).loss[0]!),
      1e-4,
    );
    expect(state.names()).toEqual(step.state.names());
    expectClose(
      (await state.get('dense1.weight')) as Float32Array,
      step.state.get('dense1.weight') as Float32Array,
      1e-3,
    );
  });
});

/** A copy of the artifact with weights beside it, changed. */
function changed(name: string, change: (place: string) => void): string {
  const place = at('changed', name);
  cpSync(at('file'), place, { recursive: true });
  change(place);
  return place;
}

type Json = { [key: string]: unknown };
/** With another value at a place such as files.code.path. */
const edited = (name: string, place: string, value: unknown): string =>
  changed(name, (copy) => {
    const path = join(copy, 'digits.json');
    const manifest = JSON.parse(readFileSync(path, 'utf8'));
    const keys = place.split('.');
    const last = keys.pop()!;
    keys.reduce((json: Json, key) => json[key] as Json, manifest)[last] = value;
    writeFileSync(path, JSON.stringify(manifest));
  });

describe('a folder is refused', () => {
  const state = { name: 'image', identifier: 'image', dtype: 'f32', shape: [2], layout: 'row-major', bytes: 8 };
  const cases: readonly (readonly [what: string, place: () => string, message: RegExp])[] = [
    ['that does not exist', () => at('nowhere'), /does not exist; an artifact's folder expected/],
    ['without a manifest', () => changed('none', (place) => rmSync(join(place, 'digits.json'))), /is no artifact/],
    [
      'with two',
      () => changed('two', (place) => cpSync(join(place, 'digits.json'), join(place, 'other.json'))),
      /has 2 artifacts; name one of digits.json, other.json/,
    ],
    [
      'with half a manifest',
      () => changed('half', (place) => truncateSync(join(place, 'digits.json'), 300)),
      /digits.json is no JSON/,
    ],
    ['of another version', () => edited('version', 'version', 2), /version: 1 expected, 2 given/],
    ['of another target', () => edited('target', 'target', 'cuda'), /target: one of c, wgsl, js expected/],
    [
      'that leads elsewhere',
      () => edited('path', 'files.code.path', '../digits.c'),
      /files.code.path: the name of a file in/,
    ],
    ['that leads to the root', () => edited('root', 'files.weights.path', '/dev/zero'), /files.weights.path: the name/],
    [
      'with a negative size',
      () => edited('less', 'files.weights.bytes', -1),
      /files.weights.bytes: 0 to \d+ expected, -1/,
    ],
    [
      'with a huge size',
      () => edited('huge', 'files.weights.bytes', 1e300),
      /files.weights.bytes: an integer expected/,
    ],
    [
      'with a large size',
      () => edited('large', 'files.weights.bytes', 2 ** 46),
      /bytes, the manifest says 70368744177664/,
    ],
    [
      'with a huge workspace',
      () => edited('space', 'workspace.bytes', 2 ** 46),
      /workspace.bytes: \d+, as the code says/,
    ],
    [
      'with a huge shape',
      () => edited('shape', 'functions.0.inputs.0.shape', [2 ** 40, 2 ** 40]),
      /functions\[0\].inputs\[0\].shape: at most/,
    ],
    [
      'with another shape than size',
      () => edited('bytes', 'functions.0.inputs.0.shape', [2, 64]),
      /inputs\[0\].bytes: 512, as the shape says, expected, 256 given/,
    ],
    [
      'with cut off weights',
      () => changed('cut', (place) => truncateSync(join(place, 'digits.weights'), 64)),
      /has 64 bytes, the manifest says/,
    ],
    [
      'with other weights',
      () =>
        changed('other', (place) => {
          const path = join(place, 'digits.weights');
          const bytes = readFileSync(path);
          bytes[100]! ^= 1;
          writeFileSync(path, bytes);
        }),
      /digits.weights is not the artifact's: its SHA-256 is/,
    ],
    [
      'with other weights and their hash',
      () =>
        changed('forged', (place) => {
          const path = join(place, 'digits.weights');
          const bytes = readFileSync(path);
          bytes[100]! ^= 1;
          writeFileSync(path, bytes);
          const text = readFileSync(join(place, 'digits.json'), 'utf8');
          const manifest = JSON.parse(text);
          manifest.files.weights.sha256 = createHash('sha256').update(bytes).digest('hex');
          writeFileSync(join(place, 'digits.json'), JSON.stringify(manifest));
        }),
      /the weights are others: their hash differs/,
    ],
    [
      'with other code',
      () =>
        changed('code', (place) =>
          writeFileSync(join(place, 'digits.c'), readFileSync(join(place, 'digits.c'), 'utf8').replace('0', '1')),
        ),
      /digits.c is not the artifact's/,
    ],
    ['with a name that is no identifier', () => edited('name', 'name', 'a-b'), /name: a C identifier expected/],
    [
      'with two inputs of one name',
      () => edited('twice', 'states', [state, state]),
      /states: every name once expected, "image" given/,
    ],
  ];

  it.each(cases)('%s', async (_what, place, message) => {
    const loading = loadArtifact(place());
    await expect(loading).rejects.toThrow(message);
    await expect(loading).rejects.toThrow(UserError);
  });
});

describe('a mutated manifest', () => {
  /** Numbers by a linear congruence: Numerical Recipes, 3rd ed., section 7.1. */
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const values = [null, -1, 0, 2 ** 53, 1e308, '', '../x', [], {}, [[]], true, 'c', '__proto__'];
  /** The value with something in it replaced, removed or repeated. */
  const mutate = (json: unknown): unknown => {
    if (typeof json !== 'object' || json === null || random(6) === 0) return values[random(values.length)];
    if (Array.isArray(json)) {
      if (json.length === 0) return [values[random(values.length)]];
      const i = random(json.length);
      return random(3) === 0 ? [...json, json[i]] : json.map((item, k) => (k === i ? mutate(item) : item));
    }
    const keys = Object.keys(json);
    if (keys.length === 0) return { [String(values[random(values.length)])]: 1 };
    const key = keys[random(keys.length)]!;
    const { [key]: value, ...others } = json as Json;
    return random(5) === 0 ? others : { ...json, [key]: mutate(value) };
  };

  it('is read or refused with a UserError, as JSON and as bytes', () => {
    const text = readFileSync(at('file', 'digits.json'), 'utf8');
    const original = JSON.parse(text);
    let refused = 0;
    for (let i = 0; i < 20_000; i++) {
      let mutated: string;
      if (i % 2 === 0) mutated = JSON.stringify(mutate(original)) ?? '';
      else {
        const bytes = Buffer.from(text);
        for (let k = random(4); k >= 0; k--) bytes[random(bytes.length)] = random(256);
        mutated = bytes.toString('utf8', 0, random(3) === 0 ? random(bytes.length) : bytes.length);
      }
      try {
        const { files, functions } = parseManifest(mutated, 'x.json');
        for (const { path } of Object.values(files)) expect(path).toMatch(/^[A-Za-z0-9][\w.-]*$/);
        for (const { bytes } of functions.flatMap(({ inputs, outputs }) => [...inputs, ...outputs]))
          expect(bytes).toBeLessThanOrEqual(2 ** 47);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(10_000);
  });

  it('that is deep is refused', () => {
    for (const text of ['['.repeat(1_000_000), '{"a":'.repeat(100_000), `${'['.repeat(100_000)}${']'.repeat(100_000)}`])
      expect(() => parseManifest(text, 'x.json')).toThrow(UserError);
  });
});
