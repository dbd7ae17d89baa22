// Tuning records: which candidate measurement chose for each problem, as JSON that people can read. A record is data from
// outside: it can only select among the candidates that lowering has itself, so the worst that one can do is be slow.

import { UserError } from '../ir/errors.ts';
import { type Choose, canonical } from './decision.ts';
import type { GpuChoice } from './gpu/candidates.ts';
import { type GpuKind, gpuTargets } from './gpu/schedule.ts';
import type { ContractionChoice } from './schedule-candidates.ts';

export const recordFormat = 'ashlar tuning record';
export const recordVersion = 2;

/** The processor that was measured. */
export interface Processor {
  readonly name: string;
  /** Bytes of a vector register. */
  readonly vectorBytes: number;
  /** Sizes of one core's caches from the first level on, as the system names them. */
  readonly caches: readonly string[];
}

/** The device that was measured, as its adapter describes itself; browsers leave the description empty. */
export interface MeasuredDevice {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  /** What kernels were made for. */
  readonly kernels: GpuKind;
  /** Whether invocations that run together combined values. */
  readonly subgroups: boolean;
}

export interface TuningEntry<Choice = ContractionChoice | GpuChoice> {
  /** The problem as problem-key.ts writes it. */
  readonly problem: string;
  readonly choice: Choice;
  /** Microseconds of one call: of what is done untuned, and of the choice. */
  readonly untuned: number;
  readonly tuned: number;
}

/** What was measured on a processor, for target c. */
export interface CTuningRecord {
  readonly target: 'c';
  readonly processor: Processor;
  readonly compiler: string;
  readonly threads: number;
  readonly entries: readonly TuningEntry<ContractionChoice>[];
}

/** What was measured on a WebGPU device, for target wgsl. */
export interface WgslTuningRecord {
  readonly target: 'wgsl';
  readonly device: MeasuredDevice;
  readonly entries: readonly TuningEntry<GpuChoice>[];
}

export type TuningRecord = CTuningRecord | WgslTuningRecord;

/** The same record gives the same text, one entry after another. */
export function printRecord({ entries, ...measured }: TuningRecord): string {
  return `${JSON.stringify({ format: recordFormat, version: recordVersion, ...measured, entries }, null, 2)}\n`;
}

/** A field of a choice: a whole number from 1, one from 0, or true or false. */
type FieldKind = 'count' | 'number' | 'flag';
type FormOf<Choice extends { readonly form: string }> = Choice['form'];
type FieldsOf<Choice, F> = Exclude<keyof Extract<Choice, { readonly form: F }>, 'form'>;
type Forms<Choice extends { readonly form: string }> = {
  readonly [F in FormOf<Choice>]: Readonly<Record<FieldsOf<Choice, F>, FieldKind>>;
};

const directFields = {
  lanes: 'count',
  vectors: 'count',
  pixels: 'count',
  packedWidth: 'count',
  mostInner: 'count',
  tilesPerTask: 'count',
} as const;

const formsOfC: Forms<ContractionChoice> = {
  reduction: {},
  depthwise: { lanes: 'count', vectors: 'count', tile: 'count' },
  direct: directFields,
  bytes: directFields,
  streamed: { columns: 'count', rows: 'count' },
  winograd: directFields,
  packed: {
    rowTile: 'count',
    lanes: 'count',
    columnVectors: 'count',
    innerBlock: 'count',
    rowBlock: 'count',
    swapped: 'flag',
    inPlace: 'flag',
    sharesColumns: 'flag',
    panelsPerTask: 'count',
  },
};

const formsOfWgsl: Forms<GpuChoice> = {
  tiles: {
    rows: 'count',
    columns: 'count',
    inner: 'count',
    blockRows: 'count',
    blockColumns: 'count',
    slices: 'count',
    areas: 'number',
    stages: 'count',
    parts: 'count',
  },
  blocks: { rows: 'count', columns: 'count', invocations: 'count' },
  reduction: { columns: 'count', rows: 'count', rowsFirst: 'flag', chunks: 'count' },
  rows: { invocations: 'count', keeps: 'flag' },
  attention: { queries: 'count', invocations: 'count' },
};

/** Refuses what stands somewhere in a record. */
type Fail = (where: string, expected: string, given: unknown) => never;

/** Reads a record's text. Throws UserError, with the entry, what was expected and what was given, for anything else. */
export function parseRecord(text: string, name: string): TuningRecord {
  const fail: Fail = (where, expected, given) => {
    throw new UserError(`${name}: ${where}: ${expected} expected, ${shown(given)} given; tune again`);
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${name} is no JSON (${error instanceof Error ? error.message : error}); tune again`);
  }
  const record = isObject(json) ? json : fail('the file', 'an object', json);
  if (record.format !== recordFormat) fail('format', JSON.stringify(recordFormat), record.format);
  if (record.version !== recordVersion) fail('version', String(recordVersion), record.version);
  const { target, compiler, threads, entries } = record;
  if (target === 'wgsl')
    return { target, device: deviceOf(record.device, fail), entries: entriesOf(entries, formsOfWgsl, fail) };
  if (target !== 'c') return fail('target', '"c" or "wgsl"', target);
  return {
    target,
    processor: processorOf(record.processor, fail),
    compiler: typeof compiler === 'string' ? compiler : fail('compiler', 'a text', compiler),
    threads: isCount(threads) ? threads : fail('threads', 'a whole number of at least 1', threads),
    entries: entriesOf(entries, formsOfC, fail),
  };
}

function processorOf(given: unknown, fail: Fail): Processor {
  const { name, vectorBytes, caches } = isObject(given) ? given : fail('processor', 'an object', given);
  return {
    name: typeof name === 'string' ? name : fail('processor.name', 'a text', name),
    vectorBytes: isCount(vectorBytes) ? vectorBytes : fail('processor.vectorBytes', 'a whole number', vectorBytes),
    caches: isTexts(caches) ? caches : fail('processor.caches', 'a list of texts', caches),
  };
}

function deviceOf(given: unknown, fail: Fail): MeasuredDevice {
  const device = isObject(given) ? given : fail('device', 'an object', given);
  const text = (field: 'vendor' | 'architecture' | 'description'): string => {
    const value = device[field];
    return typeof value === 'string' ? value : fail(`device.${field}`, 'a text', value);
  };
  const { kernels, subgroups } = device;
  if (typeof kernels !== 'string' || !Object.hasOwn(gpuTargets, kernels))
    return fail('device.kernels', `one of ${Object.keys(gpuTargets).join(', ')}`, kernels);
  if (typeof subgroups !== 'boolean') return fail('device.subgroups', 'true or false', subgroups);
  return {
    vendor: text('vendor'),
    architecture: text('architecture'),
    description: text('description'),
    kernels: kernels as GpuKind,
    subgroups,
  };
}

function entriesOf<Choice extends { readonly form: string }>(
  given: unknown,
  forms: Forms<Choice>,
  fail: Fail,
): TuningEntry<Choice>[] {
  const entries: readonly unknown[] = Array.isArray(given) ? given : fail('entries', 'a list', given);
  const seen = new Set<string>();
  return entries.map((entry, i): TuningEntry<Choice> => {
    const where = `entry ${i}`;
    const { problem, choice, untuned, tuned } = isObject(entry) ? entry : fail(where, 'an object', entry);
    if (typeof problem !== 'string') return fail(`${where}: problem`, 'a text', problem);
    if (seen.has(problem)) fail(where, 'one entry for each problem', problem);
    seen.add(problem);
    if (!isTime(untuned)) return fail(`${where}: untuned`, 'microseconds', untuned);
    if (!isTime(tuned)) return fail(`${where}: tuned`, 'microseconds', tuned);
    const refuse = (expected: string, value: unknown): never => fail(`${where} (${problem})`, expected, value);
    return { problem, choice: choiceOf(choice, forms, refuse), untuned, tuned };
  });
}

const described: Readonly<Record<FieldKind, string>> = {
  count: 'a whole number of at least 1',
  number: 'a whole number',
  flag: 'true or false',
};

function choiceOf<Choice extends { readonly form: string }>(
  choice: unknown,
  forms: Forms<Choice>,
  fail: (expected: string, given: unknown) => never,
): Choice {
  if (!isObject(choice)) return fail('a choice', choice);
  const { form, ...fields } = choice;
  if (typeof form !== 'string' || !Object.hasOwn(forms, form))
    return fail(`one of the forms ${Object.keys(forms).join(', ')}`, form);
  const wanted: Readonly<Record<string, FieldKind>> = forms[form as FormOf<Choice>];
  for (const field of Object.keys(fields))
    if (!Object.hasOwn(wanted, field)) fail(`only the fields ${Object.keys(wanted).join(', ')}`, field);
  for (const [field, kind] of Object.entries(wanted))
    if (!isOf[kind](fields[field])) fail(`${field}: ${described[kind]}`, fields[field]);
  return choice as unknown as Choice;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1;
const isTime = (value: unknown): value is number => Number.isFinite(value) && (value as number) > 0;
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');
const isOf: Readonly<Record<FieldKind, (value: unknown) => boolean>> = {
  count: isCount,
  number: (value) => value === 0 || isCount(value),
  flag: (value) => typeof value === 'boolean',
};

/** A value from a file, short enough for a message. */
function shown(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? 'nothing';
  } catch (error) {
    // Reading JSON has no limit of depth, writing it has the stack's.
    if (!(error instanceof RangeError)) throw error;
    text = 'something nested too deeply';
  }
  return text.length <= 120 ? text : `${text.slice(0, 117)}…`;
}

/** Decides as a record says, and as untuned where it says nothing. */
export interface Tuned<Choice> {
  readonly choose: Choose<Choice>;
  /** Problems of the record that nothing has asked for. */
  unused(): string[];
}

/** Throws UserError, at the decision, for a choice that is none of the problem's candidates. */
export function choicesOf<Choice>(entries: readonly TuningEntry<Choice>[], name: string): Tuned<Choice> {
  const choices = new Map(entries.map(({ problem, choice }) => [problem, choice]));
  const used = new Set<string>();
  return {
    choose: (decision) => {
      const problem = decision.key();
      const choice = choices.get(problem);
      if (choice === undefined) return decision.untuned;
      used.add(problem);
      const candidates = decision.candidates();
      const wanted = canonical(choice);
      const found = candidates.find((candidate) => canonical(candidate.choice) === wanted);
      if (found !== undefined) return found.choice;
      throw new UserError(
        `${name}: entry ${problem}: one of the problem's ${candidates.length} schedules expected, such as ` +
          `${JSON.stringify(decision.untuned)}, ${shown(choice)} given; tune again`,
      );
    },
    unused: () => [...choices.keys()].filter((problem) => !used.has(problem)),
  };
}

/** A record as text, which is not checked yet, and what errors call it. */
export interface RecordText {
  readonly text: string;
  readonly name: string;
}

/** The record, checked, for a target. Throws UserError where it is damaged or was measured for another one. */
export function recordFor<Target extends TuningRecord['target']>(
  target: Target,
  { text, name }: RecordText,
): Extract<TuningRecord, { readonly target: Target }> {
  const record = parseRecord(text, name);
  if (record.target !== target)
    throw new UserError(`${name} was measured for target ${record.target}, this is target ${target}; tune for it`);
  return record as Extract<TuningRecord, { readonly target: Target }>;
}

/** Says which entries of a record fitted nothing of a program. */
export function noteUnused(
  { unused }: Pick<Tuned<never>, 'unused'>,
  name: string,
  print: ((stage: string, text: string) => void) | undefined,
): void {
  const problems = unused();
  if (problems.length > 0)
    print?.('tuning', `${name}: ${problems.length} entries fit no problem of it:\n${problems.join('\n')}`);
}
