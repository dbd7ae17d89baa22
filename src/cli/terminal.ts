// What goes to the terminal: results to stdout, all else to stderr; colours and progress only where a person looks.

import { styleText } from 'node:util';
import { Presets, SingleBar } from 'cli-progress';

type Style = Parameters<typeof styleText>[0];

/** False for files, pipes, dumb terminals and where $NO_COLOR is set. */
export const hasColours = (stream: NodeJS.WriteStream): boolean =>
  stream.isTTY === true && (process.env.NO_COLOR ?? '') === '' && stream.hasColors();

export const styled = (stream: NodeJS.WriteStream, style: Style, text: string): string =>
  hasColours(stream) ? styleText(style, text) : text;

/** Text from a file or a model without what a terminal would obey: control characters other than line breaks. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about
export const harmless = (text: string): string => text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '\ufffd');

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** For programs: one line. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** For people, beside results. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Of all stages that a compilation prints, what a tuning record did not fit. */
export function noteTuning(stage: string, text: string): void {
  if (stage === 'tuning') note(text);
}

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Rows under titles, columns as wide as their longest entry. */
export function table(columns: readonly Column[], contents: readonly (readonly string[])[]): string {
  const rows = contents.map((row) => row.map(harmless));
  const widths = columns.map(({ title }, i) =>
    rows.reduce((most, row) => Math.max(most, row[i]!.length), title.length),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (columns[i]!.align === 'right' ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  const titles = line(columns.map(({ title }) => title));
  return [styled(process.stdout, 'bold', titles), ...rows.map(line)].join('\n');
}

export interface Progress {
  advance(what: string): void;
  stop(): void;
}

const shownLength = 40;

/** A bar on stderr where that is a terminal; nothing where it is not. */
export function progress(what: string, total: number): Progress {
  if (process.stderr.isTTY !== true || total === 0) return { advance() {}, stop() {} };
  const format = `${what} {bar} {value}/{total}  {step}`;
  const bar = new SingleBar(
    { stream: process.stderr, format, barsize: 24, hideCursor: true, clearOnComplete: true },
    Presets.shades_classic,
  );
  bar.start(total, 0, { step: '' });
  let done = 0;
  return {
    advance: (step) => bar.update(++done, { step: step.slice(0, shownLength) }),
    stop: () => bar.stop(),
  };
}

const units = ['B', 'KB', 'MB', 'GB', 'TB'];

/** `1.5 KB`, in powers of 1000. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${scaled(bytes, power)} ${units[power]}`;
}

const magnitudes = ['', 'K', 'M', 'G', 'T', 'P'];

/** `1.5 M`: a count in powers of 1000. */
export function formatCount(count: number): string {
  const power = count < 1000 ? 0 : Math.min(magnitudes.length - 1, Math.floor(Math.log10(count) / 3));
  return power === 0 ? String(count) : `${scaled(count, power)} ${magnitudes[power]}`;
}

const scaled = (value: number, power: number): string =>
  power === 0 ? String(value) : (value / 1000 ** power).toPrecision(3).replace(/\.0+$/, '');
