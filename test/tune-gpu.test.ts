// Tuning on a GPU: every candidate computes what the reference does within what all adapters promise; a record decides what is
// compiled and exported for its device, and one that is damaged or of another device is refused with a sentence.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, describe, expect, it } from 'vitest';
import { printWgsl } from '../src/codegen/wgsl/program.ts';
import { UserError } from '../src/ir/errors.ts';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import { parseFunc } from '../src/ir/text.ts';
import type { Candidate } from '../src/passes/decision.ts';
import type { GpuChoice } from '../src/passes/gpu/candidates.ts';
import { gpuMachine } from '../src/passes/gpu/machine.ts';
import { defaultGpu, type GpuTarget, softwareGpu, tileBytes, tileInvocations } from '../src/passes/gpu/schedule.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { parseRecord, printRecord, type WgslTuningRecord } from '../src/passes/tuning.ts';
import { compile } from '../src/runtime/compile.ts';
import { exportWeb } from '../src/runtime/export-web.ts';
import { tune } from '../src/runtime/tune/tune.ts';
import { tuneForWebGpu } from '../src/runtime/tune/tune-on-device.ts';
import { compileForWebGpu } from '../src/runtime/webgpu/compile.ts';
import { openDevice } from '../src/runtime/webgpu/device.ts';
import { nodeGpu } from '../src/runtime/webgpu/node-gpu.ts';
import { browserPath, openBrowser } from './helpers/browser.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';
import { testDevice, titleOf } from './helpers/webgpu.ts';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-tune-gpu-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const product = (x: string, y: string, attrs: string): Func =>
  parseFunc(`func @f(%x: f32[${x}], %y: f32[${y}]) {
    %0 = dot(%x, %y) {contract=${attrs}}
    %1 = tanh(%0)
    return z = %1
  }`);
const plain = (rows: number, inner: number, columns: number): Func =>
  product(`${rows},${inner}`, `${inner},${columns}`, '[[1],[0]], batch=[[],[]]');
const pooled = parseFunc(`func @f(%x: f32[1,4,4,4], %w: f32[7,4,3,3]) {
  %0 = conv(%x, %w) {strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=1}
  %1 = reduceWindow(%0) {kind=max, window=[1,1,2,2], strides=[1,1,2,2], padding=[[0,0],[0,0],[0,0],[0,0]], dilation=[1,1,1,1]}
  return z = %1
}`);
const reduction = parseFunc(`func @f(%x: f32[5,300]) {
  %0 = reduce(%x) {kind=sum, axes=[1]}
  return z = %0
}`);
const position = parseFunc(`func @f(%x: f32[5,60]) {
  %0 = argreduce(%x) {kind=max, axis=1}
  return z = %0
}`);
const softmaxed = (scores: string, shape: string): string => `%m = reduce(${scores}) {kind=max, axes=[2]}
  %n = broadcast(%m) {shape=[${shape}], axes=[0,1]}
  %c = sub(${scores}, %n)
  %e = exp(%c)
  %s = reduce(%e) {kind=sum, axes=[2]}
  %t = broadcast(%s) {shape=[${shape}], axes=[0,1]}
  %w = div(%e, %t)`;
const rows = parseFunc(`func @f(%x: f32[2,3,70]) {
  ${softmaxed('%x', '2,3,70')}
  return z = %w
}`);
const attention = parseFunc(`func @f(%q: f32[1,5,8], %k: f32[1,33,8], %v: f32[1,33,8]) {
  %0 = dot(%q, %k) {contract=[[2],[2]], batch=[[0],[0]]}
  ${softmaxed('%0', '1,5,33')}
  %1 = dot(%w, %v) {contract=[[2],[1]], batch=[[0],[0]]}
  return z = %1
}`);

interface Found {
  readonly key: string;
  readonly untuned: GpuChoice;
  readonly candidates: readonly Candidate<GpuChoice>[];
}

function decisionsOf(func: Func, target: GpuTarget): Found[] {
  const found: Found[] = [];
  const machine = gpuMachine(target, (decision) => {
    found.push({ key: decision.key(), untuned: decision.untuned, candidates: decision.candidates() });
    return decision.untuned;
  });
  compileToProgram(func, { machine });
  return found;
}

/** Some of each form: of each kind of slices, stages and parts the one with the smallest workgroup tiles. */
function representatives(candidates: readonly Candidate<GpuChoice>[]): GpuChoice[] {
  const kinds = new Map<string, GpuChoice>();
  const size = (choice: GpuChoice): number => (choice.form === 'tiles' ? choice.rows * choice.columns : 0);
  for (const { choice } of candidates) {
    const kind =
      choice.form === 'tiles'
        ? `${choice.slices} ${choice.stages} ${choice.parts > 1} ${choice.blockRows}`
        : choice.form === 'reduction'
          ? `${choice.columns === 1} ${choice.rows === 1} ${choice.chunks > 1}`
          : JSON.stringify(choice);
    const known = kinds.get(`${choice.form} ${kind}`);
    if (known === undefined || size(choice) < size(known)) kinds.set(`${choice.form} ${kind}`, choice);
  }
  const all = [...kinds.values()];
  return all.filter((_, i) => i % Math.ceil(all.length / 9) === 0);
}

const problems: readonly (readonly [title: string, func: Func, target: GpuTarget, forms: readonly string[]])[] = [
  ['a product with ragged edges', plain(10, 40, 12), defaultGpu, ['tiles', 'blocks', 'reduction']],
  [
    'batches of products whose right operand is transposed',
    product('2,6,36', '2,12,36', '[[2],[2]], batch=[[0],[0]]'),
    defaultGpu,
    ['tiles', 'blocks', 'reduction'],
  ],
  ['a convolution and its pool', pooled, defaultGpu, ['tiles']],
  ['a product of few rows', plain(2, 130, 8), defaultGpu, ['reduction', 'blocks', 'tiles']],
  ['a sum', reduction, defaultGpu, ['reduction']],
  ['the position of a maximum', position, defaultGpu, ['reduction']],
  ['rows', rows, defaultGpu, ['rows']],
  ['attention', attention, defaultGpu, ['attention']],
  ['a product without barriers', plain(10, 40, 12), softwareGpu, ['blocks', 'reduction']],
  ['a long sum without barriers', reduction, softwareGpu, ['reduction']],
];

describe('candidates on a GPU', () => {
  it.each(problems)('of %s compute what the reference does', (_title, func, target, forms) => {
    const decisions = decisionsOf(func, target);
    expect(decisions).toHaveLength(1);
    const [{ candidates }] = decisions as [Found];
    expect([...new Set(candidates.map(({ choice }) => choice.form))].sort()).toEqual([...forms].sort());
    const inputs = sampleInputs(func, 3, [-1, 1]);
    const [expected] = evaluateFunc(func, inputs);
    const arrays = new Map(func.parameters.map(({ name }, i) => [name, Float64Array.from(inputs[i]!.data)]));
    for (const choice of representatives(candidates)) {
      const program = compileToProgram(func, { machine: gpuMachine(target, () => choice) });
      // Throws where a workgroup is larger than every device has.
      printWgsl(program, () => ({ block: 'none', offset: 0, bytes: 0 }));
      const result = interpretProgram(program, arrays).get('z')!;
      const worst = expected!.data.reduce((most, value, i) => Math.max(most, Math.abs(value - result[i]!)), 0);
      expect(worst, JSON.stringify(choice)).toBeLessThan(1e-4);
    }
  });

  it('begin with what is done untuned, then come by estimated cost, each once, within WebGPU’s default limits', () => {
    for (const [, func, target] of problems) {
      const [{ untuned, candidates }] = decisionsOf(func, target) as [Found];
      expect(candidates[0]!.choice).toEqual(untuned);
      const costs = candidates.slice(1).map(({ cost }) => cost);
      expect(costs).toEqual([...costs].sort((a, b) => a - b));
      expect(costs.every((cost) => Number.isFinite(cost) && cost > 0)).toBe(true);
      expect(new Set(candidates.map(({ choice }) => JSON.stringify(choice))).size).toBe(candidates.length);
      for (const { choice } of candidates) {
        if (choice.form !== 'tiles') continue;
        expect(tileBytes(choice, choice.stages)).toBeLessThanOrEqual(16_384);
        expect(tileInvocations(choice)).toBeLessThanOrEqual(256);
      }
    }
  });

  it('have the same name for the same problem, whatever its tensors are called and follows it', () => {
    const other = parseFunc(`func @g(%left: f32[10,40], %right: f32[40,12]) {
      %0 = dot(%left, %right) {contract=[[1],[0]], batch=[[],[]]}
      return out = %0
    }`);
    const key = (func: Func): string => decisionsOf(func, defaultGpu)[0]!.key;
    expect(key(other)).toBe(key(plain(10, 40, 12)));
    expect(key(plain(10, 40, 13))).not.toBe(key(plain(10, 40, 12)));
  });
});

async function open() {
  const found = await testDevice();
  return typeof found === 'string' ? found : openDevice(await nodeGpu(), { kernels: 'software' });
}

const gpu = await open();
afterAll(() => (typeof gpu === 'string' ? undefined : gpu.destroy()));
const func = plain(40, 90, 36);
const definition = (of: Func) => ({ func: of, variables: [] });

describe.skipIf(typeof gpu === 'string')(titleOf('a tuning record of a device', gpu), () => {
  const device = gpu as Exclude<typeof gpu, string>;
  const recordOf = (): WgslTuningRecord => ({
    target: 'wgsl',
    device: { ...device.adapter, kernels: 'software', subgroups: device.features.subgroups },
    entries: decisionsOf(func, softwareGpu).map(({ key, candidates }) => ({
      problem: key,
      choice: candidates.find(({ choice }) => choice.form === 'blocks' && choice.rows === 2 && choice.columns === 4)!
        .choice,
      untuned: 12.5,
      tuned: 11.25,
    })),
  });

  it('prints and reads back', () => {
    expect(parseRecord(printRecord(recordOf()), 'r')).toEqual(recordOf());
  });

  it('decides what is compiled and exported, the same each time, and the answers agree', async () => {
    const record = recordOf();
    const path = join(folder, 'record.json');
    writeFileSync(path, printRecord(record));
    const untuned = await compileForWebGpu(definition(func), { device });
    const tuned = await compileForWebGpu(definition(func), { device, tuning: record });
    const again = await compile(definition(func), { device, tuning: path });
    expect(tuned.source).not.toBe(untuned.source);
    expect(again.source).toBe(tuned.source);
    const inputs = sampleInputs(func, 3, [-1, 1]);
    const arrays = { x: Float32Array.from(inputs[0]!.data), y: Float32Array.from(inputs[1]!.data) };
    const [a, b] = [(await untuned(arrays)) as { z: Float32Array }, (await tuned(arrays)) as { z: Float32Array }];
    for (const [i, value] of a.z.entries()) expect(Math.abs(value - b.z[i]!)).toBeLessThan(1e-5);

    const exported = async (name: string, more: object): Promise<string> => {
      const written = await exportWeb({ run: definition(func) }, { name: 'm', directory: join(folder, name), ...more });
      return readFileSync(written.module, 'utf8');
    };
    const module = await exported('tuned', { tuning: record });
    expect(module).toBe(await exported('again', { tuning: path, kernels: 'software' }));
    expect(module).not.toBe(await exported('untuned', { kernels: 'software' }));
    await expect(exported('card', { tuning: record, kernels: 'card' })).rejects.toThrow(
      "was measured with kernels for adapters that compute on the processor ('software'), these are for cards",
    );
  });

  it('of a device whose description a page is not told holds; of another device, kernels or target it is refused', async () => {
    const record = recordOf();
    const compiled = (changed: object, options: object = { device }) =>
      compile(definition(func), { ...options, tuning: { ...record, ...changed } as WgslTuningRecord });
    await compiled({ device: { ...record.device, description: '' } });
    await expect(compiled({ device: { ...record.device, vendor: 'Cray' } })).rejects.toThrow(
      /the tuning record was measured on "Cray .*", this is .*; tune again here/,
    );
    await expect(compiled({ device: { ...record.device, kernels: 'card' } })).rejects.toThrow(
      "was measured with kernels for cards ('card')",
    );
    await expect(compiled({}, { target: 'c' })).rejects.toThrow(
      'the tuning record was measured for target wgsl, this is target c; tune for it',
    );
  });

  it('says which entries fit nothing of the function', async () => {
    const notes: string[] = [];
    const print = (stage: string, text: string): void => void (stage === 'tuning' && notes.push(text));
    const record = recordOf();
    await compileForWebGpu(definition(plain(40, 90, 37)), { device, tuning: record, print });
    expect(notes).toEqual([`the tuning record: 1 entries fit no problem of it:\n${record.entries[0]!.problem}`]);
  });

  const sound = recordOf();
  const [entry] = sound.entries;
  const withChoice = (choice: unknown): object => ({ ...sound, entries: [{ ...entry, choice }] });
  const damaged: readonly (readonly [what: string, text: string | object, message: RegExp])[] = [
    ['half a file', printRecord(sound).slice(0, 300), /is no JSON/],
    ['another version', { ...sound, version: 1 }, /version: 2 expected, 1 given/],
    ['another target', { ...sound, target: 'cuda' }, /target: "c" or "wgsl" expected, "cuda" given/],
    ['no device', { ...sound, device: null }, /device: an object expected, null given/],
    [
      'kernels of the prototype',
      { ...sound, device: { ...sound.device, kernels: 'toString' } },
      /device\.kernels: one/,
    ],
    ['a vendor that is no text', { ...sound, device: { ...sound.device, vendor: 5 } }, /device\.vendor: a text/],
    [
      'a form of target c',
      withChoice({ form: 'packed' }),
      /one of the forms tiles, blocks, .* expected, "packed" given/,
    ],
    [
      'a negative number',
      withChoice({ ...entry!.choice, rows: -2 }),
      /rows: a whole number of at least 1 expected, -2/,
    ],
    ['a field too many', withChoice({ ...entry!.choice, evil: 1 }), /only the fields rows, columns, invocations/],
    [
      'a value of great depth',
      printRecord(sound).replace(/"entries".*$/s, `"entries": ${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`),
      /entries: a list expected, something nested too deeply given/,
    ],
    ['a huge block', withChoice({ ...entry!.choice, rows: 1e9 }), /one of the problem's \d+ schedules expected/],
    [
      'a tile where there are none',
      withChoice({
        form: 'tiles',
        rows: 4096,
        columns: 4096,
        inner: 16,
        blockRows: 8,
        blockColumns: 8,
        slices: 1,
        areas: 0,
        stages: 1,
        parts: 1,
      }),
      /one of the problem's \d+ schedules expected, .*4096.* given/,
    ],
  ];
  it.each(damaged)('with %s is refused', async (_what, content, message) => {
    const path = join(folder, 'damaged.json');
    const written = typeof content === 'string' ? content : { ...JSON.parse(printRecord(sound)), ...content };
    writeFileSync(path, typeof written === 'string' ? written : JSON.stringify(written));
    const error = await compile(definition(func), { device, tuning: path }).then(
      () => null,
      (thrown: unknown) => thrown as Error,
    );
    expect(error?.name).toBe('UserError');
    expect(error?.message).toMatch(message);
    expect(error?.message).toContain('damaged.json');
  });

  it.each([
    ['the device is lost', 'the GPU device was destroyed'],
    ['it is interrupted', 'enough for now'],
  ])('keeps what was measured where %s', async (what, message) => {
    const own = await openDevice(await nodeGpu(), { kernels: 'software' });
    const path = join(folder, `${message}.json`);
    const interruption = new AbortController();
    const end = () => (what.includes('lost') ? own.destroy() : interruption.abort(new UserError(message)));
    const watch = setInterval(() => existsSync(path) && end(), 5);
    const two = parseFunc(`func @f(%x: f32[20,40], %y: f32[40,24]) {
      %0 = dot(%x, %y) {contract=[[1],[0]], batch=[[],[]]}
      %1 = dot(%0, %0) {contract=[[0],[0]], batch=[[],[]]}
      return z = %1
    }`);
    await expect(tune(definition(two), { device: own, path, signal: interruption.signal })).rejects.toThrow(
      new RegExp(`^${message}.*\\. .*\\.json has what was measured until then$`),
    );
    clearInterval(watch);
    own.destroy();
    expect(parseRecord(readFileSync(path, 'utf8'), path)).toMatchObject({ target: 'wgsl', device: device.adapter });
  });

  it('is not begun once it is interrupted, or without a problem', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(tuneForWebGpu(definition(func), { device, signal })).rejects.toThrow('enough');
    const none = parseFunc('func @f(%x: f32[8]) {\n%0 = exp(%x)\nreturn z = %0\n}');
    const { problems, kept, record } = await tuneForWebGpu(definition(none), { device });
    expect([problems, kept, record.entries]).toEqual([[], false, []]);
  });

  it('is refused for options of another target', async () => {
    const tuned = (options: object) => tune(definition(func), options);
    await expect(tuned({ target: 'js' })).rejects.toThrow('target js has nothing to tune');
    await expect(tuned({ target: 'wgsl', threads: 2 })).rejects.toThrow('target wgsl has no threads to set');
    await expect(tuned({ target: 'c', device })).rejects.toThrow('target c runs on no device');
  });
});

describe.skipIf(browserPath === undefined)('in a page', () => {
  it('tuning resolves to a record that is data, and that functions of the page take', async () => {
    const script = `
      import { compileForWebGpu, func, input, openDevice, tuneForWebGpu } from './src/index.ts';
      window.tuned = async () => {
        const device = await openDevice(navigator.gpu);
        const a = input('a', [24, 64]);
        const product = func({ inputs: [a], outputs: { y: a.matmul(a.transpose()) } });
        const { record, problems } = await tuneForWebGpu(product, { device });
        const tuning = JSON.parse(JSON.stringify(record));
        const run = await compileForWebGpu(product, { device, tuning });
        const { y } = await run({ a: new Float32Array(24 * 64).fill(0.5) });
        return { record, measured: problems.map(({ measured }) => measured.length), y: y[7] };
      };`;
    const bundle = { bundle: true, format: 'esm', write: false } as const;
    const { outputFiles } = await build({
      ...bundle,
      stdin: { contents: script, resolveDir: fileURLToPath(new URL('..', import.meta.url)) },
    });
    const browser = await openBrowser();
    try {
      const page = await browser.newPage();
      const body = '<!doctype html><title>tuning</title>';
      await page.route('http://localhost/**', (route) => route.fulfill({ contentType: 'text/html', body }));
      await page.goto('http://localhost/');
      await page.addScriptTag({ type: 'module', content: outputFiles[0]!.text });
      await page.waitForFunction('window.tuned');
      const { record, measured, y } = (await page.evaluate('tuned()')) as {
        record: WgslTuningRecord;
        measured: number[];
        y: number;
      };
      expect(parseRecord(printRecord(record), 'r').target).toBe('wgsl');
      expect(measured).toHaveLength(1);
      expect(measured[0]).toBeGreaterThan(4);
      expect(y).toBe(16);
    } finally {
      await browser.close();
    }
  });
});
