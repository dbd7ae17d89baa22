// Figures by model in results/PART.json: those of models that are not measured now stay as they were measured last.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { models } from './models/index.ts';

export const results = fileURLToPath(new URL('./results/', import.meta.url));

/** The kept figures of a part in the order of models; none where it was never measured. */
export function keptFigures<Figures>(part: string): Readonly<Record<string, Figures>> {
  const path = `${results}${part}.json`;
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, Figures>) : {};
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
