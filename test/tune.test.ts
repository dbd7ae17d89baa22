// Tuning: every candidate of a contraction computes what the reference does; a record selects among them, the same one
// gives the same C, and one that is damaged or not from here is refused with a sentence.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { printProgram } from '../src/codegen/c/program.ts';
import { evaluateFunc } from '../src/ir/evaluate.ts';
import type { Func } from '../src/ir/graph.ts';
import { parseFunc } from '../src/ir/text.ts';
import { sizeOf } from '../src/ir/types.ts';
import { cpuMachine } from '../src/passes/cpu.ts';
import type { Candidate as CandidateOf, Choose } from '../src/passes/decision.ts';
import { compileToProgram } from '../src/passes/pipeline.ts';
import { targets } from '../src/passes/schedule.ts';
import type { ContractionChoice } from '../src/passes/schedule-candidates.ts';
import { type CTuningRecord, choicesOf, parseRecord, printRecord } from '../src/passes/tuning.ts';
import { findCompiler } from '../src/runtime/c/compiler.ts';
import { thisProcessor } from '../src/runtime/c/processor.ts';
import { compile } from '../src/runtime/compile.ts';
import { exportC } from '../src/runtime/export-c.ts';
import { tune } from '../src/runtime/tune/tune.ts';
import { interpretProgram } from './helpers/interpret-program.ts';
import { sampleInputs } from './helpers/samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'ashlar-tune-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const product = (rows: number, inner: number, columns: number): Func =>
  parseFunc(`func @f(%x: f32[${rows},${inner}], %y: f32[${inner},${columns}]) {
    %0 = dot(%x, %y) {contract=[[1],[0]], batch=[[],[]]}
    %1 = tanh(%0)
    return z = %1
  }`);
const convolution = (x: string, w: string, groups: number): Func =>
  parseFunc(`func @f(%x: f32[${x}], %w: f32[${w}]) {
    %0 = conv(%x, %w) {strides=[1,1], padding=[[1,1],[1,1]], lhsDilation=[1,1], rhsDilation=[1,1], groups=${groups}}
    %1 = relu(%0)
    return z = %1
  }`);

type Candidate = CandidateOf<ContractionChoice>;

/** The decisions of a function's contractions: their names and candidates. */
function decisionsOf(func: Func, schedule = targets['x86-64-v4']) {
  const found: { key: string; untuned: ContractionChoice; candidates: Candidate[] }[] = [];
  compileToProgram(func, {
    machine: cpuMachine(schedule, (decision) => {
      found.push({ key: decision.key(), untuned: decision.untuned, candidates: decision.candidates() });
      return decision.untuned;
    }),
  });
  return found;
}

/** One candidate of every tile, and every candidate of each form’s first tile. */
function representatives(candidates: readonly Candidate[]): Candidate[] {
  const tiles = new Map<string, Candidate[]>();
  for (const candidate of candidates) tiles.set(candidate.tile, [...(tiles.get(candidate.tile) ?? []), candidate]);
  const known = new Map<string, number>();
  return [...tiles.values()].flatMap((variants) => {
    const { form } = variants[0]!.choice;
    known.set(form, (known.get(form) ?? 0) + 1);
    return known.get(form)! === 1 ? variants : variants.slice(0, 1);
  });
}

/** Elements of all parameters: the interpreter is slow. */
const sizeOfProblem = (func: Func): number =>
  func.parameters.reduce((sum, { value }) => sum + sizeOf(value.type.shape), 0) * 2;

const problems: readonly (readonly [title: string, func: Func, forms: readonly string[]])[] = [
  ['a product with ragged edges', product(9, 21, 19), ['packed', 'direct', 'reduction']],
  ['a product of few rows', product(2, 33, 40), ['packed', 'direct', 'reduction']],
  ['a convolution', convolution('1,3,7,6', '18,3,3,3', 1), ['packed', 'direct', 'reduction']],
  [
    'a convolution for Winograd',
    convolution('1,16,4,5', '16,16,3,3', 1),
    ['packed', 'direct', 'winograd', 'reduction'],
  ],
  ['a depthwise convolution', convolution('1,16,2,5', '16,1,3,3', 16), ['depthwise', 'reduction']],
];

describe('candidates', () => {
  it.each(problems)('of %s compute what the reference does', (_title, func, forms) => {
    const [decision] = decisionsOf(func);
    const found = new Set(decision!.candidates.map(({ choice }) => choice.form));
    for (const form of forms) expect(found).toContain(form);
    const inputs = sampleInputs(func, 3, [-1, 1]);
    const [expected] = evaluateFunc(func, inputs);
    const arrays = new Map(func.parameters.map(({ name }, i) => [name, Float64Array.from(inputs[i]!.data)]));
    // Those of large problems take turns.
    const every = Math.ceil(sizeOfProblem(func) / 4096);
    const tried = representatives(decision!.candidates).filter((_, i) => i % every === 0);
    expect(tried.length).toBeGreaterThan(10);
    for (const { choice } of tried) {
      const program = compileToProgram(func, { machine: cpuMachine(targets['x86-64-v4'], () => choice) });
      const result = interpretProgram(program, arrays).get('z')!;
      const worst = expected!.data.reduce((most, value, i) => Math.max(most, Math.abs(value - result[i]!)), 0);
      expect(worst, JSON.stringify(choice)).toBeLessThan(1e-5);
    }
  });

  it('begin with what is done untuned, then come by estimated cost, each once', () => {
    for (const [, func] of problems) {
      for (const target of Object.values(targets)) {
        const [{ untuned, candidates }] = decisionsOf(func, target) as [ReturnType<typeof decisionsOf>[0]];
        expect(candidates[0]!.choice).toEqual(untuned);
        const costs = candidates.slice(1).map(({ cost }) => cost);
        expect(costs).toEqual([...costs].sort((a, b) => a - b));
        expect(costs.every((cost) => Number.isFinite(cost) && cost > 0)).toBe(true);
        expect(new Set(candidates.map(({ choice }) => JSON.stringify(choice))).size).toBe(candidates.length);
      }
    }
  });

  it('untuned take as many vectors of columns as pad least, and swap operands only where the copies do not cost more', () => {
    const packed = (rows: number, inner: number, columns: number) => {
      const [{ untuned }] = decisionsOf(product(rows, inner, columns)) as [ReturnType<typeof decisionsOf>[0]];
      return untuned.form === 'packed' ? [untuned.columnVectors, untuned.swapped] : [];
    };
    expect(packed(256, 256, 256)).toEqual([2, false]);
    expect(packed(1000, 300, 77)).toEqual([1, false]);
    expect(packed(64, 784, 10)).toEqual([1, false]);
    expect(packed(1000, 64, 33)).toEqual([1, false]);
  });

  it('have the same name for the same problem, whatever its tensors are called', () => {
    const [a] = decisionsOf(product(9, 21, 19));
    const [b] = decisionsOf(
      parseFunc(`func @g(%left: f32[9,21], %right: f32[21,19]) {
      %0 = dot(%left, %right) {contract=[[1],[0]], batch=[[],[]]}
      return out = %0
    }`),
    );
    const [c] = decisionsOf(product(9, 21, 20));
    expect(b!.key).toBe(a!.key);
    expect(c!.key).not.toBe(a!.key);
  });
});

const native = targets[findCompiler().cpu];
const { vectorBytes } = native;
const here = thisProcessor(vectorBytes);
const recordOf = (func: Func, pick: (candidates: readonly Candidate[]) => Candidate): CTuningRecord => ({
  target: 'c',
  processor: here,
  compiler: 'gcc',
  threads: 1,
  entries: decisionsOf(func, native).map(({ key, candidates }) => ({
    problem: key,
    choice: pick(candidates).choice,
    untuned: 12.5,
    tuned: 11.25,
  })),
});
const reduction = (candidates: readonly Candidate[]): Candidate =>
  candidates.find(({ choice }) => choice.form === 'reduction')!;
const definition = (func: Func) => ({ func, variables: [] });

describe('a tuning record', () => {
  const func = product(24, 40, 36);

  it('prints and reads back', () => {
    const record = recordOf(func, (candidates) => candidates[7]!);
    expect(parseRecord(printRecord(record), 'r')).toEqual(record);
  });

  it('decides what is compiled, the same each time', async () => {
    const record = recordOf(func, reduction);
    const [plain, tuned, again] = [
      await compile(definition(func), { target: 'c' }),
      await compile(definition(func), { tuning: record }),
      await compile(definition(func), { tuning: parseRecord(printRecord(record), 'r') }),
    ];
    expect(tuned.source).not.toBe(plain.source);
    expect(again.source).toBe(tuned.source);
    const path = join(folder, 'record.json');
    writeFileSync(path, printRecord(record));
    expect((await compile(definition(func), { tuning: path })).source).toBe(tuned.source);
    const exported = async (name: string, more: object): Promise<string> => {
      const options = { directory: join(folder, name), cpu: findCompiler().cpu, ...more };
      return readFileSync((await exportC(definition(func), options)).code, 'utf8');
    };
    expect(await exported('tuned', { tuning: record })).toBe(await exported('again', { tuning: path }));
    expect(await exported('tuned', { tuning: record })).not.toBe(await exported('plain', {}));
  });

  it('says which entries fit no contraction', async () => {
    const notes: string[] = [];
    const record = recordOf(product(24, 40, 37), reduction);
    const print = (stage: string, text: string): void => void (stage === 'tuning' && notes.push(text));
    const run = await compile(definition(func), { tuning: record, print });
    expect(notes.join()).toContain(`1 entries fit no problem of it:\n${record.entries[0]!.problem}`);
    expect(run.source).toBe((await compile(definition(func), { target: 'c' })).source);
  });

  it('of another processor or other vectors is refused', async () => {
    const record = recordOf(func, reduction);
    const other = { ...record, processor: { ...here, name: 'Cray-1' } };
    await expect(compile(definition(func), { tuning: other })).rejects.toThrow(
      `was measured on "Cray-1", this is ${JSON.stringify(here.name)}`,
    );
    const narrow = { ...record, processor: { ...here, vectorBytes: 8 } };
    await expect(compile(definition(func), { tuning: narrow })).rejects.toThrow(
      `was measured with vectors of 8 bytes, this target has ${vectorBytes}`,
    );
    // Exported C runs elsewhere: there the vectors decide.
    await exportC(definition(func), { directory: join(folder, 'x'), cpu: findCompiler().cpu, tuning: other });
  });

  const record = JSON.parse(printRecord(recordOf(func, (candidates) => candidates[3]!)));
  const [entry] = record.entries;
  const damaged: readonly (readonly [what: string, text: string, message: RegExp])[] = [
    ['half a file', printRecord(recordOf(func, reduction)).slice(0, 200), /is no JSON/],
    ['another format', '{"format": "npm"}', /format: "ashlar tuning record" expected, "npm" given/],
    ['a list', '[]', /the file: an object expected, \[\] given/],
    ['a later version', JSON.stringify({ ...record, version: 3 }), /version: 2 expected, 3 given/],
    ['no processor', JSON.stringify({ ...record, processor: null }), /processor: an object expected, null given/],
    ['no entries', JSON.stringify({ ...record, entries: {} }), /entries: a list expected, {} given/],
    ['an entry twice', JSON.stringify({ ...record, entries: [entry, entry] }), /entry 1: one entry for each problem/],
    ...(
      [
        [
          'an unknown form',
          { form: 'quantum' },
          /entry 0 \(f32 rows=24 .*\): one of the forms .* expected, "quantum" given/,
        ],
        ['a form of the prototype', { form: 'constructor' }, /one of the forms .* expected, "constructor" given/],
        ['no choice', null, /a choice expected, null given/],
        ['a field that does not exist', { ...entry.choice, evil: 1 }, /only the fields .* expected, "evil" given/],
        [
          'a negative number',
          { ...entry.choice, lanes: -16 },
          /lanes: a whole number of at least 1 expected, -16 given/,
        ],
        ['no number', { ...entry.choice, lanes: null }, /lanes: a whole number of at least 1 expected, null given/],
        ['a text', { ...entry.choice, lanes: '16' }, /lanes: a whole number of at least 1 expected, "16" given/],
        ['half a lane', { ...entry.choice, lanes: 0.5 }, /lanes: a whole number/],
        ['a missing field', { ...entry.choice, lanes: undefined }, /lanes: .* expected, nothing given/],
        [
          'a huge tile',
          { ...entry.choice, lanes: 1000 },
          /entry f32 rows=24 .*: one of the problem's \d+ schedules expected, such as .*, .*1000.* given/,
        ],
      ] as const
    ).map(
      ([what, choice, message]) =>
        [what, JSON.stringify({ ...record, entries: [{ ...entry, choice }] }), message] as const,
    ),
  ];
  it.each(damaged)('with %s is refused', async (_what, text, message) => {
    const path = join(folder, 'damaged.json');
    writeFileSync(path, text);
    const error = await compile(definition(func), { tuning: path }).then(
      () => null,
      (thrown: unknown) => thrown as Error,
    );
    expect(error?.name).toBe('UserError');
    expect(error?.message).toMatch(message);
    expect(error?.message).toContain('damaged.json');
  });

  it('that is not there is refused', async () => {
    await expect(compile(definition(func), { tuning: join(folder, 'none.json') })).rejects.toThrow('cannot be read');
  });

  it('leaves problems that it does not name as they are', () => {
    const { choose, unused } = choicesOf<ContractionChoice>([], 'r');
    const text = (choice?: Choose<ContractionChoice>): string =>
      printProgram(compileToProgram(func, { machine: cpuMachine(native, choice) })).code;
    expect(text(choose)).toBe(text());
    expect(unused()).toEqual([]);
  });
});

describe('tune', () => {
  it('measures candidates and writes a record with which results are as right as without', async () => {
    const func = product(64, 60, 72);
    const path = join(folder, 'made', 'tuned.json');
    const result = await tune(definition(func), { path, threads: 1, seconds: 20 });
    expect(result.problems).toHaveLength(1);
    const [{ problem, measured, calls }] = result.problems as [(typeof result.problems)[0]];
    expect(problem).toBe(decisionsOf(func, native)[0]!.key);
    expect(calls).toBe(1);
    expect(measured.length).toBeGreaterThan(8);
    for (const { microseconds } of measured) expect(microseconds).toBeGreaterThan(0);
    expect(parseRecord(readFileSync(path, 'utf8'), 'written')).toEqual(result.record);
    if (!result.kept) expect(result.record.entries).toEqual([]);

    const inputs = sampleInputs(func, 3, [-1, 1]);
    const [expected] = evaluateFunc(func, inputs);
    const run = await compile(definition(func), { tuning: path });
    const arrays = Object.fromEntries(func.parameters.map(({ name }, i) => [name, Float32Array.from(inputs[i]!.data)]));
    const { z } = (run as unknown as (given: object) => { z: Float32Array })(arrays);
    for (const [i, value] of expected!.data.entries()) expect(Math.abs(value - z[i]!)).toBeLessThan(1e-5);
  });

  it('finds the contractions of a function without any, which are none', async () => {
    const func = parseFunc('func @f(%x: f32[8]) {\n%0 = exp(%x)\nreturn z = %0\n}');
    const { problems, kept, record } = await tune(definition(func));
    expect([problems, kept, record.entries]).toEqual([[], false, []]);
  });
});
