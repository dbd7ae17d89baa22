// Figures in results/PART.json. By model: those of models that are not measured now stay as they were measured last.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { models } from './models/index.ts';

export const results = fileURLToPath(new URL('./results/', import.meta.url));

/** Keeps what a part has measured, as it is. */
export function keepValue<Kept>(part: string, value: Kept): void {
  mkdirSync(results, { recursive: true });
  writeFileSync(`${results}${part}.json`, `${JSON.stringify(value, null, 2)}\n`);
}

/** Keeps what a part without models has measured. */
export function keepRows<Row>(part: string, rows: readonly Row[]): void {
  keepValue(part, rows);
}

/** What a part kept, as it is; undefined where it was never measured. */
export function keptValue<Kept>(part: string): Kept | undefined {
  const path = `${results}${part}.json`;
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Kept) : undefined;
}

/** The rows that a part kept; none where it was never measured. */
export function keptRows<Row>(part: string): readonly Row[] {
  return keptValue<readonly Row[]>(part) ?? [];
}

/** The kept figures of a part in the order of models; none where it was never measured. */
export function keptFigures<Figures>(part: string): Readonly<Record<string, Figures>> {
  return keptValue<Record<string, Figures>>(part) ?? {};
}

/** Measures the models that are named, or all, and keeps each as soon as it is measured; gives the figures of all models. */
export async function measureEach<Figures>(
  part: string,
  wanted: readonly string[],
  measure: (name: string) => Promise<Figures>,
): Promise<Figures[]> {
  const names = Object.keys(models);
  const unknown = wanted.find((name) => !(name in models));
  if (unknown !== undefined) throw new Error(`no model ${unknown}; there are ${names.join(', ')}`);
  mkdirSync(results, { recursive: true });
  for (const name of wanted.length === 0 ? names : wanted) {
    const kept: Record<string, Figures> = { ...keptFigures<Figures>(part), [name]: await measure(name) };
    const ordered = Object.fromEntries(names.flatMap((key) => (key in kept ? [[key, kept[key]]] : [])));
    writeFileSync(`${results}${part}.json`, `${JSON.stringify(ordered, null, 2)}\n`);
  }
  const kept = keptFigures<Figures>(part);
  return names.flatMap((name) => kept[name] ?? []);
}
