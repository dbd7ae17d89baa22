// Tuning records: which candidate measurement chose for each contraction, as JSON that people can read. A record is data
// from outside: it can only select among the candidates that lowering has itself, so the worst that one can do is be slow.

import { UserError } from '../ir/errors.ts';
import type { Choose, ContractionChoice } from './schedule-candidates.ts';

export const recordFormat = 'ashlar tuning record';
export const recordVersion = 1;

/** The processor that was measured. */
export interface Processor {
  readonly name: string;
  /** Bytes of a vector register. */
  readonly vectorBytes: number;
  /** Sizes of one core's caches from the first level on, as the system names them. */
  readonly caches: readonly string[];
}

export interface TuningEntry {
  /** The problem as problem-key.ts writes it. */
  readonly problem: string;
  readonly choice: ContractionChoice;
  /** Microseconds of one call: of what is done untuned, and of the choice. */
  readonly untuned: number;
  readonly tuned: number;
}

export interface TuningRecord {
  readonly processor: Processor;
  readonly compiler: string;
  readonly threads: number;
  readonly entries: readonly TuningEntry[];
}

/** The same record gives the same text, one entry after another. */
export function printRecord({ processor, compiler, threads, entries }: TuningRecord): string {
  const record = { format: recordFormat, version: recordVersion, processor, compiler, threads, entries };
  return `${JSON.stringify(record, null, 2)}\n`;
}

type Form = ContractionChoice['form'];
type FieldsOf<F extends Form> = Exclude<keyof Extract<ContractionChoice, { form: F }>, 'form'>;

const directFields = {
  lanes: 'count',
  vectors: 'count',
  pixels: 'count',
  packedWidth: 'count',
  mostInner: 'count',
  tilesPerTask: 'count',
} as const;

/** Fields of each form's choices: whole numbers from 1, or flags. */
const fieldsOf: { readonly [F in Form]: Readonly<Record<FieldsOf<F>, 'count' | 'flag'>> } = {
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

/** Reads a record's text. Throws UserError, with the entry, what was expected and what was given, for anything else. */
export function parseRecord(text: string, name: string): TuningRecord {
  const fail = (where: string, expected: string, given: unknown): never => {
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
  const processor = isObject(record.processor) ? record.processor : fail('processor', 'an object', record.processor);
  const { name: cpu, vectorBytes, caches } = processor;
  const { compiler, threads, entries } = record;
  if (!Array.isArray(entries)) return fail('entries', 'a list', entries);
  const seen = new Set<string>();
  return {
    processor: {
      name: typeof cpu === 'string' ? cpu : fail('processor.name', 'a text', cpu),
      vectorBytes: isCount(vectorBytes) ? vectorBytes : fail('processor.vectorBytes', 'a whole number', vectorBytes),
      caches: isTexts(caches) ? caches : fail('processor.caches', 'a list of texts', caches),
    },
    compiler: typeof compiler === 'string' ? compiler : fail('compiler', 'a text', compiler),
    threads: isCount(threads) ? threads : fail('threads', 'a whole number of at least 1', threads),
    entries: entries.map((entry: unknown, i): TuningEntry => {
      const where = `entry ${i}`;
      const { problem, choice, untuned, tuned } = isObject(entry) ? entry : fail(where, 'an object', entry);
      if (typeof problem !== 'string') return fail(`${where}: problem`, 'a text', problem);
      if (seen.has(problem)) fail(where, 'one entry for each problem', problem);
      seen.add(problem);
      if (!isTime(untuned)) return fail(`${where}: untuned`, 'microseconds', untuned);
      if (!isTime(tuned)) return fail(`${where}: tuned`, 'microseconds', tuned);
      return {
        problem,
        choice: choiceOf(choice, (expected, given) => fail(`${where} (${problem})`, expected, given)),
        untuned,
        tuned,
      };
    }),
  };
}

function choiceOf(choice: unknown, fail: (expected: string, given: unknown) => never): ContractionChoice {
  if (!isObject(choice)) return fail('a choice', choice);
  const { form, ...fields } = choice;
  if (typeof form !== 'string' || !Object.hasOwn(fieldsOf, form))
    return fail(`one of the forms ${Object.keys(fieldsOf).join(', ')}`, form);
  const wanted: Readonly<Record<string, 'count' | 'flag'>> = fieldsOf[form as Form];
  for (const field of Object.keys(fields))
    if (!Object.hasOwn(wanted, field)) fail(`only the fields ${Object.keys(wanted).join(', ')}`, field);
  for (const [field, kind] of Object.entries(wanted)) {
    const value = fields[field];
    if (kind === 'flag' ? typeof value !== 'boolean' : !isCount(value))
      fail(`${field}: ${kind === 'flag' ? 'true or false' : 'a whole number of at least 1'}`, value);
  }
  return choice as unknown as ContractionChoice;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1;
const isTime = (value: unknown): value is number => Number.isFinite(value) && (value as number) > 0;
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

/** A value from a file, short enough for a message. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= 120 ? text : `${text.slice(0, 117)}…`;
}

/** Decides as a record says, and as untuned where it says nothing. */
export interface Tuned {
  readonly choose: Choose;
  /** Problems of the record that no contraction has asked for. */
  unused(): string[];
}

/** Throws UserError, at the decision, for a choice that is none of the problem's candidates. */
export function choicesOf(record: TuningRecord, name: string): Tuned {
  const choices = new Map(record.entries.map(({ problem, choice }) => [problem, choice]));
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

/** A choice as text, its fields in one order. */
function canonical(choice: ContractionChoice): string {
  return JSON.stringify(Object.entries(choice).sort(([a], [b]) => (a < b ? -1 : 1)));
}
